"""The plan holds what is missing, in an order in which it can be run, with what it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark.cell import Cell, upstream_cells
from benchmark.executor import Event
from benchmark.planner import make_plan, with_upstream
from benchmark.store import Store

CellsOf = Callable[..., list[Cell]]
RunCells = Callable[..., list[Event]]


def test_everything_is_missing_at_first_and_starts_come_first(cells_of: CellsOf, tmp_path: Path) -> None:
    cells = cells_of("toy_tune", "toy_groups", "toy_erm", seeds=2)
    plan = make_plan(cells, Store(tmp_path))
    assert plan.count("missing") == 6
    order = [cell.key for cell in plan.to_run]
    assert sorted(order) == sorted(cell.key for cell in cells)
    for cell in cells:
        starts = {start.key for start in upstream_cells(cell).values()}
        assert plan.upstream[cell.key] == starts
        assert all(order.index(start) < order.index(cell.key) for start in starts)


def test_a_start_that_no_sweep_lists_is_run_too_but_is_no_cell_of_the_sweep(cells_of: CellsOf, tmp_path: Path) -> None:
    cells = cells_of("toy_tune")
    plan = make_plan(cells, Store(tmp_path))
    assert [cell.method for cell in plan.to_run] == ["toy_erm", "toy_tune"]
    assert list(plan.states) == [cells[0].key]


def test_what_is_there_is_not_run(cells_of: CellsOf, run_cells: RunCells, tmp_path: Path) -> None:
    cells = cells_of("toy_tune", "toy_groups", {"name": "toy_bad"})
    run_cells(cells, tmp_path)
    store = Store(tmp_path)
    plan = make_plan(cells, store)
    assert (plan.count("done"), plan.count("failed"), plan.to_run) == (2, 1, [])
    store.record_path(cells[0].key).unlink()
    plan = make_plan(cells, store)
    assert [cell.key for cell in plan.to_run] == [cells[0].key]  # its start's artifact is there
    assert plan.upstream[cells[0].key] == set()


def test_a_start_whose_artifact_was_deleted_is_made_again(
    cells_of: CellsOf, run_cells: RunCells, tmp_path: Path
) -> None:
    cells, store = cells_of("toy_tune"), Store(tmp_path)
    run_cells(cells, tmp_path)
    (start,) = upstream_cells(cells[0]).values()
    artifact = store.artifact(start.key)
    assert artifact is not None
    content = artifact.read_bytes()
    artifact.unlink()
    store.record_path(cells[0].key).unlink()
    assert {event.kind for event in run_cells(cells, tmp_path)} == {"done"}
    assert artifact.read_bytes() == content


def test_a_start_that_died_between_its_artifact_and_its_record_is_made_again(
    cells_of: CellsOf, run_cells: RunCells, tmp_path: Path
) -> None:
    cells, store = cells_of("toy_tune"), Store(tmp_path)
    run_cells(cells, tmp_path)
    (start,) = upstream_cells(cells[0]).values()
    for cell in (start, cells[0]):
        store.record_path(cell.key).unlink()
    assert [event.cell.key for event in run_cells(cells, tmp_path)] == [start.key, cells[0].key]
    assert store.finished() == {start.key, cells[0].key}


def test_what_waits_for_a_failed_start_does_not_wait_for_ever(
    cells_of: CellsOf, run_cells: RunCells, tmp_path: Path
) -> None:
    cells, store = cells_of("toy_bad_start"), Store(tmp_path)
    run_cells(cells, tmp_path)
    store.forget_failure(cells[0].key)
    plan = make_plan(cells, store)
    assert [cell.key for cell in plan.to_run] == [cells[0].key]
    assert plan.upstream[cells[0].key] == set()


def test_cells_with_their_starts(cells_of: CellsOf) -> None:
    cells = cells_of("toy_tune", "toy_groups")
    (start,) = upstream_cells(cells[0]).values()
    assert set(with_upstream(cells)) == {start.key, *(cell.key for cell in cells)}
