"""Records are whole or not there, whatever kills their writer; a folder of many is read quickly."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.cell import Cell
from benchmark.counts import Groups, PackedCounts
from benchmark.errors import ResultCorruptError
from benchmark.files import atomic_path, write_atomic
from benchmark.method import Supervision
from benchmark.planner import make_plan
from benchmark.protocol import PROTOCOLS
from benchmark.record import Candidate, Failure, Record, Resources
from benchmark.store import Store, read_record
from tests.children import exit_code, in_child


def cell_number(i: int) -> Cell:
    return Cell("a_task", 1, {}, 0.9, "a_method", 1, {"i": i}, i % 3, PROTOCOLS["smoke"])


def record_of(cell: Cell, status: str = "done") -> Record:
    environment, finished = {"code": "1"}, "2026-01-01T00:00:00+00:00"
    if status == "failed":
        failure = Failure("error: ValueError: no", "a traceback")
        return Record(cell, cell.key, "failed", environment, finished, failure=failure)
    counts = np.arange(2 * 8).reshape(2, 2, 2, 2)
    return Record(
        cell,
        cell.key,
        "done",
        environment,
        finished,
        supervision=Supervision(bias_labels=True),
        groups=Groups(2, ("corner",), (2,), ((0, 1),)),
        candidates=(Candidate("epoch 1", {"loss": 0.1}), Candidate("epoch 2", {"loss": None}, False, 0.5, 123)),
        counts={"test": PackedCounts.pack(counts)},
        resources=Resources(1.5, 0.5, 1 << 30, True, 10, 8, 99),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_record_comes_back_as_it_was(store: Store, status: str) -> None:
    record = record_of(cell_number(0), status)
    path = store.write(record)
    assert store.read(record.key) == record == read_record(path)
    assert store.state(record.key) == status
    if status == "done":
        assert record.counts["test"].unpack().tolist() == np.arange(16).reshape(2, 2, 2, 2).tolist()


def test_an_unknown_cell_has_no_record(store: Store) -> None:
    assert store.read("0" * 20) is None
    assert store.state("0" * 20) == "missing"
    assert store.finished() == store.failed() == set()
    assert not store.root.exists()


def test_comparable_leaves_out_times_and_environment_and_nothing_else() -> None:
    record = record_of(cell_number(0))
    for name, other in {
        "environment": {"code": "2"},
        "finished_at": "2027",
        "resources": Resources(),
    }.items():
        assert dataclasses.replace(record, **{name: other}).comparable() == record.comparable()
    for name, other in {
        "cell": cell_number(1),
        "key": "another",
        "status": "failed",
        "supervision": None,
        "groups": None,
        "candidates": record.candidates[:1],
        "counts": {},
        "failure": Failure("x"),
    }.items():
        assert dataclasses.replace(record, **{name: other}).comparable() != record.comparable()


def test_a_result_takes_the_place_of_a_failure_and_of_the_cells_leftovers(store: Store) -> None:
    cell = cell_number(0)
    store.write(record_of(cell, "failed"))
    store.note_death(cell.key, "killed by SIGKILL")
    work = store.work_folder(cell.key)
    work.mkdir(parents=True)
    (work / "checkpoint.pt").touch()
    assert (store.failed(), store.finished()) == ({cell.key}, set())
    store.write(record_of(cell))
    assert (store.failed(), store.finished()) == (set(), {cell.key})
    assert not store.failure_path(cell.key).exists()
    assert store.deaths(cell.key) == []
    assert not work.exists()


def test_a_finished_cell_is_not_failed_even_if_an_older_failure_was_left(store: Store) -> None:
    cell = cell_number(0)
    store.write(record_of(cell))
    store.write(record_of(cell, "failed"))
    assert (store.failed(), store.state(cell.key)) == (set(), "done")
    found = store.read(cell.key)
    assert found is not None
    assert found.status == "done"


def test_a_forgotten_failure_may_be_tried_again(store: Store) -> None:
    cell = cell_number(0)
    store.write(record_of(cell, "failed"))
    store.note_death(cell.key, "killed")
    store.forget_failure(cell.key)
    assert store.state(cell.key) == "missing"
    assert store.deaths(cell.key) == []


def test_deaths_are_kept_one_a_line(store: Store) -> None:
    assert store.note_death("ab" * 10, "killed by\nSIGKILL") == 1
    assert store.note_death("ab" * 10, "exit code 3") == 2
    assert store.deaths("ab" * 10) == ["killed by SIGKILL", "exit code 3"]


def test_folders_are_sharded_by_key(store: Store) -> None:
    key = cell_number(0).key
    for path in (store.record_path(key), store.failure_path(key), store.artifact_folder(key) / key):
        assert path.parent.name == key[:2]


class TestDamage:
    """Files that are not what was written."""

    @pytest.mark.parametrize("keep", [0, 1, 0.5, 0.99])
    @pytest.mark.parametrize("status", ["done", "failed"])
    def test_a_truncated_record_is_missing_to_the_planner_and_damaged_to_readers(
        self, store: Store, keep: float, status: str, cells_of: Callable[..., list[Cell]]
    ) -> None:
        (cell,) = cells_of("toy_erm")
        path = store.write(record_of(cell, status))
        content = path.read_bytes()
        path.write_bytes(content[: int(keep) if keep >= 1 else int(keep * len(content))])
        assert store.state(cell.key) == "missing"
        assert store.finished() | store.failed() == set()
        assert [found.key for found in make_plan([cell], store).to_run] == [cell.key]
        with pytest.raises(ResultCorruptError, match=r"is damaged .* delete it and run the sweep again"):
            read_record(path)

    @pytest.mark.parametrize("content", [b'{"not": "a record"}\n', b"\x00" * 100, b"[1, 2}\n", b"\xff}\n"])
    def test_what_is_no_record_says_so(self, store: Store, content: bytes) -> None:
        path = store.record_path("ab" * 10)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        with pytest.raises(ResultCorruptError, match="is damaged"):
            store.read("ab" * 10)

    def test_a_record_under_another_key_is_refused(self, store: Store) -> None:
        path = store.write(record_of(cell_number(0)))
        other = store.record_path(cell_number(1).key)
        other.parent.mkdir(parents=True, exist_ok=True)
        path.rename(other)
        with pytest.raises(ResultCorruptError, match="does not belong to its key"):
            read_record(other)

    def test_a_record_whose_cell_was_edited_is_refused(self, store: Store) -> None:
        path = store.write(record_of(cell_number(0)))
        path.write_bytes(path.read_bytes().replace(b'"rho":0.9', b'"rho":0.8'))
        with pytest.raises(ResultCorruptError, match="does not belong to its key"):
            read_record(path)

    def test_a_record_of_another_layout_says_so(self, store: Store) -> None:
        path = store.write(dataclasses.replace(record_of(cell_number(0)), schema=99))
        with pytest.raises(ResultCorruptError, match="has layout 99, this version reads 1"):
            read_record(path)


class TestManyRecords:
    """Ten thousand of them."""

    def test_are_told_apart_without_being_read(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = [f"{i:020x}"[::-1] for i in range(10_000)]
        for folder in ("records", "failures"):
            for shard in {key[:2] for key in keys}:
                (store.root / folder / shard).mkdir(parents=True)
        for i, key in enumerate(keys):
            path = store.failure_path(key) if i % 10 == 0 else store.record_path(key)
            with open(path, "wb") as file:  # noqa: PTH123
                file.write(b'{"no": "record"' if i % 100 == 1 else b'{"no": "record"}\n')
        monkeypatch.setattr("benchmark.store._decoder", None)
        assert store.failed() == set(keys[::10])
        assert store.finished() == {key for i, key in enumerate(keys) if i % 10 and i % 100 != 1}
        assert len(store.record_files()) == 10_000

    def test_one_that_vanishes_during_the_scan_is_no_error(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        cells = [cell_number(i) for i in range(20)]
        for cell in cells:
            store.write(record_of(cell, "failed"))
        scandir = os.scandir

        def racing(path: str | Path) -> object:
            entries = list(scandir(path))
            for entry in entries:
                if entry.name.endswith(".json"):
                    Path(entry.path).unlink()  # another process has replaced the failure by a result
            return iter(entries)

        monkeypatch.setattr(os, "scandir", racing)
        assert store.failed() == set()


class TestAtomicWrite:
    """The one way in which anything is written."""

    def test_a_killed_writer_leaves_the_old_file_or_the_new_one(self, tmp_path: Path) -> None:
        """A writer replaces records of half a megabyte as fast as it can and is killed in the middle, many times."""
        store = Store(tmp_path)
        cell = cell_number(0)
        record = record_of(cell)
        versions = [dataclasses.replace(record, finished_at=str(i) * 500_000) for i in range(2)]
        store.write(record)

        def write_for_ever() -> None:
            while True:
                for version in versions:
                    store.write(version)

        torn = 0
        for attempt in range(25):
            child = in_child(write_for_ever)
            time.sleep(0.02 + 0.0013 * attempt)
            os.kill(child, signal.SIGKILL)
            assert exit_code(child) == -signal.SIGKILL
            found = read_record(store.record_path(cell.key))
            assert found in (record, *versions)
            torn += len(list(store.record_path(cell.key).parent.glob(".*.tmp")))
            assert store.finished() == {cell.key}
        assert torn, "no writer was killed in the middle: the test shows nothing"

    def test_a_failing_writer_leaves_no_trace(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "file"
        write_atomic(path, b"old")

        def fail() -> None:
            with atomic_path(path) as temporary:
                temporary.write_bytes(b"half of the n")
                raise RuntimeError("the writer fails")

        with pytest.raises(RuntimeError, match="the writer fails"):
            fail()
        assert path.read_bytes() == b"old"
        assert list(path.parent.iterdir()) == [path]

    def test_two_writers_do_not_meet(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        with atomic_path(path) as first, atomic_path(path) as second:
            first.write_bytes(b"first")
            second.write_bytes(b"second")
            assert first != second
        assert path.read_bytes() == b"first"
