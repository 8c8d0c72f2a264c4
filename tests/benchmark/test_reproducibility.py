"""The real tasks: the same sweep, run in two folders with one and with two processes, gives the same records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark.cell import Cell
from benchmark.executor import Event
from benchmark.record import Record


def test_one_process_and_two_give_the_same_records(
    cells_of: Callable[..., list[Cell]],
    run_cells: Callable[..., list[Event]],
    records: Callable[[Path], dict[str, Record]],
    tmp_path: Path,
) -> None:
    embedded = {"params": {"source": "embedded"}}
    tasks = [{"name": name, **embedded} for name in ("multi_color_mnist",)]
    tasks.append({"name": "colored_mnist", "rho": [0.95], **embedded})
    cells = cells_of("magnitude_pruning", "vanilla", tasks=tasks)
    for jobs in (1, 2):
        assert {event.kind for event in run_cells(cells, tmp_path / str(jobs), jobs)} == {"done"}
    first, second = records(tmp_path / "1"), records(tmp_path / "2")
    assert {cell.key for cell in cells} == set(first) == set(second)
    for key, record in first.items():
        assert record.comparable() == second[key].comparable()
        assert record.counts["test"].unpack().sum(axis=(1, 2, 3)).tolist() == [500] * len(record.candidates)
