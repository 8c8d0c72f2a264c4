"""Optuna's journal as a file that workers may be killed beside, and inside of."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

LEFT_SECONDS = 3.0
"""A lock of Optuna's own kind that is so old, while nobody of ours holds one, was left by a process that was killed."""
POLL_SECONDS = 0.02


class JournalLock(JournalFileSymlinkLock):
    """Optuna's lock, behind one that the system takes back when its holder dies.

    Optuna's own is a link that a killed process leaves behind, and others then wait for half a minute. It is still
    taken, for other programs that write to the journal.
    """

    def __init__(self, path: Path) -> None:
        """``path`` is the journal's."""
        super().__init__(str(path))
        self._path = path
        self._link = path.with_name(f"{path.name}.lock")  # where Optuna puts it
        self._ours = FileLock(path.with_name(f".{path.name}.holder"))

    def acquire(self) -> bool:
        """Wait for both locks; then mend what a process that was killed while it wrote has left."""
        self._ours.acquire()
        try:
            while (age := self._age_of_link()) is not None:
                if age > LEFT_SECONDS:
                    self._link.unlink(missing_ok=True)
                time.sleep(POLL_SECONDS)
            acquired = super().acquire()
            _drop_unfinished_line(self._path)
        except BaseException:
            self._ours.release()
            raise
        return acquired

    def release(self) -> None:
        """Give both back."""
        try:
            super().release()
        finally:
            self._ours.release()

    def _age_of_link(self) -> float | None:
        try:
            return time.time() - self._link.lstat().st_mtime
        except FileNotFoundError:
            return None


def open_storage(path: Path) -> JournalStorage:
    """The journal at ``path``; what this process has read of it need not be read again."""
    return _opened(path, os.getpid())


@cache
def _opened(path: Path, _process: int) -> JournalStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path), JournalLock(path)))


def _drop_unfinished_line(path: Path) -> None:
    """The next writer's line must not be glued to it."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
