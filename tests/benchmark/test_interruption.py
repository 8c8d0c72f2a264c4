"""Whatever ends a run, running it again completes the sweep: nothing lost, duplicated or computed twice."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmark.cell import Cell
from benchmark.claims import Claims
from benchmark.cli import main
from benchmark.executor import Event, ResultsUnwritableError
from benchmark.record import Record
from benchmark.store import Store
from tests.children import exit_code, in_child

CellsOf = Callable[..., list[Cell]]
RunCells = Callable[..., list[Event]]
Records = Callable[[Path], dict[str, Record]]
Start = Callable[..., subprocess.Popen[str]]

ERM: dict[str, Any] = {"name": "toy_erm", "params": {"epochs": 4, "pause": 0.02}}
TUNE: dict[str, Any] = {"name": "toy_tune", "params": {"epochs": 4, "pause": 0.02}}


def finished(results: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of the record of every finished cell: they change if it is written again."""
    store = Store(results)
    paths = [store.record_path(key) for key in store.finished()]
    return {path.stem: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def assert_as_if_never_interrupted(cells: list[Cell], results: Path, run_cells: RunCells, records: Records) -> None:
    """Complete the sweep and compare it with a run of its own."""
    before = finished(results)
    reference = results.with_name("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOY_HURRY", "1")
        run_cells(cells, results)
        run_cells(cells, reference)
    after = finished(results)
    assert {key: after[key] for key in before} == before
    found, expected = records(results), records(reference)
    assert {cell.key for cell in cells} <= set(found)
    assert {key: record.comparable() for key, record in found.items()} == {
        key: record.comparable() for key, record in expected.items()
    }
    assert {record.status for record in found.values()} == {"done"}
    assert not list((results / "work").glob("*"))
    assert not list((results / "failures").glob("*/*.json"))
    assert [path.name for path in (results / "claims").iterdir() if not path.name.startswith(".")] == []


@pytest.fixture(autouse=True)
def _warm(cells_of: CellsOf, run_cells: RunCells, tmp_path: Path) -> None:
    """What torch loads when it first trains is loaded before any child is forked."""
    run_cells(cells_of("vanilla"), tmp_path / "warm")


def test_killed_at_random_moments_again_and_again(
    cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    cells, results = cells_of(TUNE, ERM, seeds=6), tmp_path / "results"
    moments, known = random.Random(0), dict[str, tuple[int, int]]()
    kills = 0
    while len(known) < len(cells) - 3:
        child = in_child(lambda: run_cells(cells, results))
        time.sleep(moments.uniform(0.05, 0.7))
        os.kill(child, signal.SIGKILL)
        kills += exit_code(child) == -signal.SIGKILL
        now = finished(results)
        assert {key: now[key] for key in known} == known
        known = now
    assert kills >= 2
    assert_as_if_never_interrupted(cells, results, run_cells, records)


def test_runs_side_by_side_share_the_work(
    cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    """Three runs of one sweep on one folder: every cell is computed once, and all end when all is done."""
    log, results = tmp_path / "log", tmp_path / "results"
    params = {"log": str(log), "pause": 0.02}
    cells = cells_of({"name": "toy_tune", "params": params, "grid": {"epochs": [2, 3]}}, seeds=4)
    children = [in_child(lambda: run_cells(cells, results)) for _ in range(3)]
    assert [exit_code(child) for child in children] == [0, 0, 0]
    lines = [line.split() for line in log.read_text().splitlines()]
    assert Counter(name for name, _ in lines) == {"toy_erm": 4, "toy_tune": 8}
    assert len({pid for _, pid in lines}) > 1
    assert_as_if_never_interrupted(cells, results, run_cells, records)


def test_a_run_takes_over_from_one_that_was_killed_beside_it(
    cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    log, results = tmp_path / "log", tmp_path / "results"
    cells = cells_of({"name": "toy_erm", "params": {"log": str(log), "pause": 0.2}}, seeds=4)
    first = in_child(lambda: run_cells(cells, results))
    while not log.exists():
        time.sleep(0.01)
    second = in_child(lambda: run_cells(cells, results))
    time.sleep(0.1)
    os.kill(first, signal.SIGKILL)
    assert exit_code(first) == -signal.SIGKILL
    assert exit_code(second) == 0
    assert len(log.read_text().splitlines()) in (4, 5)  # the cell that was killed may have been begun twice
    assert_as_if_never_interrupted(cells, results, run_cells, records)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_only_process_leaves_a_checkpoint(
    cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path, number: signal.Signals
) -> None:
    log, results = tmp_path / "log", tmp_path / "results"
    cells = cells_of({"name": "toy_erm", "params": {"log": str(log), "pause": 0.1, "epochs": 8}}, seeds=2)

    def run() -> None:
        events = run_cells(cells, results)
        assert [event.kind for event in events] == ["interrupted"]

    child = in_child(run)
    while not log.exists():
        time.sleep(0.01)
    time.sleep(0.25)
    os.kill(child, number)
    assert exit_code(child) == 0
    assert len(list((results / "work").glob("*/checkpoint.pt"))) == 1
    assert_as_if_never_interrupted(cells, results, run_cells, records)
    assert [record.resources.resumed for record in records(results).values()].count(True) == 1


@pytest.mark.slow
class TestCommand:
    """The real command with two worker processes, ended from outside."""

    @pytest.fixture
    def sweep(self, sweep_file: Callable[..., Path], tmp_path: Path) -> Path:
        params = {"pause": 0.1, "epochs": 8, "log": str(tmp_path / "log")}
        return sweep_file(methods=[{"name": "toy_tune", "params": params}], seeds=3)

    @pytest.fixture
    def cells(self, cells_of: CellsOf, tmp_path: Path) -> list[Cell]:
        params = {"pause": 0.1, "epochs": 8, "log": str(tmp_path / "log")}
        return cells_of({"name": "toy_tune", "params": params}, seeds=3)

    @pytest.fixture
    def running(self, start_command: Start, sweep: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
        """A run in which the first cells are done and another one has just begun."""
        process = start_command("run", sweep, "--jobs", 2, "--results", tmp_path / "results")
        assert process.stdout is not None
        while not process.stdout.readline().startswith("[1/"):
            assert process.poll() is None, process.communicate()
        begun = len((tmp_path / "log").read_text().splitlines())
        while len((tmp_path / "log").read_text().splitlines()) <= begun:
            time.sleep(0.01)
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def wait_until_nobody_is_left(self, group: int) -> None:
        """Processes that only served the run end a moment after it."""
        deadline = time.monotonic() + 30
        while True:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_to_all_its_processes_ends_it_with_130_and_checkpoints(
        self,
        running: subprocess.Popen[str],
        cells: list[Cell],
        run_cells: RunCells,
        records: Records,
        tmp_path: Path,
        number: signal.Signals,
    ) -> None:
        time.sleep(0.15)
        os.killpg(running.pid, number)
        out, errors = running.communicate(timeout=60)
        assert running.returncode == 130, errors
        assert out.splitlines()[-1] == "Interrupted; run the same command to go on."
        assert "Traceback" not in errors
        assert "died" not in out
        self.wait_until_nobody_is_left(running.pid)
        results = tmp_path / "results"
        assert not list((results / "deaths").glob("*/*"))
        assert list((results / "work").glob("*/checkpoint.pt"))
        assert_as_if_never_interrupted(cells, results, run_cells, records)
        assert any(record.resources.resumed for record in records(results).values())

    def test_killing_all_its_processes_or_the_first_alone_loses_nothing(
        self,
        running: subprocess.Popen[str],
        start_command: Start,
        sweep: Path,
        cells: list[Cell],
        run_cells: RunCells,
        records: Records,
        tmp_path: Path,
    ) -> None:
        time.sleep(0.1)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)
        assert running.returncode == -signal.SIGKILL
        results = tmp_path / "results"
        before = finished(results)
        assert before
        again = start_command("run", sweep, "--jobs", 2, "--results", results)
        assert again.stdout is not None
        while not again.stdout.readline().startswith("[1/"):
            assert again.poll() is None, again.communicate()
        os.kill(again.pid, signal.SIGKILL)  # its workers are left alone
        again.communicate(timeout=60)
        self.wait_until_nobody_is_left(again.pid)
        assert list(Claims(results / "claims").living()) == []
        after = finished(results)
        assert {key: after[key] for key in before} == before
        assert_as_if_never_interrupted(cells, results, run_cells, records)


class TestFullDisk:
    """A disk without room stops the run and fails no cell."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of one megabyte."""
        folder = tmp_path / "disk"
        folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            pytest.skip("needs the right to mount a file system (root)")
        yield folder
        subprocess.run(["umount", folder], check=True)

    def fill(self, disk: Path, leaving: int) -> Path:
        filler = disk / "filler"
        space = os.statvfs(disk)
        filler.write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - leaving)))
        return filler

    @pytest.mark.parametrize(("jobs", "leaving"), [(0, 0), (0, 8_192), (0, 16_384), (1, 8_192)])
    def test_stops_with_a_message_and_goes_on_when_there_is_room(
        self,
        disk: Path,
        sweep_file: Callable[..., Path],
        toy_plugin: Path,
        records: Records,
        jobs: int,
        leaving: int,
    ) -> None:
        """It gets full at different moments: at a claim, at a candidate, at a checkpoint or at a record."""
        results = disk / "results"

        def run(seeds: int) -> tuple[int, str]:
            path = sweep_file(methods=["toy_tune"], seeds=seeds)
            options = ["--jobs", str(jobs), "--results", str(results), "--plugin", str(toy_plugin)]
            done = CliRunner().invoke(main, ["run", str(path), *options, "--checkpoint-seconds", "0"])
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
            return done.exit_code, done.output

        assert run(2)[0] == 0
        before = finished(results)
        assert len(before) == 4
        filler = self.fill(disk, leaving)
        code, output = run(4)
        assert code == 1
        assert "No space left on device" in output
        assert "Traceback" not in output
        assert {key: finished(results)[key] for key in before} == before
        assert not list((results / "failures").glob("*/*.json"))
        filler.unlink()
        assert run(4)[0] == 0
        found = records(results)
        assert len(found) == 8
        assert {record.status for record in found.values()} == {"done"}
        assert {key: finished(results)[key] for key in before} == before

    def test_is_also_a_limit_on_the_size_of_files(
        self, cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
    ) -> None:
        cells, results = cells_of(ERM, seeds=2), tmp_path / "results"

        def run() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
            with pytest.raises(ResultsUnwritableError, match="File too large"):
                run_cells(cells, results)

        assert exit_code(in_child(run)) == 0
        assert_as_if_never_interrupted(cells, results, run_cells, records)
