"""One worker, one cell at a time: results are whole, errors are records, methods get what they declared."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.artifacts import load_artifact
from benchmark.cell import Cell, task_of, upstream_cells
from benchmark.claims import Claims
from benchmark.counts import Groups
from benchmark.data import Data
from benchmark.evaluate import count, predictions
from benchmark.method import Supervision
from benchmark.network import build_network
from benchmark.randomness import global_random_state
from benchmark.record import Record
from benchmark.store import Store
from benchmark.worker import POISON_LIMIT, VANISHED_LIMIT, Worker
from tests.children import exit_code, in_child


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def worker(store: Store, tmp_path: Path, toy_plugin: Path) -> Worker:
    return Worker(store, tmp_path)


def record_of(store: Store, cell: Cell) -> Record:
    record = store.read(cell.key)
    assert record is not None
    return record


def stopping_after(worker: Worker, epochs: int) -> Worker:
    """A worker that is asked to stop after so many epochs; it asks once before the first."""
    asked = iter(range(1_000_000))
    return dataclasses.replace(worker, should_stop=lambda: next(asked) >= epochs)


class TestResult:
    """What a finished cell leaves."""

    @pytest.fixture
    def cell(self, cells_of: Callable[..., list[Cell]], worker: Worker) -> Cell:
        (cell,) = cells_of("toy_erm")
        assert worker.attempt(cell) == "done"
        return cell

    def test_is_its_record(self, store: Store, cell: Cell) -> None:
        record = record_of(store, cell)
        assert (record.cell, record.status, record.failure) == (cell, "done", None)
        assert record.supervision == Supervision()
        assert record.groups == Groups(2, ("corner",), (2,), ((0, 1),))
        assert [candidate.label for candidate in record.candidates] == ["epoch 1", "epoch 2"]
        assert all(0 < (candidate.info["loss"] or 0) < 10 for candidate in record.candidates)
        assert record.resources.parameters == 4 * 6 + 6 + 6 * 2 + 2
        assert record.resources.weights == 4 * 6 + 6 * 2 == record.resources.macs == record.candidates[0].macs
        assert record.resources.train_seconds > 0
        assert record.resources.evaluate_seconds > 0
        assert record.resources.peak_memory_bytes > 50_000_000
        assert {"code", "python", "libraries", "host", "device", "hardware", "threads"} <= set(record.environment)

    def test_counts_every_sample_of_the_evaluated_splits_under_its_group(
        self, store: Store, cell: Cell, tmp_path: Path
    ) -> None:
        counts = record_of(store, cell).counts
        assert set(counts) == {"val_biased", "val_unbiased", "test"}
        for name, packed in counts.items():
            split = task_of(cell).split(name, cell.setting(tmp_path))  # type: ignore[arg-type]
            expected = np.zeros((2, 2), np.int64)
            np.add.at(expected, (split.y, split.b[:, 0]), 1)
            table = packed.unpack()
            assert table.shape == (2, 2, 2, 2)
            for candidate in table:
                assert candidate.sum(axis=-1).tolist() == expected.tolist()

    def test_is_an_artifact_with_the_state_of_the_last_candidate(
        self, store: Store, cell: Cell, tmp_path: Path
    ) -> None:
        path = store.artifact(cell.key)
        assert path is not None
        artifact, task = load_artifact(path, cell.key), task_of(cell)
        assert artifact.backbone == task.backbone()
        network = build_network(task.backbone(), task.inputs(), 2, "other weights")
        network.load_state_dict(artifact.state)
        test = Data(task.split("test", cell.setting(tmp_path)), task.inputs(), torch.device("cpu"), with_bias=True)
        groups = Groups(2, ("corner",), (2,), ((0, 1),))
        stored = record_of(store, cell).counts["test"].unpack()[-1]
        assert count(predictions(network, test), test, groups).tolist() == stored.tolist()

    def test_leaves_nothing_else(self, store: Store, cell: Cell) -> None:
        assert not store.work_folder(cell.key).exists()
        assert list((store.root / "claims").iterdir()) == []

    def test_is_kept(self, store: Store, cell: Cell, worker: Worker) -> None:
        before = store.record_path(cell.key).stat()
        assert worker.attempt(cell) == "done"
        after = store.record_path(cell.key).stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_globals_of_the_process_are_as_before(cells_of: Callable[..., list[Cell]], worker: Worker) -> None:
    before = global_random_state()
    (cell,) = cells_of("toy_erm")
    worker.attempt(cell)
    after = global_random_state()
    assert torch.equal(before.pop("torch"), after.pop("torch"))
    assert before == after


def test_precision_is_part_of_the_cell_and_of_what_it_computes(
    cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
) -> None:
    cells = [*cells_of("vanilla"), *cells_of("vanilla", precision="bf16")]
    states = []
    for cell in cells:
        assert worker.attempt(cell) == "done"
        path = store.artifact(cell.key)
        assert path is not None
        states.append(load_artifact(path, cell.key).state)
    weights = [state["classifier.weight"] for state in states]
    assert {weight.dtype for weight in weights} == {torch.float32}
    assert not torch.equal(*weights)
    assert torch.allclose(*weights, atol=0.05)


class TestSupervision:
    """A method gets what it declared."""

    def test_declared_tensors_are_there(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store, tmp_path: Path
    ) -> None:
        (cell,) = cells_of("toy_groups")
        assert worker.attempt(cell) == "done"
        record = record_of(store, cell)
        b = task_of(cell).split("train", cell.setting(tmp_path)).b
        assert record.candidates[0].info == {"train": float(b.sum()), "unbiased": 32.0, "rho": 0.9}
        assert record.supervision == Supervision(bias_labels=True, unbiased_split=True)

    def test_a_task_without_bias_labels_is_scored_without(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
    ) -> None:
        (cell,) = cells_of("toy_erm", tasks=["toy_unlabelled"])
        assert worker.attempt(cell) == "done"
        record = record_of(store, cell)
        assert set(record.counts) == {"val_biased", "test"}
        assert record.counts["test"].shape == (2, 2, 1, 2)


class TestFailure:
    """Whatever goes wrong with a cell is a record that says what."""

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("raise", r"error: RuntimeError: as told: a failure"),
            ("exit", r"error: SystemExit: 0"),
            ("nan loss", r"diverged: loss in epoch 1 of training is nan"),
            ("nan logits", r"diverged: candidate 'broken': logits are NaN or infinite"),
            ("nothing", r"error: ValueError: toy_bad offered no model: call run.offer"),
            ("logits", r"error: ValueError: expected logits of shape \(32, 2\), got \(32, 4\)"),
            ("disk", r"error: OSError: \[Errno 28\] No space left on device: '/elsewhere/cache'"),
        ],
    )
    def test_of_a_method(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store, how: str, reason: str
    ) -> None:
        (cell,) = cells_of({"name": "toy_bad", "params": {"how": how}})
        assert worker.attempt(cell) == "failed"
        record = record_of(store, cell)
        assert record.failure is not None
        assert record.failure.reason.startswith(reason.replace("\\", "")), record.failure.reason
        assert "\n" not in record.failure.reason
        assert len(record.failure.traceback.splitlines()) <= 20
        assert "run_cell" in record.failure.traceback
        assert (record.cell, record.status, record.candidates, record.counts) == (cell, "failed", (), {})
        assert worker.attempt(cell) == "failed"  # and is not tried again
        assert list((store.root / "claims").iterdir()) == []

    def test_of_data_that_is_not_there(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store, tmp_path: Path
    ) -> None:
        (cell,) = cells_of("toy_erm", tasks=["toy_missing"])
        assert worker.attempt(cell) == "failed"
        failure = record_of(store, cell).failure
        assert failure is not None
        assert failure.reason == f"data missing: toy.bin is not under {tmp_path}; put it there"

    def test_of_a_plugin_that_is_gone(self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store) -> None:
        (cell,) = cells_of("toy_erm")
        gone = dataclasses.replace(cell, method="toy_gone")
        assert worker.attempt(gone) == "failed"
        failure = record_of(store, gone).failure
        assert failure is not None
        assert "unknown method 'toy_gone'" in failure.reason

    def test_of_the_results_folder_is_raised(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        (cell,) = cells_of("toy_erm")
        monkeypatch.setattr("benchmark.checkpoint.write_atomic", full)
        with pytest.raises(OSError, match="No space left"):
            dataclasses.replace(worker, checkpoint_seconds=0).attempt(cell)
        monkeypatch.undo()
        assert worker.store.state(cell.key) == "missing"
        assert worker.attempt(cell) == "done"


class TestUpstream:
    """Cells that start from the artifact of another one."""

    def test_make_it_if_nobody_has(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        cells = cells_of({"name": "toy_tune", "params": {"log": str(log)}, "grid": {"epochs": [1, 2]}})
        assert [worker.attempt(cell) for cell in cells] == ["done", "done"]
        (start,) = upstream_cells(cells[0]).values()
        assert store.state(start.key) == "done"
        assert [line.split()[0] for line in log.read_text().splitlines()] == ["toy_erm", "toy_tune", "toy_tune"]

    def test_start_from_its_state(self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store) -> None:
        """Tuning with other data order differs from the start, but much less than from another initialisation."""
        (cell,) = cells_of("toy_tune")
        assert worker.attempt(cell) == "done"
        (start,) = upstream_cells(cell).values()
        loss = [record_of(store, each).candidates[0].info["loss"] for each in (cell, start)]
        assert loss[0] is not None
        assert loss[1] is not None
        assert loss[0] < loss[1]

    def test_fail_with_the_reason_where_it_has_failed(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
    ) -> None:
        (cell,) = cells_of("toy_bad_start")
        assert worker.attempt(cell) == "failed"
        (start,) = upstream_cells(cell).values()
        first, second = record_of(store, start).failure, record_of(store, cell).failure
        assert first is not None
        assert second is not None
        assert first.reason == "error: RuntimeError: as told: a failure"
        assert second.reason == (
            f"upstream failed: {start.title} ({start.key}) has failed; mend it, then run with --retry-failed"
        )

    def test_fail_where_it_keeps_no_artifact(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
    ) -> None:
        (cell,) = cells_of("toy_forgetful_start")
        assert worker.attempt(cell) == "failed"
        failure = record_of(store, cell).failure
        assert failure is not None
        assert "leaves no artifact; toy_tune must set keeps_artifact" in failure.reason

    def test_never_use_a_damaged_one(self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store) -> None:
        (cell,) = cells_of("toy_tune")
        (start,) = upstream_cells(cell).values()
        worker.attempt(start)
        path = store.artifact(start.key)
        assert path is not None
        path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
        assert worker.attempt(cell) == "failed"
        failure = record_of(store, cell).failure
        assert failure is not None
        assert failure.reason.startswith(f"result corrupt: artifact {path} has checksum")
        path.unlink()  # as the message says
        store.forget_failure(cell.key)
        assert worker.attempt(cell) == "done"

    def test_wait_for_another_worker_that_makes_it_and_can_be_stopped_meanwhile(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
    ) -> None:
        (cell,) = cells_of("toy_tune")
        (start,) = upstream_cells(cell).values()
        claim = Claims(store.root / "claims").acquire(start.key, "by another worker")
        assert claim is not None
        assert stopping_after(worker, 3).attempt(cell) == "interrupted"
        assert store.state(cell.key) == "missing"
        claim.release()
        assert worker.attempt(cell) == "done"


class TestInterruption:
    """A worker that is asked to stop gives the cell back; whoever takes it up goes on."""

    METHOD: dict[str, Any] = {"name": "toy_erm", "params": {"epochs": 4}}  # noqa: RUF012

    @pytest.mark.parametrize("epochs", [1, 2, 3, 4])
    def test_the_resumed_record_is_that_of_one_that_ran_through(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, tmp_path: Path, epochs: int
    ) -> None:
        (cell,) = cells_of(self.METHOD)
        through = dataclasses.replace(worker, store=Store(tmp_path / "through"))
        assert through.attempt(cell) == "done"
        assert stopping_after(worker, epochs).attempt(cell) == "interrupted"
        assert worker.store.state(cell.key) == "missing"
        assert list((worker.store.root / "claims").iterdir()) == []
        moved = worker.store.root.rename(tmp_path / "moved")  # also under another path
        resumed = dataclasses.replace(worker, store=Store(moved))
        assert resumed.attempt(cell) == "done"
        found, expected = record_of(resumed.store, cell), record_of(through.store, cell)
        assert found.comparable() == expected.comparable()
        assert (found.resources.resumed, expected.resources.resumed) == (True, False)
        assert not resumed.store.work_folder(cell.key).exists()

    def test_a_worker_that_is_to_stop_begins_nothing(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        (cell,) = cells_of({"name": "toy_erm", "params": {"log": str(log)}})
        assert stopping_after(worker, 0).attempt(cell) == "interrupted"
        assert not log.exists()

    def test_a_busy_cell_is_left_alone(self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store) -> None:
        (cell,) = cells_of("toy_erm")
        claim = Claims(store.root / "claims").acquire(cell.key, "by another worker")
        assert claim is not None
        assert worker.attempt(cell) == "busy"
        claim.release()


class TestDeath:
    """A worker that dies with a cell leaves its claim behind, and with it the knowledge of its death."""

    def die_with(self, worker: Worker, cell: Cell) -> None:
        assert exit_code(in_child(lambda: worker.attempt(cell))) == -signal.SIGKILL

    def test_a_cell_whose_workers_vanish_again_and_again_is_failed(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
    ) -> None:
        (cell,) = cells_of({"name": "toy_bad", "params": {"how": "kill"}})
        for _ in range(VANISHED_LIMIT):
            self.die_with(worker, cell)
        assert store.state(cell.key) == "missing"
        assert worker.attempt(cell) == "failed"
        failure = record_of(store, cell).failure
        assert failure is not None
        last = "vanished: worker and supervisor died together"
        assert failure.reason == f"poisoned: {VANISHED_LIMIT} workers died with this cell, the last one: {last}"
        assert failure.traceback.splitlines() == [last] * VANISHED_LIMIT

    def test_workers_that_vanish_and_get_on_are_not_counted(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
    ) -> None:
        """As on nodes whose jobs are preempted again and again."""
        (cell,) = cells_of({"name": "toy_bad", "params": {"how": "kill"}})
        for _ in range(3):
            self.die_with(worker, cell)
            checkpoint = store.checkpoint_path(cell.key)
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_bytes(b"further")
        assert store.deaths(cell.key) == []
        self.die_with(worker, cell)
        assert not checkpoint.exists()  # it could not be read, and was started over
        self.die_with(worker, cell)
        assert len(store.deaths(cell.key)) == 1

    def test_a_cell_that_survives_is_healed(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store, tmp_path: Path
    ) -> None:
        flag = str(tmp_path / "flag")
        (cell,) = cells_of({"name": "toy_bad", "params": {"how": "kill", "flag": flag, "times": 1}})
        self.die_with(worker, cell)
        assert worker.attempt(cell) == "done"
        assert store.deaths(cell.key) == []

    def test_deaths_that_were_seen_count_sooner(
        self, cells_of: Callable[..., list[Cell]], worker: Worker, store: Store
    ) -> None:
        cells = cells_of("toy_erm", seeds=2)
        for cell, deaths in zip(cells, (POISON_LIMIT - 1, POISON_LIMIT), strict=True):
            for _ in range(deaths):
                store.note_death(cell.key, "killed by SIGSEGV")
        assert [worker.attempt(cell) for cell in cells] == ["done", "failed"]
        failure = record_of(store, cells[1]).failure
        assert failure is not None
        assert failure.reason.startswith(f"poisoned: {POISON_LIMIT} workers died with this cell")
        assert failure.traceback.splitlines() == ["killed by SIGSEGV"] * POISON_LIMIT
