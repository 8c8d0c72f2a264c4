"""One worker at a time has a cell; the claim of a dead one is taken over, that of a living one never."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import Any

import pytest

from benchmark import claims as module
from benchmark.claims import Claim, Claims, Heart
from benchmark.processes import born

FORK: ForkContext = multiprocessing.get_context("fork")
RACERS = 6


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims")


def taken(claim: Claim | None) -> Claim:
    assert claim is not None
    return claim


def write_owner(claims: Claims, key: str, **changes: Any) -> Path:
    """A claim as another process has left it; of this machine and this process but for ``changes``."""
    claim = taken(claims.acquire(key, "a cell"))
    path = claims._folder / key
    owner = json.loads(path.read_bytes())
    claim.release()
    path.write_text(json.dumps(owner | {"token": "of another"} | changes))
    return path


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this machine."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def race(work: Callable[[int, Any], list[str]]) -> list[list[str]]:
    """``work(number, barrier)`` in several processes at once; what each returns."""
    barrier, queue = FORK.Barrier(RACERS, timeout=30), FORK.SimpleQueue()

    def run(number: int) -> None:
        try:
            queue.put(work(number, barrier))
        except BaseException as error:
            barrier.abort()
            queue.put(repr(error))
            raise

    processes = [FORK.Process(target=run, args=(number,)) for number in range(RACERS)]
    for process in processes:
        process.start()
    results = [queue.get() for _ in processes]
    for process in processes:
        process.join(30)
    assert [result for result in results if isinstance(result, str)] == []
    return results


def test_a_claimed_cell_is_busy_until_it_is_released(claims: Claims) -> None:
    claim = taken(claims.acquire("a", "cell a"))
    assert claims.acquire("a", "cell a") is None
    taken(claims.acquire("b", "cell b")).release()
    claim.release()
    with taken(claims.acquire("a", "cell a")) as again:
        assert again.dead is None
        assert claims.acquire("a", "cell a") is None
    taken(claims.acquire("a", "cell a")).release()


def test_an_error_inside_releases(claims: Claims) -> None:
    with pytest.raises(ZeroDivisionError), taken(claims.acquire("a", "a")):
        raise ZeroDivisionError
    taken(claims.acquire("a", "a")).release()


def test_of_many_workers_that_race_for_a_cell_one_gets_it(claims: Claims) -> None:
    keys = [str(i) for i in range(40)]

    def work(number: int, barrier: Any) -> list[str]:
        held = []
        for key in keys:
            barrier.wait()
            held.append((key, claims.acquire(key, key)))
        barrier.wait()  # nobody dies before all have tried
        return [key for key, claim in held if claim is not None]

    won = [key for keys_won in race(work) for key in keys_won]
    assert sorted(won) == sorted(keys)


def test_of_many_workers_that_see_a_dead_one_one_takes_over(claims: Claims) -> None:
    keys = [str(i) for i in range(20)]
    for key in keys:
        write_owner(claims, key, born=1)

    def work(number: int, barrier: Any) -> list[str]:
        held = []
        for key in keys:
            barrier.wait()
            held.append((key, claims.acquire(key, key)))
        barrier.wait()
        assert all(claim.dead is not None for _, claim in held if claim is not None)
        return [key for key, claim in held if claim is not None]

    won = [key for keys_won in race(work) for key in keys_won]
    assert sorted(won) == sorted(keys)


def test_no_two_workers_are_inside_at_once(claims: Claims, tmp_path: Path) -> None:
    """Each holds the claim of one cell again and again, and so finds out if anybody else does."""

    def work(number: int, barrier: Any) -> list[str]:
        turns = []
        barrier.wait()
        deadline = time.monotonic() + 20
        while len(turns) < 15 and time.monotonic() < deadline:
            claim = claims.acquire("one", "one")
            if claim is None:
                continue
            with claim:
                os.close(os.open(tmp_path / "inside", os.O_CREAT | os.O_EXCL))
                os.unlink(tmp_path / "inside")  # noqa: PTH108
            turns.append(str(number))
        return turns

    assert sorted(len(turns) for turns in race(work)) == [15] * RACERS


class TestTakeover:
    """Who may take a claim over, and when."""

    def test_of_a_process_that_is_gone(self, claims: Claims, sleeper: subprocess.Popen[bytes]) -> None:
        write_owner(claims, "a", pid=sleeper.pid, born=born(sleeper.pid), supervisor=os.getpid())
        assert claims.acquire("a", "a") is None
        sleeper.kill()
        sleeper.wait()
        claim = taken(claims.acquire("a", "a"))
        assert claim.dead is not None
        assert claim.dead.pid == sleeper.pid
        assert not claim.dead.supervisor_is_gone()
        claim.release()

    def test_of_a_process_whose_number_was_given_to_another(
        self, claims: Claims, sleeper: subprocess.Popen[bytes]
    ) -> None:
        write_owner(claims, "a", pid=sleeper.pid, born=born(sleeper.pid) - 1)
        taken(claims.acquire("a", "a")).release()

    def test_of_a_zombie(self, claims: Claims) -> None:
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        write_owner(claims, "a", pid=process.pid, born=born(process.pid))
        os.kill(process.pid, signal.SIGKILL)
        while born(process.pid) >= 0:
            time.sleep(0.01)
        taken(claims.acquire("a", "a")).release()  # nobody has waited for the process yet
        process.wait()

    def test_never_of_a_living_process_of_this_machine(self, claims: Claims, sleeper: subprocess.Popen[bytes]) -> None:
        """A machine that was suspended finds old heartbeats of living workers."""
        path = write_owner(claims, "a", pid=sleeper.pid, born=born(sleeper.pid))
        os.utime(path, (0, 0))
        assert claims.acquire("a", "a") is None
        assert [key for key, _ in claims.living()] == ["a"]

    @pytest.mark.parametrize(("age", "old"), [(module.STALE_SECONDS - 20, False), (module.STALE_SECONDS + 20, True)])
    def test_of_another_machine_by_the_age_of_its_heartbeat(self, claims: Claims, age: float, old: bool) -> None:
        path = write_owner(claims, "a", host="elsewhere", pid=1)
        os.utime(path, (time.time() - age, time.time() - age))
        assert [key for key, _ in claims.living()] == ([] if old else ["a"])
        claim = claims.acquire("a", "a")
        assert (claim is not None) == old
        if claim is not None:
            assert claim.dead is not None
            assert (claim.dead.host, claim.dead.supervisor_is_gone()) == ("elsewhere", True)
            claim.release()

    @pytest.mark.parametrize(("age", "old"), [(0.0, False), (module.STALE_SECONDS + 20, True)])
    def test_of_a_damaged_claim_when_it_is_old(self, claims: Claims, age: float, old: bool) -> None:
        path = write_owner(claims, "a")
        path.write_bytes(b"")
        os.utime(path, (time.time() - age, time.time() - age))
        claim = claims.acquire("a", "a")
        assert (claim is not None) == old
        if claim is not None:
            claim.release()


class TestSupervisor:
    """Whether somebody else could have seen a worker die."""

    def test_a_worker_that_watches_itself_has_none(self, claims: Claims) -> None:
        write_owner(claims, "a", born=1)
        claim = taken(claims.acquire("a", "a"))
        assert claim.dead is not None
        assert claim.dead.supervisor_is_gone()
        claim.release()

    def test_dies_too(self, claims: Claims, sleeper: subprocess.Popen[bytes]) -> None:
        write_owner(claims, "a", pid=sleeper.pid, born=1, supervisor=sleeper.pid)
        write_owner(claims, "b", pid=1, born=1, supervisor=sleeper.pid)
        first, second = taken(claims.acquire("a", "a")), taken(claims.acquire("b", "b"))
        assert first.dead is not None
        assert second.dead is not None
        assert (first.dead.supervisor_is_gone(), second.dead.supervisor_is_gone()) == (True, False)
        sleeper.kill()
        sleeper.wait()
        assert second.dead.supervisor_is_gone()
        first.release()
        second.release()


class TestHeartbeat:
    """A held claim stays fresh."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "HEART", Heart(0.03))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_renews_the_claim_and_tells_progress(self, claims: Claims) -> None:
        with taken(claims.acquire("a", "cell a")) as claim:
            path = claims._folder / "a"
            os.utime(path, (0, 0))
            claim.say("training", 3, 10)
            self.wait_for(lambda: path.stat().st_mtime > 0)
            self.wait_for(lambda: dict(claims.living())["a"].progress == ("training", 3, 10))
            ((key, owner),) = claims.living()
            assert (key, owner.title, owner.host, owner.pid) == ("a", "cell a", socket.gethostname(), os.getpid())

    def test_goes_on_after_a_full_disk(self, claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
        real, failures = module.write_atomic, []

        def full(path: Path, content: bytes) -> None:
            if len(failures) < 3:
                failures.append(path)
                raise OSError(28, "No space left on device")
            real(path, content)

        monkeypatch.setattr(module, "write_atomic", full)
        with taken(claims.acquire("a", "a")):
            path = claims._folder / "a"
            os.utime(path, (0, 0))
            self.wait_for(lambda: path.stat().st_mtime > 0)
        assert len(failures) == 3

    def test_leaves_the_claim_of_another_alone(self, claims: Claims) -> None:
        claim = taken(claims.acquire("a", "a"))
        path = write_owner(Claims(claims._folder.parent / "other"), "a", host="elsewhere", title="taken over")
        path.replace(claims._folder / "a")
        time.sleep(0.2)
        claim.release()
        assert [owner.title for _, owner in claims.living()] == ["taken over"]


def test_who_buries_a_worker_learns_its_last_cell_and_gives_back_all_that_it_held(claims: Claims) -> None:
    taken(claims.acquire("a", "a"))
    taken(claims.acquire("b", "b"))
    write_owner(claims, "c", pid=1, born=born(1))
    buried = claims.bury(os.getpid())
    assert buried is not None
    assert (buried[0], buried[1].title) == ("b", "b")
    assert [key for key, _ in claims.living()] == ["c"]
    assert claims.bury(os.getpid()) is None


def test_a_full_disk_is_an_error_that_leaves_no_claim(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        claims.acquire("a", "a")
    monkeypatch.undo()
    assert list(claims._folder.iterdir()) == []
    taken(claims.acquire("a", "a")).release()


def test_claims_can_be_looked_at_where_one_may_not_write(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    write_owner(claims, "a", host="elsewhere")

    def refused(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refused)
    assert [key for key, _ in claims.living()] == ["a"]


def test_nothing_is_left_of_released_claims(claims: Claims) -> None:
    for key in "abc":
        taken(claims.acquire(key, key)).release()
    write_owner(claims, "d", born=1)
    taken(claims.acquire("d", "d")).release()
    assert [path.name for path in claims._folder.iterdir()] == [".takeover.lock"]
