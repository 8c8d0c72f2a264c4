from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score

from benchmark.counts import Groups
from benchmark.errors import UnknownNameError
from benchmark.metrics import METRICS, combination_accuracies, score

NO_BIAS = Groups(3)
ONE = Groups(3, ("colour",), (3,), ((0, 1, 2),))
TWO = Groups(2, ("left", "right"), (2, 3), ((0, 1), (2, 0)))
BOUNDED = [name for name in METRICS if name != "gap"]


def tabulate(y: npt.NDArray[np.int64], b: npt.NDArray[np.int64], p: npt.NDArray[np.int64], groups: Groups):
    """Counts by a plain loop; b (N, biases)."""
    counts = np.zeros(groups.shape, dtype=np.int64)
    for target, bias, predicted in zip(y, b, p, strict=True):
        flat = 0
        for value, size in zip(bias, groups.bias_values, strict=True):
            flat = flat * size + int(value)
        counts[target, flat, predicted] += 1
    return counts


@st.composite
def samples(draw: st.DrawFn, minimum: int = 1):
    groups = draw(st.sampled_from([NO_BIAS, ONE, TWO]))
    n = draw(st.integers(minimum, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = rng.integers(0, groups.classes, n)
    b = np.stack([rng.integers(0, size, n) for size in groups.bias_values] or [np.zeros(n, np.int64)], axis=1)
    return groups, y, b[:, : len(groups.bias_values)], rng.integers(0, groups.classes, n)


def test_metrics_of_a_hand_made_table_with_one_bias() -> None:
    groups = Groups(2, ("sex",), (2,), ((1, 0),))  # class 0 goes with b = 1, class 1 with b = 0
    counts = np.zeros(groups.shape, dtype=np.int64)
    counts[0, 0] = (3, 7)  # conflicting: 3 of 10
    counts[0, 1] = (45, 5)  # aligned: 45 of 50
    counts[1, 0] = (4, 16)  # aligned: 16 of 20
    counts[1, 1] = (3, 1)  # conflicting: 1 of 4
    expected = {
        "accuracy": 65 / 84,
        "unbiased_accuracy": (0.3 + 0.9 + 0.8 + 0.25) / 4,
        "worst_group_accuracy": 0.25,
        "group_mean_accuracy": (19 / 30 + 46 / 54) / 2,
        "aligned_accuracy": 61 / 70,
        "conflicting_accuracy": 4 / 14,
        "gap": 61 / 70 - 4 / 14,
        "alignment_group_mean": (61 / 70 + 4 / 14) / 2,
        "worst_alignment_group_accuracy": 4 / 14,
        "sex_aligned": 61 / 70,
        "sex_conflicting": 4 / 14,
    }
    assert {name: float(score(name, counts, groups)) for name in expected} == pytest.approx(expected, abs=1e-15)
    assert set(METRICS) < set(expected)


def test_several_biases_are_conflicting_as_soon_as_one_is() -> None:
    counts = np.zeros(TWO.shape, dtype=np.int64)
    for y, left, right, right_answers, total in [
        (0, 0, 2, 10, 10),  # aligned, aligned
        (1, 1, 0, 8, 10),  # aligned, aligned
        (0, 0, 1, 3, 4),  # aligned, conflicting
        (1, 0, 0, 2, 8),  # conflicting, aligned
        (0, 1, 0, 0, 3),  # conflicting, conflicting
        (1, 0, 2, 1, 1),  # conflicting, conflicting
    ]:
        counts[y, left * 3 + right, y] = right_answers
        counts[y, left * 3 + right, 1 - y] = total - right_answers
    combinations = {name: float(value) for name, value in combination_accuracies(counts, TWO).items()}
    assert combinations == pytest.approx(
        {
            "left_aligned_right_aligned": 18 / 20,
            "left_aligned_right_conflicting": 3 / 4,
            "left_conflicting_right_aligned": 2 / 8,
            "left_conflicting_right_conflicting": 1 / 4,
        }
    )
    assert score("aligned_accuracy", counts, TWO) == pytest.approx(18 / 20)
    assert score("conflicting_accuracy", counts, TWO) == pytest.approx((3 + 2 + 0 + 1) / (4 + 8 + 3 + 1))
    assert score("alignment_group_mean", counts, TWO) == pytest.approx((0.9 + 0.75 + 0.25 + 0.25) / 4)
    assert score("worst_alignment_group_accuracy", counts, TWO) == pytest.approx(0.25)
    assert score("left_conflicting_right_aligned", counts, TWO) == pytest.approx(0.25)


def test_multi_color_mnist_mean_of_published_groups_is_the_published_unbiased_accuracy() -> None:
    """Voronoi table 3, vanilla: 100 / 97.1 / 27.5 / 5.2 gives 57.4."""
    groups = Groups(10, ("left", "right"), (10, 10), (tuple(range(10)), tuple(range(10))))
    counts = np.zeros(groups.shape, dtype=np.int64)
    aligned = groups.alignment()
    for y in range(10):
        for b in range(100):
            tenths = {(1, 1): 1000, (1, 0): 971, (0, 1): 275, (0, 0): 52}[tuple(aligned[:, y, b].astype(int))]
            counts[y, b, y] = tenths
            counts[y, b, (y + 1) % 10] = 1000 - tenths
    assert float(score("alignment_group_mean", counts, groups)) == pytest.approx(0.5745)


def test_cells_without_samples_do_not_enter_means_and_minima() -> None:
    counts = np.zeros(ONE.shape, dtype=np.int64)
    counts[0, 0] = (1, 1, 0)
    counts[2, 1] = (0, 0, 4)
    assert score("unbiased_accuracy", counts, ONE) == pytest.approx(0.75)
    assert score("worst_group_accuracy", counts, ONE) == pytest.approx(0.5)
    assert score("group_mean_accuracy", counts, ONE) == pytest.approx(0.75)


def test_metrics_are_nan_where_they_are_not_defined() -> None:
    only_conflicting = np.zeros(ONE.shape, dtype=np.int64)
    only_conflicting[0, 1, 0] = 5
    assert np.isnan(score("aligned_accuracy", only_conflicting, ONE))
    assert np.isnan(score("gap", only_conflicting, ONE))
    assert score("conflicting_accuracy", only_conflicting, ONE) == 1.0
    for name in METRICS:
        assert np.isnan(score(name, np.zeros((4, *ONE.shape), dtype=np.int64), ONE)).all(), name
    unlabelled = np.ones((2, *NO_BIAS.shape), dtype=np.int64)
    assert score("accuracy", unlabelled, NO_BIAS) == pytest.approx(1 / 3)
    for name in set(METRICS) - {"accuracy"}:
        assert np.isnan(score(name, unlabelled, NO_BIAS)).all(), name
    assert combination_accuracies(unlabelled, NO_BIAS) == {}


@given(samples())
def test_accuracy_and_cell_means_agree_with_scikit_learn(drawn) -> None:
    groups, y, b, p = drawn
    counts = tabulate(y, b, p, groups)
    assert float(score("accuracy", counts, groups)) == pytest.approx(accuracy_score(y, p))
    if not groups.bias_names:
        return
    flat = np.ravel_multi_index(tuple(b.T), groups.bias_values)
    cell = y * groups.shape[1] + flat
    # the recall of a "class" per cell is the accuracy in the cell: a wrong prediction names another, absent class
    answered = np.where(y == p, cell, -1)
    cells = recall_score(cell, answered, labels=np.unique(cell), average="macro", zero_division=0)
    assert float(score("unbiased_accuracy", counts, groups)) == pytest.approx(cells)
    by_bias = recall_score(flat, np.where(y == p, flat, -1), labels=np.unique(flat), average="macro", zero_division=0)
    assert float(score("group_mean_accuracy", counts, groups)) == pytest.approx(by_bias)
    per_cell = [accuracy_score(y[cell == c], p[cell == c]) for c in np.unique(cell)]
    assert float(score("worst_group_accuracy", counts, groups)) == pytest.approx(min(per_cell))


@given(samples(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(drawn, random) -> None:
    groups, y, b, p = drawn
    order = list(range(len(y)))
    random.shuffle(order)
    first, second = tabulate(y, b, p, groups), tabulate(y[order], b[order], p[order], groups)
    for name in METRICS:
        np.testing.assert_array_equal(score(name, first, groups), score(name, second, groups))


@given(samples())
def test_values_are_shares_and_the_worst_is_not_above_the_mean(drawn) -> None:
    groups, y, b, p = drawn
    counts = tabulate(y, b, p, groups)
    value = {name: float(score(name, counts, groups)) for name in METRICS}
    assert all(0 <= value[name] <= 1 for name in BOUNDED if not np.isnan(value[name]))
    if groups.bias_names:
        assert value["worst_group_accuracy"] <= value["unbiased_accuracy"] + 1e-12
        assert value["worst_group_accuracy"] <= value["accuracy"] + 1e-12
        assert value["worst_group_accuracy"] <= value["worst_alignment_group_accuracy"] + 1e-12
        assert value["worst_alignment_group_accuracy"] <= value["alignment_group_mean"] + 1e-12


@given(st.sampled_from([ONE, TWO]), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_on_equally_filled_cells_plain_and_unbiased_accuracy_agree(groups: Groups, per_cell: int, seed: int) -> None:
    classes, combinations, _ = groups.shape
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(per_cell, [1 / classes] * classes, size=(classes, combinations)).astype(np.int64)
    for name in ("unbiased_accuracy", "group_mean_accuracy"):
        assert float(score(name, counts, groups)) == pytest.approx(float(score("accuracy", counts, groups)))


@settings(max_examples=20)
@given(st.sampled_from([NO_BIAS, ONE, TWO]), st.integers(0, 2**32 - 1))
def test_leading_axes_are_independent(groups: Groups, seed: int) -> None:
    counts = np.random.default_rng(seed).poisson(0.7, size=(2, 3, *groups.shape)).astype(np.int64)
    for name in (*METRICS, *combination_accuracies(counts, groups)):
        together = score(name, counts, groups)
        assert together.shape == (2, 3)
        assert together.dtype == np.float64
        for index in np.ndindex(2, 3):
            np.testing.assert_array_equal(together[index], score(name, counts[index], groups))


def test_counts_of_other_groups_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3, 3\); got shape \(2, 6, 2\)"):
        score("accuracy", np.zeros(TWO.shape, dtype=np.int64), ONE)


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'worst_group_accuracy'"):
        score("worst_group_acc", np.zeros(ONE.shape, dtype=np.int64), ONE)


def test_names_of_combinations_are_identifiers() -> None:
    groups = Groups(2, ("Background colour",), (2,), ((0, 1),))
    assert list(combination_accuracies(np.ones(groups.shape, dtype=np.int64), groups)) == [
        "background_colour_aligned",
        "background_colour_conflicting",
    ]
