from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics import (
    BOOTSTRAP_SEEDS,
    compare,
    further_seeds,
    holm,
    oracle_gap,
    robustness,
    summarise,
)

NAN = math.nan
shares = st.floats(0, 1, allow_subnormal=False)


def test_summary_of_three_seeds_by_hand() -> None:
    """Mean 0.8, std 0.02; the 97.5 % quantile of t with 2 degrees of freedom is 4.302653."""
    found = summarise([0.78, 0.82, 0.80])
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert (found.n, found.mean, found.std) == (3, pytest.approx(0.8), pytest.approx(0.02))
    assert (found.low, found.high) == (pytest.approx(0.8 - half, abs=1e-7), pytest.approx(0.8 + half, abs=1e-7))


@given(st.lists(shares, min_size=2, max_size=20), st.sampled_from([0.8, 0.95, 0.99]))
def test_interval_agrees_with_scipy(scores: list[float], confidence: float) -> None:
    found = summarise(scores, confidence)
    assert found.mean == pytest.approx(np.mean(scores))
    assert found.std == pytest.approx(np.std(scores, ddof=1), abs=1e-12)
    if found.std > 1e-9:
        low, high = stats.t.interval(confidence, len(scores) - 1, np.mean(scores), stats.sem(scores))
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@given(st.lists(shares, min_size=1, max_size=20))
def test_the_mean_lies_between_the_scores_and_in_its_interval(scores: list[float]) -> None:
    found = summarise(scores)
    assert min(scores) - 1e-12 <= found.mean <= max(scores) + 1e-12
    assert len(scores) == 1 or found.low <= found.mean <= found.high


def test_one_seed_has_no_interval_and_none_has_no_mean() -> None:
    one = summarise([0.5, NAN])
    assert (one.n, one.mean) == (1, 0.5)
    assert all(math.isnan(value) for value in (one.std, one.low, one.high))
    none = summarise([NAN])
    assert none.n == 0
    assert math.isnan(none.mean)


def test_equal_scores_have_exactly_no_spread() -> None:
    found = summarise([0.1] * 7)
    assert (found.mean, found.std, found.low, found.high) == (0.1, 0.0, 0.1, 0.1)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_cover_at_the_nominal_rate(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    found = [summarise(row) for row in rng.normal(0.7, 0.02, (4000, seeds))]
    coverage = np.mean([interval.low <= 0.7 <= interval.high for interval in found])
    assert coverage == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


@given(
    st.lists(st.tuples(shares, shares), min_size=3, max_size=12).filter(
        lambda pairs: np.std([a - b for a, b in pairs]) > 1e-6
    )
)
def test_comparison_agrees_with_scipys_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    found, expected = compare(a, b), stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)
    assert (found.low, found.high) == (pytest.approx(interval.low, abs=1e-9), pytest.approx(interval.high, abs=1e-9))
    assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05) or abs(found.p_value - 0.05) < 1e-6


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=12))
def test_swapping_the_methods_mirrors_the_comparison(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    one, other = compare(a, b), compare(b, a)
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert one.probability == pytest.approx(1 - other.probability)
    assert (one.low, one.high) == (-other.high, -other.low)


def test_seeds_that_one_method_lacks_are_left_out() -> None:
    a, b = [0.9, NAN, 0.7, 0.8, 0.6], [0.5, 0.9, NAN, 0.6, 0.1]
    assert compare(a, b) == compare([0.9, 0.8, 0.6], [0.5, 0.6, 0.1])
    assert compare([0.9, NAN], [NAN, 0.9]).n == 0
    assert math.isnan(compare([0.9], [0.5]).p_value)
    assert compare([0.9], [0.5]).difference == pytest.approx(0.4)


def test_methods_with_other_numbers_of_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        compare([0.1, 0.2], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="shape"):
        summarise(np.zeros((2, 2)))


def test_differences_without_spread_are_left_to_the_sign_flip_test() -> None:
    b = np.array([0.1, 0.2, 0.3])
    found = compare(b + 0.02, b)  # 0.02 up to rounding
    assert found.std == 0
    assert found.p_value == 0.25
    assert found.probability == pytest.approx(4 / 5)
    assert compare(b, b + 0.02).probability == pytest.approx(1 / 5)
    same = compare(b, b)
    assert (same.difference, same.p_value, same.probability) == (0, 1, 0.5)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("law", ["normal", "scattered", "saturated"])
def test_equal_methods_are_tied_in_about_95_percent_of_comparisons(seeds: int, law: str) -> None:
    rng = np.random.default_rng(seeds)
    shape = (3000, seeds)
    shared = rng.normal(0, 1, shape)
    scatter = 10 if law == "scattered" else 1
    a, b = shared + rng.normal(0, 1, shape), shared + rng.normal(0, scatter, shape)
    if law == "saturated":  # skewed towards 1, as accuracies of a good method are
        a, b = 1 / (1 + np.exp(-3 - a)), 1 / (1 + np.exp(-3 - b))
    tied = np.mean([compare(first, second).p_value >= 0.05 for first, second in zip(a, b, strict=True)])
    error = 4 * math.sqrt(0.95 * 0.05 / 3000)
    assert tied >= 0.95 - error
    assert tied <= (0.95 + error if law != "saturated" else 0.99)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_probability_to_score_higher_on_a_further_seed_is_calibrated(seeds: int) -> None:
    """Under the model that it assumes, it is uniform where the next seed is drawn from the same law."""
    rng = np.random.default_rng(7)
    differences = rng.normal(0.3, 1, (20_000, seeds + 1))
    zeros = [0.0] * seeds
    values = np.array([compare(row[:seeds] - row[seeds], zeros).probability for row in differences[:4000]])
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_sign_flips_are_exact() -> None:
    differences = np.array([0.3, -0.1, 0.25, 0.4])
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=4)]
    expected = np.mean([value >= differences.sum() - 1e-12 for value in sums])
    found = robustness(differences, np.zeros(4))
    assert found.sign_flip_p == pytest.approx(expected)
    library = stats.permutation_test((differences,), np.mean, permutation_type="samples", vectorized=True)
    assert found.sign_flip_p == pytest.approx(library.pvalue)
    assert robustness([0.9, 0.8, 0.7], [0.1, 0.2, 0.3]).sign_flip_p == 0.25


