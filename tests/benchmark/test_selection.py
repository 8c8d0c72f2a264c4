from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.counts import Groups
from benchmark.metrics import METRICS, score
from benchmark.selection import RULES

GROUPS = Groups(2, ("colour",), (2,), ((0, 1),))


def table(*cells: tuple[int, int, int, int], total: int = 10):
    """One candidate per argument: correct samples of ``total`` in the cells (0, 0), (0, 1), (1, 0), (1, 1)."""
    counts = np.zeros((len(cells), *GROUPS.shape), dtype=np.int64)
    for index, correct in enumerate(cells):
        for (y, b), value in zip([(0, 0), (0, 1), (1, 0), (1, 1)], correct, strict=True):
            counts[index, y, b, y] = value
            counts[index, y, b, 1 - y] = total - value
    return counts


COUNTS = {
    "val_biased": table((10, 0, 0, 10), (8, 8, 8, 8), (7, 9, 7, 9), (9, 2, 2, 9)),
    "val_unbiased": table((10, 0, 0, 10), (8, 8, 8, 8), (10, 10, 10, 6), (9, 2, 2, 9)),
    "test": table((10, 0, 0, 10), (8, 8, 8, 8), (7, 9, 7, 9), (9, 9, 9, 9)),
}
EVERY = [True] * 4


def chosen(rule: str, **changes):
    arguments = {"counts": COUNTS, "groups": GROUPS, "selectable": EVERY, "headline": "unbiased_accuracy"} | changes
    return RULES[rule].choose(**arguments)


def test_each_rule_reads_its_own_split_and_metric() -> None:
    counts = COUNTS | {"val_biased": COUNTS["val_biased"].copy()}
    counts["val_biased"][0, 0, 0, 0] += 1000  # the biased validation split is full of aligned samples
    assert {rule: chosen(rule, counts=counts).index for rule in RULES} == {
        "last": 3,
        "biased_val": 0,
        "unbiased_val": 2,
        "worst_group_val": 1,
        "oracle": 3,
    }


def test_oracle_follows_the_headline_of_the_task_and_is_the_only_rule_that_is_not_rankable() -> None:
    assert chosen("oracle", headline="aligned_accuracy").index == 0
    assert [name for name, rule in RULES.items() if not rule.rankable] == ["oracle"]


def test_only_selectable_candidates_are_chosen() -> None:
    assert chosen("last", selectable=[True, True, False, False]).index == 1
    assert chosen("oracle", selectable=[True, False, True, False]).index == 2
    assert chosen("oracle", selectable=[False] * 4).reason == "no selectable candidate"
    assert chosen("last", selectable=[False] * 4).index is None


def test_ties_go_to_the_latest_candidate() -> None:
    saturated = table((10, 10, 10, 10), (10, 10, 10, 10), (3, 3, 3, 3))
    assert chosen("biased_val", counts={"val_biased": saturated}, selectable=[True] * 3).index == 1


def test_rounding_does_not_break_a_tie() -> None:
    counts = np.zeros((2, 3, 1, 3), dtype=np.int64)
    groups = Groups(3, ("b",), (1,), ((0, 0, 0),))
    for candidate, shares in enumerate([(1, 2, 3), (3, 2, 1)]):  # means of .1 .2 .3 and .3 .2 .1
        for y, value in enumerate(shares):
            counts[candidate, y, 0, y] = value
            counts[candidate, y, 0, (y + 1) % 3] = 10 - value
    means = score("unbiased_accuracy", counts, groups)
    assert means[0] != means[1], "the case shows rounding"
    for order in ([0, 1], [1, 0]):
        split = {"val_unbiased": counts[order]}
        assert chosen("unbiased_val", counts=split, groups=groups, selectable=[True, True]).index == 1


def test_rules_that_need_bias_labels_say_so_where_there_are_none() -> None:
    groups = Groups(2)
    counts = {name: tables.sum(2, keepdims=True) for name, tables in COUNTS.items()}
    for rule in ("unbiased_val", "worst_group_val"):
        choice = chosen(rule, counts=counts, groups=groups)
        assert choice.index is None
        assert "the task has no bias labels" in str(choice.reason)
    assert chosen("oracle", counts=counts, groups=groups, headline="accuracy").index == 3
    assert chosen("biased_val", counts=counts, groups=groups).index is not None


def test_a_missing_or_empty_split_makes_a_rule_not_applicable() -> None:
    assert chosen("biased_val", counts={}).reason == "no samples in val_biased"
    empty = {"val_unbiased": np.zeros((4, *GROUPS.shape), dtype=np.int64)}
    assert chosen("unbiased_val", counts=empty).reason == "no samples in val_unbiased"


def test_a_headline_that_is_not_defined_is_named() -> None:
    only_conflicting = {"test": COUNTS["test"].copy()}
    only_conflicting["test"][:, 0, 0] = 0
    only_conflicting["test"][:, 1, 1] = 0
    choice = chosen("oracle", counts=only_conflicting, headline="aligned_accuracy")
    assert choice.reason == "aligned_accuracy is not defined on test"


def test_tables_that_do_not_match_the_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="each of the 3 candidates; got 4"):
        chosen("biased_val", selectable=[True] * 3)


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_no_rule_beats_the_oracle_on_test(candidates: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = {split: rng.integers(0, 5, (candidates, *GROUPS.shape)) + 1 for split in COUNTS}
    selectable = rng.random(candidates) < 0.7
    for headline in set(METRICS) - {"gap"}:
        values = score(headline, counts["test"], GROUPS)
        choices = {name: rule.choose(counts, GROUPS, selectable, headline).index for name, rule in RULES.items()}
        if not selectable.any():
            assert set(choices.values()) == {None}
            continue
        for index in choices.values():
            assert index is not None
            assert selectable[index]
            assert values[index] <= values[choices["oracle"]] + 1e-12
