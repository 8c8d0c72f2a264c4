"""Claims: a cell in progress belongs to one worker, on one machine or on many that share a file system.

A claim is a small file, created atomically, that says who works on the cell and is rewritten by a heartbeat. A worker
that died leaves its claim behind. If it ran on this machine, the system knows that it is gone and its claim is taken
over at once; of a worker elsewhere only the age of its heartbeat is known.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import msgspec
from filelock import FileLock

from benchmark.files import write_atomic
from benchmark.processes import born

HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 120.0


@dataclass(frozen=True)
class Owner:
    """Who holds a claim.

    Attributes:
        host: Name of the machine.
        pid: Of the worker.
        born: Start time of that process in clock ticks, so that a recycled pid is not taken for it.
        supervisor: Pid of the process that watches over the worker; its own where nobody does.
        title: Of the cell, for people.
        token: Unique to this claim.
        since: Unix time at which the claim was made.
        progress: What the worker last said: phase, epochs done, epochs in all.
    """

    host: str
    pid: int
    born: int
    supervisor: int
    title: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    since: float = field(default_factory=time.time)
    progress: tuple[str, int, int] | None = None

    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def is_known(self) -> bool:
        """Whether this machine's system can say if it lives."""
        return self.is_here() and self.born >= 0

    def is_dead(self) -> bool:
        """Whether it ran on this machine and is gone."""
        return self.is_known() and born(self.pid) != self.born

    def supervisor_is_gone(self) -> bool:
        """Whether nobody who could have seen it die is known to live."""
        return not self.is_here() or self.supervisor == self.pid or born(self.supervisor) < 0


class Heart:
    """One thread that renews all claims of this process; one per claim would take longer to start than a small cell."""

    def __init__(self, seconds: float) -> None:
        """``seconds`` pass between two beats. The thread starts with the first claim and ends when none is left."""
        self._seconds = seconds
        self._claims: set[Claim] = set()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def keep(self, claim: Claim) -> None:
        """Renew a claim from now on."""
        with self._lock:
            self._claims.add(claim)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind
                self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
                self._thread.start()

    def forget(self, claim: Claim) -> None:
        """Renew it no more."""
        with self._lock:
            self._claims.discard(claim)

    def _beat(self) -> None:
        while True:
            time.sleep(self._seconds)
            with self._lock:
                held = tuple(self._claims)
                if not held:
                    self._thread = None
                    return
            for claim in held:
                claim.renew()


HEART = Heart(HEARTBEAT_SECONDS)


class Claim:
    """A held claim; use it as a context manager. The process's :class:`Heart` keeps it alive until it is released."""

    def __init__(self, path: Path, owner: Owner, dead: Owner | None) -> None:
        """Renewed from now on; ``dead`` is the owner that it was taken over from."""
        self.dead = dead
        self._path = path
        self._owner = owner
        self._released = False
        self._lock = threading.Lock()
        HEART.keep(self)

    def say(self, phase: str, done: int, total: int) -> None:
        """Report progress; others see it after the next heartbeat."""
        self._owner = replace(self._owner, progress=(phase, done, total))

    def release(self) -> None:
        """Give the cell back."""
        HEART.forget(self)
        with self._lock:
            self._released = True
            if self._is_mine():
                self._path.unlink(missing_ok=True)

    def renew(self) -> None:
        """Rewrite the file, unless it is another's by now: this worker was believed dead."""
        if self._owner.pid != os.getpid():
            return  # a fork of the worker
        # a full disk, or a network file system that is away: the next beat may succeed
        with self._lock, suppress(OSError):
            if not self._released and self._is_mine():
                write_atomic(self._path, msgspec.json.encode(self._owner))

    def _is_mine(self) -> bool:
        held = _read(self._path)
        return held is not None and held.token == self._owner.token

    def __enter__(self) -> Claim:
        """The claim itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release."""
        self.release()


class Claims:
    """The claims of one results folder."""

    def __init__(self, folder: Path, supervisor: int | None = None) -> None:
        """``supervisor`` is the pid of the process that watches over this worker."""
        self._folder = folder
        self._supervisor = supervisor if supervisor is not None else os.getpid()

    def acquire(self, key: str, title: str) -> Claim | None:
        """Claim a cell; ``None`` if a living worker has it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / key
        owner = Owner(socket.gethostname(), os.getpid(), born(os.getpid()), self._supervisor, title)
        if _create(path, owner):
            return Claim(path, owner, None)
        if not self._is_stale(path):
            return None
        with FileLock(self._folder / ".takeover.lock"):
            # Two workers may have seen the stale claim: under the lock, the second finds a fresh one.
            dead = _read(path)
            if not path.exists():
                return Claim(path, owner, None) if _create(path, owner) else None
            if not self._is_stale(path):
                return None
            write_atomic(path, msgspec.json.encode(owner))  # never away: whoever creates it would not know of the dead
            return Claim(path, owner, dead)

    def living(self) -> Iterator[tuple[str, Owner]]:
        """Keys and owners of the claims held by workers that are believed alive."""
        for path, owner in self._owners():
            if not self._is_stale(path):
                yield path.name, owner

    def bury(self, pid: int) -> tuple[str, Owner] | None:
        """Give back what a dead process of this machine held; returns the cell that it died with, if there was one.

        A process that makes the start of its cell holds both; it died with the start, its latest claim.
        """
        held = [(path, owner) for path, owner in self._owners() if owner.pid == pid and owner.is_here()]
        if not held:
            return None
        with FileLock(self._folder / ".takeover.lock"):
            for path, owner in held:
                found = _read(path)
                if found is not None and found.token == owner.token:
                    path.unlink(missing_ok=True)
        path, owner = max(held, key=lambda pair: pair[1].since)
        return path.name, owner

    def drop_dead(self, keys: Container[str]) -> None:
        """Remove claims of dead workers on these cells, which nobody will claim again."""
        for path, _ in self._owners():
            if path.name in keys and self._is_stale(path):
                path.unlink(missing_ok=True)

    def _owners(self) -> Iterator[tuple[Path, Owner]]:
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            owner = None if path.name.startswith(".") else _read(path)
            if owner is not None:
                yield path, owner

    def _is_stale(self, path: Path) -> bool:
        owner = _read(path)
        if owner is not None and owner.is_known():
            return owner.is_dead()
        return self._now() - _modified(path) > STALE_SECONDS

    def _now(self) -> float:
        """The file system's clock: workers' own clocks may differ. Who may not write there only has its own."""
        clock = self._folder / f".clock.{os.getpid()}"
        try:
            clock.touch()
            return clock.stat().st_mtime
        except OSError:
            return time.time()
        finally:
            with suppress(OSError):
                clock.unlink()


def _create(path: Path, owner: Owner) -> bool:
    """Create a claim with its content in one step, also on network file systems: a hard link fails if it exists."""
    temporary = path.with_name(f".{path.name}.{owner.token}")
    try:
        temporary.write_bytes(msgspec.json.encode(owner))
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _read(path: Path) -> Owner | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Owner)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