def test_bootstrap_intervals_are_given_from_ten_seeds_only() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.1, (2, BOOTSTRAP_SEEDS))
    found = robustness(a, b)
    assert found.bootstrap_low < np.mean(a - b) < found.bootstrap_high
    assert found == robustness(a, b), "its draws have a seed"
    assert math.isnan(robustness(a[1:], b[1:]).bootstrap_low)
    assert math.isnan(robustness(a, a).bootstrap_low)
    assert math.isnan(robustness(a[:1], b[:1]).sign_flip_p)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    p, adjusted = np.array(p_values), holm(p_values)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_does_not_count_comparisons_that_were_not_made() -> None:
    found = holm([0.01, NAN, 0.02])
    assert math.isnan(found[1])
    assert found[[0, 2]] == pytest.approx([0.02, 0.02])


def test_further_seeds_reach_the_power_they_promise_and_one_less_does_not() -> None:
    a, b = np.array([0.82, 0.80, 0.84]), np.array([0.80, 0.81, 0.79])
    now = compare(a, b)
    assert now.p_value > 0.05
    more = further_seeds(a, b)
    assert more is not None
    rng = np.random.default_rng(3)
    power = {}
    for seeds in (now.n + more - 1, now.n + more):
        draws = rng.normal(now.difference, now.std, (20_000, seeds))
        power[seeds] = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    assert power[now.n + more] >= 0.79
    assert power[now.n + more - 1] < 0.81
    assert power[now.n + more - 1] < power[now.n + more]


def test_further_seeds_at_the_ends() -> None:
    assert further_seeds([0.9, 0.91, 0.92], [0.1, 0.12, 0.11]) == 0
    assert further_seeds([0.5, 0.6], [0.5, 0.6]) is None
    assert further_seeds([0.5], [0.6]) is None
    assert further_seeds([0.5, 0.7, 0.6001], [0.7, 0.5, 0.6]) is None, "1000 seeds would not do"
    same = np.array([0.1, 0.2, 0.3])
    assert further_seeds(same + 0.02, same) == 3, "2 / 2^6 is the first below .05"
    a, b = [0.82, 0.80, 0.84], [0.80, 0.81, 0.79]
    assert (further_seeds(a, b, alpha=0.005) or 0) > (further_seeds(a, b) or 0)


def test_oracle_gap_is_paired_by_seed() -> None:
    found = oracle_gap([0.9, 0.8, NAN, 0.7], [0.85, 0.8, 0.5, 0.6])
    assert (found.n, found.mean) == (3, pytest.approx(0.05))
    assert found.std == pytest.approx(np.std([0.05, 0.0, 0.1], ddof=1))
