"""Times of earlier cells become estimates; where there are none, the estimate says that it is a guess."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.cell import Cell, make_cell
from benchmark.digest import Digest, Digests
from benchmark.estimate import Estimate, Estimates
from benchmark.protocol import Protocol
from benchmark.registry import METHODS, TASKS
from benchmark.store import Store

CPU, GPU = "some processor", "some GPU"


def timed(seconds: float, hardware: str = CPU, **changes: Any) -> Digest:
    device = "cpu" if hardware == CPU else "cuda:1"
    return replace(Digest("toy", "toy_erm", "smoke", seconds, False, device, hardware, "1"), **changes)


@pytest.fixture
def cell(cells_of: Callable[..., list[Cell]]) -> Cell:
    return cells_of("toy_erm")[0]


def test_the_median_of_the_same_kind_of_cell_counts(cell: Cell) -> None:
    found = Estimates([timed(1), timed(9), timed(2), timed(500, method="other"), timed(500, protocol="paper")])
    assert found.of(cell, "cpu") == Estimate(2, measured=True)


def test_the_kind_of_device_matters_not_its_number(cell: Cell) -> None:
    found = Estimates([timed(40), timed(3, GPU)])
    assert found.of(cell, "cuda:0,cuda:1") == Estimate(3, measured=True)
    assert found.of(cell, "cpu") == Estimate(40, measured=True)


def test_of_several_models_of_a_device_the_slowest_counts(cell: Cell) -> None:
    found = Estimates([timed(3, GPU), timed(7, "old GPU"), timed(5, "old GPU")])
    assert found.of(cell, "cuda") == Estimate(6, measured=True)


def test_times_of_another_device_are_a_guess(cell: Cell) -> None:
    assert Estimates([timed(40)]).of(cell, "cuda") == Estimate(40, measured=False)


def test_resumed_cells_do_not_count(cell: Cell) -> None:
    found = Estimates([timed(40), timed(1, resumed=True), timed(1, resumed=True)])
    assert found.of(cell, "cpu") == Estimate(40, measured=True)


def test_without_any_times_epochs_are_counted(cells_of: Callable[..., list[Cell]]) -> None:
    """The toy's reference has 100 epochs: 2 under smoke, which caps samples, and 100 under paper, which does not."""
    (smoke,), (paper,) = cells_of("toy_erm"), cells_of("toy_erm", protocol="paper")
    assert Estimates([]).of(smoke, "cpu") == Estimate(7, measured=False)
    assert Estimates([]).of(paper, "cpu") == Estimate(1005, measured=False)


class Laborious(METHODS.get("vanilla")):  # type: ignore[misc]
    """Says that it computes twice as much as vanilla training."""

    name = "laborious"

    def effort(self) -> float:
        return 2.0


def test_without_any_times_work_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An MLP of 2352-100-100-100-100-10 on 50,000 images, of which the protocol takes 1,000 for 3 of 100 epochs."""
    monkeypatch.setitem(METHODS._classes, "laborious", Laborious)
    kind = TASKS.get("colored_mnist")
    protocol = Protocol("few", 0.03, None, 1000, 500, candidates=2)
    cell = make_cell(kind(kind.Params(source="complete")), 0.99, "laborious", {}, 0, protocol)
    passes = 2 * 3 * 1000 * 3 + 2 * 3 * 500  # training: forwards and twice backwards; scoring: 2 candidates, 3 splits
    for device, rate, beside in (("cpu", 4e10, 2e-5), ("cuda:0", 8e12, 1.5e-5), ("unheard of", 4e10, 2e-5)):
        expected = 5 + passes * (266_200 / rate + beside)
        found = Estimates([]).of(cell, device)
        assert found == Estimate(pytest.approx(expected), measured=False)
    half = Estimates([]).of(replace(cell, precision="bf16"), "cpu")
    assert half.seconds == pytest.approx(5 + passes * (266_200 / 4e10 / 1.8 + 2e-5))


class TestDigests:
    """What is read of records."""

    def test_are_those_of_finished_cells(
        self, cells_of: Callable[..., list[Cell]], run_cells: Callable[..., Any], tmp_path: Path
    ) -> None:
        good, bad = cells_of("toy_erm", {"name": "toy_bad"})
        run_cells([good, bad], tmp_path)
        record = Store(tmp_path).read(good.key)
        assert record is not None
        seconds = record.resources.train_seconds + record.resources.evaluate_seconds
        hardware, code = record.environment["hardware"], record.environment["code"]
        assert Digests(Store(tmp_path)).read() == {
            good.key: Digest("toy", "toy_erm", "smoke", seconds, False, "cpu", hardware, code)
        }

    def test_are_read_once_and_new_ones_added(
        self, cells_of: Callable[..., list[Cell]], run_cells: Callable[..., Any], tmp_path: Path
    ) -> None:
        first, second = cells_of("toy_erm", seeds=2)
        digests = Digests(Store(tmp_path))
        run_cells([first], tmp_path)
        assert set(digests.read()) == {first.key}
        Store(tmp_path).record_path(first.key).write_text("damaged")
        run_cells([second], tmp_path)
        assert set(digests.read()) == {first.key, second.key}

    def test_leave_damaged_records_to_those_who_read_their_results(
        self, cells_of: Callable[..., list[Cell]], run_cells: Callable[..., Any], tmp_path: Path
    ) -> None:
        cells = cells_of("toy_erm", seeds=3)
        run_cells(cells, tmp_path)
        whole, truncated, other = (Store(tmp_path).record_path(cell.key) for cell in cells)
        truncated.write_bytes(truncated.read_bytes()[:100])
        other.write_text(json.dumps({"cell": {"task": "toy"}}))
        assert set(Digests(Store(tmp_path)).read()) == {whole.stem}
