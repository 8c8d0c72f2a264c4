from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.across_tasks import average_ranks, interquartile_mean

NAN = math.nan


def test_average_ranks_by_hand() -> None:
    """Ranks 1 2 3, 1 3 2, 2 1 3 and 1.5 1.5 3; Friedman's statistic agrees with SciPy's, which corrects for ties."""
    scores = np.array([[0.9, 0.8, 0.7], [0.9, 0.6, 0.7], [0.5, 0.6, 0.4], [0.5, 0.5, 0.4]])
    found = average_ranks(scores)
    assert found.ranks.tolist() == [5.5 / 4, 7.5 / 4, 11 / 4]
    assert found.tasks == 4
    assert found.critical_difference == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 4)), abs=1e-3)
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_use_the_tabulated_quantiles(methods: int, q: float) -> None:
    """Table 5 a of Demsar 2006."""
    scores = np.tile(np.arange(methods), (8, 1))
    expected = q * math.sqrt(methods * (methods + 1) / 48)
    assert average_ranks(scores).critical_difference == pytest.approx(expected, abs=2e-3)


def test_groups_are_the_largest_sets_of_neighbours_within_the_critical_difference() -> None:
    order = np.array([[5.0, 4, 3, 2, 1]] * 20)  # ranks 1 to 5 on 20 tasks: critical difference 1.364
    assert average_ranks(order).groups == ((0, 1), (1, 2), (2, 3), (3, 4))
    assert average_ranks(order[:2]).groups == ((0, 1, 2, 3, 4),)
    assert average_ranks(np.tile(order, (10, 1))).groups == ()


def test_tied_scores_share_their_average_rank_and_rounding_does_not_break_ties() -> None:
    found = average_ranks(np.array([[0.1 + 0.2, 0.3, 0.1]]))
    assert found.ranks.tolist() == [1.5, 1.5, 3.0]
    assert math.isnan(found.friedman_p)


def test_missing_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="1 missing; leave out incomplete tasks or methods"):
        average_ranks(np.array([[0.1, NAN]]))


@settings(max_examples=30)
@given(st.integers(1, 8), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_average_ranks_sum_to_those_of_any_order(tasks: int, methods: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 4, (tasks, methods)) / 4
    found = average_ranks(scores)
    assert found.ranks.sum() == pytest.approx(methods * (methods + 1) / 2)
    assert ((found.ranks >= 1) & (found.ranks <= methods)).all()


def test_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    scores = np.array([[0.0, 1.0, 0.5, 0.6], [0.1, 0.9, 0.4, 0.7]])
    assert interquartile_mean(scores).value == pytest.approx((0.4 + 0.5 + 0.6 + 0.7) / 4)


def test_interquartile_mean_leaves_out_missing_seeds_and_has_no_interval_with_single_ones() -> None:
    found = interquartile_mean(np.array([[0.5, 0.7, NAN], [0.9, NAN, NAN], [NAN, NAN, NAN]]))
    assert found.value == pytest.approx(0.7)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(interquartile_mean(np.full((2, 2), NAN)).value)


def test_interquartile_mean_repeats_itself_and_encloses_its_value() -> None:
    scores = np.random.default_rng(0).normal(0.7, 0.05, (4, 5))
    found = interquartile_mean(scores)
    assert found == interquartile_mean(scores)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("tasks", "seeds"), [(4, 3), (8, 3), (4, 5), (1, 3)])
def test_its_interval_covers_with_few_seeds(tasks: int, seeds: int) -> None:
    rng = np.random.default_rng(tasks * seeds)
    means, spread = np.linspace(0.4, 0.95, tasks)[:, None], np.linspace(0.05, 0.005, tasks)[:, None]
    draws = rng.normal(means, spread, (4000, tasks, seeds)).reshape(4000, -1)
    truth = float(stats.trim_mean(draws, 0.25, axis=1).mean())
    found = [interquartile_mean(rng.normal(means, spread, (tasks, seeds)), resamples=300) for _ in range(300)]
    coverage = np.mean([estimate.low <= truth <= estimate.high for estimate in found])
    assert coverage >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 300)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(tasks, seeds\)"):
        interquartile_mean(np.zeros(3))
