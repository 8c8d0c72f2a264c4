"""What a method may be tuned by, and what a trial is worth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmark.cell import Cell, task_of
from benchmark.counts import Groups, PackedCounts
from benchmark.errors import ConfigError
from benchmark.record import Candidate, Record
from benchmark.tuning.objective import OBJECTIVES, objective_for, values_of

NOTHING, LABELS, UNBIASED, BOTH = (False, False), (True, False), (False, True), (True, True)


@pytest.mark.parametrize(
    ("given", "automatic", "refused"),
    [
        (NOTHING, "biased_val", {"unbiased_val", "worst_group_val", "balanced_val"}),
        (LABELS, "balanced_val", {"unbiased_val", "worst_group_val"}),
        (UNBIASED, "unbiased_val", {"balanced_val"}),
        (BOTH, "unbiased_val", set()),
    ],
)
def test_a_method_is_tuned_on_what_it_declares_to_see(
    cells_of: Callable[..., list[Cell]], given: tuple[bool, bool], automatic: str, refused: set[str]
) -> None:
    task = task_of(cells_of("toy_erm")[0])
    assert objective_for("auto", "some", given, task).name == automatic
    for name in OBJECTIVES:
        if name in refused:
            with pytest.raises(ConfigError, match=f"some on toy may not be tuned by {name}.*Use .*{automatic}"):
                objective_for(name, "some", given, task)
        else:
            assert objective_for(name, "some", given, task).name == name


def test_a_task_without_an_unbiased_split_leaves_the_biased_one(cells_of: Callable[..., list[Cell]]) -> None:
    task = task_of(cells_of("toy_erm", tasks=["toy_unlabelled"])[0])
    assert objective_for("auto", "some", UNBIASED, task).name == "biased_val"
    with pytest.raises(ConfigError, match="the task has no split val_unbiased"):
        objective_for("unbiased_val", "some", UNBIASED, task)


def test_an_unknown_objective_is_refused_with_the_nearest(cells_of: Callable[..., list[Cell]]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'balanced_val'"):
        objective_for("balance_val", "some", BOTH, task_of(cells_of("toy_erm")[0]))


def test_no_objective_looks_at_test_or_at_anything_but_the_target() -> None:
    assert {objective.split for objective in OBJECTIVES.values()} == {"val_biased", "val_unbiased"}
    assert all("accuracy" in o.metric or o.metric == "alignment_group_mean" for o in OBJECTIVES.values())


def test_values_are_those_of_selectable_candidates(cells_of: Callable[..., list[Cell]]) -> None:
    """Two classes, two biases; 8 aligned samples of which 8, 4, 2 are right, 2 conflicting of which 0, 1, 2 are."""
    groups = Groups(2, ("corner",), (2,), ((0, 1),))
    tables = np.zeros((3, 2, 2, 2), np.int64)
    for candidate, (aligned, conflicting) in enumerate([(4, 0), (2, 1), (1, 2)]):
        for y in (0, 1):
            tables[candidate, y, y, y], tables[candidate, y, y, 1 - y] = aligned, 4 - aligned
        tables[candidate, 0, 1, 0], tables[candidate, 0, 1, 1] = conflicting, 2 - conflicting
    candidates = (Candidate("a"), Candidate("b", selectable=False), Candidate("c"))
    cell = cells_of("toy_erm")[0]
    counts = {"val_biased": PackedCounts.pack(tables)}
    record = Record(cell, cell.key, "done", {}, "", groups=groups, candidates=candidates, counts=counts)
    assert values_of(record, OBJECTIVES["balanced_val"]) == {0: (1 + 0) / 2, 1: (0.25 + 1) / 2}
    assert values_of(record, OBJECTIVES["biased_val"]) == {0: 8 / 10, 1: 4 / 10}
    assert values_of(record, OBJECTIVES["unbiased_val"]) == {}
