"""Diagnostics as part of a cell: asked for in the sweep, without influence on anything else, completed later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cell import Cell
from benchmark.diagnostics import DIAGNOSTICS, chosen
from benchmark.diagnostics.suite import MEASURES
from benchmark.errors import UnknownNameError
from benchmark.planner import make_plan
from benchmark.store import Store

Cells = Callable[..., list[Cell]]


def test_every_diagnostic_is_measured_in_the_order_of_the_list() -> None:
    assert list(MEASURES) == list(DIAGNOSTICS)


def test_a_sweep_asks_for_all_some_or_none(cells_of: Cells) -> None:
    assert cells_of("toy_erm")[0].diagnostics == ()
    assert cells_of("toy_erm", diagnostics=True)[0].diagnostics == tuple(DIAGNOSTICS)
    assert cells_of("toy_erm", diagnostics=["latency", "pruned"])[0].diagnostics == ("pruned", "latency")
    assert chosen(False) == ()
    with pytest.raises(UnknownNameError, match="did you mean 'latency'"):
        cells_of("toy_erm", diagnostics=["latencies"])


def test_they_change_nothing_else_of_the_record(cells_of: Cells, run_cells: Any, records: Any, tmp_path: Path) -> None:
    plain, diagnosed = cells_of("toy_tune"), cells_of("toy_tune", diagnostics=True)
    run_cells(plain, tmp_path / "plain")
    run_cells(diagnosed, tmp_path / "diagnosed")
    before, after = (records(tmp_path / name)[plain[0].key] for name in ("plain", "diagnosed"))
    assert before.comparable() == after.comparable()
    assert before.diagnostics == {}
    assert list(after.diagnostics) == list(DIAGNOSTICS)
    assert {"before", "after"} <= set(after.diagnostics["decodability"])
    assert after.diagnostics["decodability"]["after"]["corner"] > 0.9
    assert "cannot be redrawn" in after.diagnostics["counterfactual"]["not_applicable"]


def test_a_finished_cell_is_run_again_for_what_was_not_measured_and_keeps_what_was(
    cells_of: Cells, run_cells: Any, records: Any, tmp_path: Path
) -> None:
    def measured(**asked: Any) -> tuple[int, list[str]]:
        cells = cells_of("toy_erm", **asked)
        events = run_cells(cells, tmp_path)
        assert make_plan(cells, Store(tmp_path)).states == {cells[0].key: "done"}
        return len(events), list(records(tmp_path)[cells[0].key].diagnostics)

    assert measured()[1] == []
    assert measured(diagnostics=["latency"])[1] == ["latency"]
    assert measured(diagnostics=["pruned"])[1] == ["pruned", "latency"]
    assert measured(diagnostics=["latency"]) == (0, ["pruned", "latency"])
    assert measured() == (0, ["pruned", "latency"])


def test_a_diagnostic_that_breaks_does_not_take_the_cell_with_it(
    cells_of: Cells, run_cells: Any, records: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(subject: Any) -> dict[str, Any]:
        raise ZeroDivisionError("as told")

    monkeypatch.setitem(MEASURES, "pruned", breaks)
    (cell,) = cells_of("toy_erm", diagnostics=["pruned", "latency"])
    run_cells([cell], tmp_path)
    record = records(tmp_path)[cell.key]
    assert record.status == "done"
    assert record.diagnostics["pruned"] == {"failed": "ZeroDivisionError: as told"}
    assert list(record.diagnostics["latency"]) == ["dense"]
