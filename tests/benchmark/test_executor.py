"""Any number of worker processes gives the same records, and no cell can take the others down with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmark import executor
from benchmark.cell import Cell
from benchmark.claims import Claims
from benchmark.executor import Event, ResultsUnwritableError, WorkersDieError, execute
from benchmark.planner import make_plan
from benchmark.record import Record
from benchmark.registry import load_plugin_file
from benchmark.serve import Options, _check_device
from benchmark.stopping import Stop
from benchmark.store import Store

CellsOf = Callable[..., list[Cell]]
RunCells = Callable[..., list[Event]]
Records = Callable[[Path], dict[str, Record]]


def files(results: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every record: they change if a cell is computed again."""
    stats = {key: Path(path).stat() for key, path in Store(results).record_files()}
    return {key: (stat.st_ino, stat.st_mtime_ns) for key, stat in stats.items()}


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.cell.title.removeprefix("toy rho 0.9 "), event.kind) for event in events]


@pytest.fixture
def mixed(cells_of: CellsOf) -> list[Cell]:
    """Cells that succeed, fail, and start from others, listed before what they start from."""
    bad = {"name": "toy_bad", "grid": {"how": ["raise", "nan logits"]}}
    return cells_of("toy_tune", "toy_bad_start", "toy_groups", bad, "toy_erm", seeds=2)


