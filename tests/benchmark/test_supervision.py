"""What is printed as supervision covers what a cell's upstream cells were given."""

from __future__ import annotations

from pathlib import Path

from benchmark.cell import Cell, make_cell, supervision_of
from benchmark.method import Supervision
from benchmark.protocol import PROTOCOLS
from benchmark.registry import TASKS


def cell_of(method: str, **params: object) -> Cell:
    kind = TASKS.get("colored_mnist")
    task = kind(kind.resolve(kind.Params(source="embedded"), Path("nowhere"), PROTOCOLS["smoke"]))
    return make_cell(task, 0.99, method, params, 0, PROTOCOLS["smoke"])


def test_a_method_without_needs_has_no_supervision() -> None:
    assert supervision_of(cell_of("random_pruning")) == Supervision()


def test_matching_the_mask_of_a_supervised_method_is_supervision() -> None:
    assert supervision_of(cell_of("random_pruning", match="bise")) == Supervision(bias_labels=True)
    assert supervision_of(cell_of("magnitude_pruning", match="ffw_structured")) == Supervision(unbiased_split=True)
