from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.ranking import rank

NAN = math.nan


def test_clearly_different_methods_get_ranks_of_their_own() -> None:
    noise = np.array([0.0, 0.001, -0.001, 0.002, -0.002])
    scores = np.array([0.5 + noise, 0.9 + noise[::-1], 0.7 + noise * 0.3])
    found = rank(scores)
    assert found.best == found.worst == (3, 1, 2)
    assert found.beats.tolist() == [[False, False, False], [True, False, True], [True, False, False]]


def test_methods_that_cannot_be_told_apart_share_a_rank_and_the_next_follows_behind_them() -> None:
    rng = np.random.default_rng(0)
    twins = 0.9 + rng.normal(0, 0.01, (2, 5))
    scores = np.vstack([twins, 0.3 + rng.normal(0, 0.01, (1, 5))])
    found = rank(scores)
    assert found.best == (1, 1, 3)
    assert found.worst == (2, 2, 3)


def test_p_values_are_the_paired_t_tests_corrected_over_all_pairs() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal([[0.9], [0.88], [0.5]], 0.01, (3, 4))
    raw = [stats.ttest_rel(scores[i], scores[j]).pvalue for i, j in [(0, 1), (0, 2), (1, 2)]]
    order = np.argsort(raw)
    expected = np.empty(3)
    expected[order] = np.minimum(1, np.maximum.accumulate(np.array(raw)[order] * [3, 2, 1]))
    found = rank(scores).p_adjusted
    assert [found[0, 1], found[0, 2], found[1, 2]] == pytest.approx(expected)
    np.testing.assert_array_equal(found, found.T)


def test_a_scattered_leader_does_not_hide_that_the_second_beats_the_third() -> None:
    scores = np.array([[1.0, 0.99, 0.98, 0.6, 0.98], [0.9, 0.901, 0.899, 0.9, 0.9], [0.7, 0.701, 0.7, 0.702, 0.699]])
    assert scores.mean(1).argmax() == 0
    found = rank(scores)
    assert found.best == (1, 1, 2)
    assert found.worst == (3, 2, 3)


def test_methods_with_fewer_than_three_seeds_are_not_ranked_and_do_not_count() -> None:
    noise = np.array([0.0, 0.001, -0.001])
    scores = np.array([0.9 + noise, [0.95, 0.96, NAN], 0.5 + noise[::-1], [NAN, NAN, NAN]])
    found = rank(scores)
    assert found.best == (1, None, 2, None)
    assert found.worst == (1, None, 2, None)
    assert np.isnan(found.p_adjusted[1]).all()


def test_a_method_without_a_rival_is_not_ranked() -> None:
    found = rank([[0.7, 0.8, 0.9], [0.1, 0.2, math.nan]])
    assert (found.best, found.worst) == ((None, None), (None, None))


def test_methods_without_common_seeds_cannot_beat_each_other() -> None:
    scores = np.array([[0.9, 0.91, 0.92, NAN, NAN, NAN], [NAN, NAN, NAN, 0.1, 0.11, 0.12]])
    assert rank(scores).best == (1, 1)


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(methods, seeds\)"):
        rank(np.zeros(3))


@pytest.mark.parametrize(("methods", "seeds"), [(2, 3), (2, 5), (6, 3), (6, 5)])
def test_equal_methods_all_share_rank_one_in_about_95_percent_of_tables(methods: int, seeds: int) -> None:
    rng = np.random.default_rng(methods * 10 + seeds)
    tables = 1000 if methods == 2 else 400
    error = 4 * math.sqrt(0.95 * 0.05 / tables)
    tied = 0
    for _ in range(tables):
        spread = np.exp(rng.normal(0, 1, (methods, 1)))  # some scatter much more than others
        scores = rng.normal(0, 1, seeds) + spread * rng.normal(0, 1, (methods, seeds))
        tied += set(rank(scores).best) == {1}
    assert tied / tables >= 0.95 - error
    if methods == 2:
        assert tied / tables <= 0.95 + error


def test_ranges_of_ranks_hold_the_true_ranks_together() -> None:
    rng = np.random.default_rng(5)
    means = np.array([0.9, 0.88, 0.85, 0.84, 0.6])
    spread = np.array([0.01, 0.03, 0.005, 0.01, 0.05])
    held = 0
    for _ in range(400):
        found = rank(rng.normal(means[:, None], spread[:, None], (5, 5)))
        held += all(low <= true <= high for low, true, high in zip(found.best, range(1, 6), found.worst, strict=True))
    assert held / 400 >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_ranks_are_consistent(methods: int, seeds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(rng.normal(0, 3, (methods, 1)), 1, (methods, seeds))
    scores[rng.random(scores.shape) < 0.1] = NAN
    found = rank(scores)
    ranked = [(low, high) for low, high in zip(found.best, found.worst, strict=True) if low is not None]
    assert not (found.beats & found.beats.T).any()
    for low, high in ranked:
        assert high is not None
        assert 1 <= low <= high <= len(ranked)
    assert not ranked or min(low for low, _ in ranked) == 1
    order = rng.permutation(methods)
    assert rank(scores[order]).best == tuple(found.best[i] for i in order)