def test_records_do_not_depend_on_the_number_of_processes(
    mixed: list[Cell], run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    found = []
    for jobs in (0, 1, 2):
        events = run_cells(mixed, tmp_path / str(jobs), jobs)
        assert sorted(event.cell.key for event in events) == sorted(cell.key for cell in mixed)
        found.append({key: record.comparable() for key, record in records(tmp_path / str(jobs)).items()})
    statuses = [found[0][cell.key][2] for cell in mixed]
    assert (statuses.count("done"), statuses.count("failed")) == (6, 6)
    assert found[0] == found[1] == found[2]


def test_records_do_not_depend_on_the_order_of_cells(
    cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    cells = cells_of("toy_erm", "toy_groups", seeds=2)
    run_cells(cells, tmp_path / "there")
    run_cells(cells[::-1], tmp_path / "back")
    there, back = records(tmp_path / "there"), records(tmp_path / "back")
    assert {key: record.comparable() for key, record in there.items()} == {
        key: record.comparable() for key, record in back.items()
    }


@pytest.mark.parametrize("jobs", [0, 2])
def test_running_again_does_nothing(mixed: list[Cell], run_cells: RunCells, tmp_path: Path, jobs: int) -> None:
    run_cells(mixed, tmp_path / "results", 0)
    before = files(tmp_path / "results")
    assert run_cells(mixed, tmp_path / "results", jobs) == []
    assert files(tmp_path / "results") == before


def test_what_is_missing_is_run_and_nothing_else(mixed: list[Cell], run_cells: RunCells, tmp_path: Path) -> None:
    results = tmp_path / "results"
    run_cells(mixed[:5], results)
    before = files(results)
    run_cells(mixed, results)
    after = files(results)
    assert set(after) == {cell.key for cell in mixed}
    assert {key: after[key] for key in before} == before


def test_a_truncated_record_is_computed_again(cells_of: CellsOf, run_cells: RunCells, tmp_path: Path) -> None:
    cells, results = cells_of("toy_erm", seeds=2), tmp_path / "results"
    run_cells(cells, results)
    path = Store(results).record_path(cells[0].key)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert kinds(run_cells(cells, results)) == [("toy_erm seed 0", "done")]
    assert len(path.read_bytes()) == pytest.approx(len(whole), abs=60)


@pytest.mark.parametrize("jobs", [0, 2])
def test_a_shared_start_is_made_once(cells_of: CellsOf, run_cells: RunCells, tmp_path: Path, jobs: int) -> None:
    """Eight cells of two seeds start from two artifacts that the sweep does not list."""
    log = tmp_path / "log"
    cells = cells_of({"name": "toy_tune", "params": {"log": str(log)}, "grid": {"epochs": [1, 2, 3, 4]}}, seeds=2)
    events = run_cells(cells, tmp_path / "results", jobs)
    assert sorted(kind for _, kind in kinds(events)) == ["done"] * 10
    names = [line.split()[0] for line in log.read_text().splitlines()]
    assert (names.count("toy_erm"), names.count("toy_tune")) == (2, 8)


class TestSupervision:
    """In a process that has run nothing else."""

    def test_undeclared_data_is_out_of_reach(
        self, cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
    ) -> None:
        """Two cells: the second would also see what the first one's evaluation has left behind."""
        run_cells(cells_of("toy_peeks", seeds=2), tmp_path / "results", 1)
        for record in records(tmp_path / "results").values():
            assert record.failure is None
            assert record.status == "done"


class TestDeath:
    """Workers that die, with or without a word."""

    @pytest.mark.parametrize(("how", "cause"), [("kill", "killed by SIGKILL"), ("exit 0", "exit code 0")])
    def test_a_cell_that_kills_its_workers_is_failed_and_the_others_are_done(
        self, cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path, how: str, cause: str
    ) -> None:
        bad, *good = cells_of({"name": "toy_bad", "params": {"how": how}}, "toy_erm", seeds=[0, 1])[1:]
        events = run_cells([bad, *good], tmp_path / "results", 2)
        assert kinds(events).count(("toy_bad seed 1", "died")) == 3
        assert {event.detail for event in events if event.kind == "died"} == {cause}
        found = records(tmp_path / "results")
        assert [found[cell.key].status for cell in good] == ["done"] * len(good)
        failure = found[bad.key].failure
        assert failure is not None
        assert failure.reason == f"poisoned: 3 workers died with this cell, the last one: {cause}"
        assert failure.traceback.splitlines() == [cause] * 3

    def test_a_cell_that_kills_only_its_first_worker_is_done(
        self, cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
    ) -> None:
        flag = str(tmp_path / "flag")
        (cell,) = cells_of({"name": "toy_bad", "params": {"how": "kill", "flag": flag, "times": 1}})
        assert kinds(run_cells([cell], tmp_path / "results", 1)) == [
            ("toy_bad seed 0", "died"),
            ("toy_bad seed 0", "done"),
        ]
        assert records(tmp_path / "results")[cell.key].status == "done"
        assert Store(tmp_path / "results").deaths(cell.key) == []

    def test_a_start_that_kills_is_blamed_and_not_what_starts_from_it(
        self, cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
    ) -> None:
        cells = cells_of({"name": "toy_bad_start", "params": {"how": "kill"}})
        run_cells(cells, tmp_path / "results", 1)
        reasons = {r.cell.method: r.failure.reason for r in records(tmp_path / "results").values() if r.failure}
        assert reasons["toy_bad"] == "poisoned: 3 workers died with this cell, the last one: killed by SIGKILL"
        assert reasons["toy_bad_start"].startswith("upstream failed: toy rho 0.9 toy_bad seed 0")

    def test_workers_killed_at_random_lose_nothing(
        self, cells_of: CellsOf, run_cells: RunCells, records: Records, tmp_path: Path
    ) -> None:
        """Every third of the first starts is followed by a kill of the cell's worker, at some moment of its work.

        No cell is started again before all have been started once, so none is hit three times.
        """
        log, results = tmp_path / "log", tmp_path / "results"
        cells = cells_of({"name": "toy_erm", "params": {"log": str(log), "pause": 0.03}}, seeds=12)
        over, killed = threading.Event(), []

        def kill() -> None:
            while not over.wait(0.01) and len(killed) < 4:
                pids = [int(line.split()[1]) for line in log.read_text().splitlines()] if log.exists() else []
                if len(pids) >= 3 * (len(killed) + 1):
                    time.sleep(0.02 * len(killed))
                    killed.append(pids[-1])
                    with suppress(ProcessLookupError):
                        os.kill(pids[-1], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            events = run_cells(cells, results, 2)
        finally:
            over.set()
            killer.join()
        assert len(killed) >= 3
        assert any(event.kind == "died" for event in events)
        assert [r.status for r in records(results).values()] == ["done"] * 12

    def test_workers_that_cannot_start_are_an_error(
        self, cells_of: CellsOf, run_cells: RunCells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(executor, "serve", len)  # a process that ends with an error at once
        with pytest.raises(WorkersDieError, match=r"die before they start on a cell \(exit code 1\); run with --j"):
            run_cells(cells_of("toy_erm"), tmp_path / "results", 2)
        assert not (tmp_path / "results" / "failures").exists()

    def test_a_worker_whose_device_does_not_work_ends_before_its_first_cell(self) -> None:
        with pytest.raises((RuntimeError, AssertionError)):
            _check_device("cuda:99")

    def test_a_plugin_that_cannot_be_loaded_by_workers_fails_the_cells_that_need_it(
        self, cells_of: CellsOf, toy_plugin: Path, records: Records, tmp_path: Path
    ) -> None:
        plugin = tmp_path / "only_here.py"
        decorated = (
            "import os, benchmark.registry as r, benchmark.method as m\n"
            f"if os.getpid() != {os.getpid()}: raise ImportError('libmissing.so')\n"
            "@r.METHODS.register\nclass OnlyHere(m.Method):\n"
            "    name, version, card = 'only_here', 1, m.Card('a', 'b')\n    def run(self, run): pass\n"
        )
        plugin.write_text(decorated)
        load_plugin_file(plugin)
        results = tmp_path / "results"
        plan = make_plan(cells_of("only_here", "toy_erm"), Store(results))
        list(execute(plan, Options(results, tmp_path, jobs=1, plugins=(toy_plugin, plugin))))
        found = {record.cell.method: record for record in records(results).values()}
        assert found["toy_erm"].status == "done"
        failure = found["only_here"].failure
        assert failure is not None
        assert failure.reason.startswith("plugin broken: no method 'only_here' is known here; ")
        assert "libmissing.so" in failure.reason

    def test_a_worker_that_is_asked_to_end_gives_its_cell_to_another(
        self, cells_of: CellsOf, toy_plugin: Path, records: Records, tmp_path: Path
    ) -> None:
        log, results = tmp_path / "log", tmp_path / "results"
        cells = cells_of({"name": "toy_erm", "params": {"log": str(log), "pause": 0.1, "epochs": 8}})
        events = execute(make_plan(cells, Store(results)), Options(results, tmp_path, jobs=1, plugins=(toy_plugin,)))

        def end() -> None:
            while not log.exists() or not log.read_text():
                time.sleep(0.02)
            os.kill(int(log.read_text().split()[1]), signal.SIGTERM)

        thread = threading.Thread(target=end)
        thread.start()
        found = list(events)
        thread.join()
        assert found[-1].kind == "done"
        (record,) = records(results).values()
        assert record.resources.resumed
        assert len({line.split()[1] for line in log.read_text().splitlines()}) == 2
        assert Store(results).deaths(cells[0].key) == []


class TestBusy:
    """Cells that another run is at."""

    @pytest.mark.parametrize("jobs", [0, 1])
    def test_are_waited_for_without_haste(
        self, cells_of: CellsOf, run_cells: RunCells, tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from benchmark.claims import Claims

        monkeypatch.setattr(executor, "BUSY_POLL_SECONDS", 0.1)
        cells, results = cells_of("toy_erm", seeds=2), tmp_path / "results"
        claim = Claims(results / "claims").acquire(cells[0].key, "by another run")
        assert claim is not None
        timer = threading.Timer(1.0, claim.release)
        timer.start()
        began = time.process_time()
        events = run_cells(cells, results, jobs)
        spent = time.process_time() - began
        timer.join()
        assert kinds(events) == [("toy_erm seed 1", "done"), ("toy_erm seed 0", "done")]
        assert spent < 0.7  # it sleeps between two questions


class TestFullDisk:
    """No cell could leave a record."""

    @pytest.mark.parametrize("jobs", [0, 1])
    def test_stops_the_run_with_a_message(
        self, cells_of: CellsOf, run_cells: RunCells, tmp_path: Path, jobs: int
    ) -> None:
        results = tmp_path / "results"
        results.mkdir()
        (results / "claims").write_text("a file where a folder should be")
        with pytest.raises(ResultsUnwritableError, match=r"cannot write to .*results: .*Finished cells are safe"):
            run_cells(cells_of("toy_erm"), results, jobs)


def test_nothing_runs_on_after_the_caller_has_lost_interest(
    cells_of: CellsOf, toy_plugin: Path, tmp_path: Path
) -> None:
    log, results = tmp_path / "log", tmp_path / "results"
    params: dict[str, Any] = {"log": str(log), "pause": 0.05, "epochs": 4}
    cells = cells_of({"name": "toy_erm", "params": params}, seeds=6)
    events = execute(make_plan(cells, Store(results)), Options(results, tmp_path, jobs=2, plugins=(toy_plugin,)))
    next(events)
    events.close()  # type: ignore[attr-defined]
    pids = {int(line.split()[1]) for line in log.read_text().splitlines()}
    assert pids
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
    assert list((results / "claims").iterdir()) == []  # they had time to give their cells back


class TestLimits:
    """What a cluster gives a job: memory, and time."""

    def test_the_worker_that_holds_too_much_is_ended_and_its_cell_blamed(
        self, cells_of: CellsOf, toy_plugin: Path, records: Records, tmp_path: Path
    ) -> None:
        """A limit below what torch itself takes, so that a cell is too large as soon as it runs."""
        results = tmp_path / "results"
        plan = make_plan(cells_of({"name": "toy_erm", "params": {"epochs": 50, "pause": 0.5}}), Store(results))
        options = Options(results, tmp_path, jobs=1, plugins=(toy_plugin,), memory_bytes=100 << 20)
        events = list(execute(plan, options))
        assert [event.kind for event in events] == ["died", "died", "died", "failed"]
        (record,) = records(results).values()
        assert record.failure is not None
        assert record.failure.reason.startswith(
            "poisoned: 3 workers died with this cell, the last one: out of memory: it held 0."
        )

    def test_an_epoch_that_does_not_end_in_time_is_given_up_and_counts_against_its_cell(
        self, cells_of: CellsOf, toy_plugin: Path, tmp_path: Path
    ) -> None:
        store = Store(tmp_path / "results")
        (cell,) = cells_of({"name": "toy_erm", "params": {"log": str(tmp_path / "log"), "pause": 60.0}})
        for times in (1, 2):
            began, events = self.run_warned(cell, toy_plugin, tmp_path, times)
            assert events == []
            assert time.monotonic() - began < 20
            assert len(store.deaths(cell.key)) == times
        assert store.deaths(cell.key)[0].startswith("out of time: no epoch ended in the ")
        assert list(Claims(tmp_path / "results" / "claims").living()) == []

    def test_a_cell_that_saved_something_is_given_up_without_blame(
        self, cells_of: CellsOf, toy_plugin: Path, tmp_path: Path
    ) -> None:
        store = Store(tmp_path / "results")
        (cell,) = cells_of({"name": "toy_erm", "params": {"log": str(tmp_path / "log"), "pause": 60.0}})
        self.run_warned(cell, toy_plugin, tmp_path, 1, store.checkpoint_path(cell.key))
        assert store.deaths(cell.key) == []

    def run_warned(
        self, cell: Cell, plugin: Path, folder: Path, times: int, checkpoint: Path | None = None
    ) -> tuple[float, list[Event]]:
        """Run a cell until it has started so many times, then say that a second is left; when that was, and events."""
        stop, warned_at = Stop(seconds_left=1.0), []

        def warn() -> None:
            while not (folder / "log").exists() or len((folder / "log").read_text().splitlines()) < times:
                time.sleep(0.05)
            if checkpoint is not None:
                checkpoint.parent.mkdir(parents=True, exist_ok=True)
                checkpoint.touch()
            warned_at.append(time.monotonic())
            stop.warn()

        thread = threading.Thread(target=warn)
        thread.start()
        plan = make_plan([cell], Store(folder / "results"))
        events = list(execute(plan, Options(folder / "results", folder, jobs=1, plugins=(plugin,)), stop))
        thread.join()
        return warned_at[0], events
