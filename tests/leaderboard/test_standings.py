from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.standings import separation, standings

A = [0.8, 0.9, 0.8, 0.9]
B = [0.6, 0.7, 0.7, 0.6]
C = [0.6, 0.6, 0.7, 0.6]


def share(conflicting: list[float]) -> np.ndarray:
    return (1 + 9 * np.array(conflicting)) / 10


def test_standings_are_in_order_of_the_mean_with_ranks_and_the_probability_of_beating_the_next(lab) -> None:
    lab.add("c", C)
    lab.add("a", A)
    lab.add("b", B)
    found = standings(lab.board().sections[0], "last")
    assert [standing.entry.method for standing in found] == ["a", "b", "c"]
    assert [standing.rank for standing in found] == ["1", "2-3", "2-3"]
    difference = share(A) - share(B)
    predictive = stats.t(3, loc=difference.mean(), scale=difference.std(ddof=1) * math.sqrt(1 + 1 / 4))
    assert found[0].next.probability == pytest.approx(predictive.sf(0))
    assert found[0].next.p_value == pytest.approx(stats.ttest_rel(share(A), share(B)).pvalue)
    assert found[2].next is None


def test_methods_without_scores_come_last_and_are_not_ranked(lab) -> None:
    lab.add("a", A)
    lab.add("b", B[:2])
    lab.add("c", C)
    lab.records.append(lab.failure(lab.cell("z")))
    found = standings(lab.board().sections[0], "last")
    ranks = [(standing.entry.method, standing.rank) for standing in found]
    assert ranks == [("a", "1"), ("b", ""), ("c", "2"), ("z", "")]
    assert found[2].next is None


def test_methods_that_are_apart_need_no_further_seed(lab) -> None:
    lab.add("a", A)
    lab.add("b", B)
    assert separation(lab.board().sections[0], "last").seeds == 0


def test_further_seeds_have_the_power_asked_for_at_the_corrected_level(lab) -> None:
    lab.add("a", [0.8, 0.9, 0.6, 0.9])
    lab.add("b", B)
    lab.add("c", C)
    found = separation(lab.board().sections[0], "last")
    assert (found.first.method, found.second.method) == ("a", "b")
    difference = share([0.8, 0.9, 0.6, 0.9]) - share(B)

    def power(n: int) -> float:
        critical = stats.t.ppf(1 - 0.05 / 3 / 2, n - 1)
        return float(stats.nct.sf(critical, n - 1, difference.mean() / difference.std(ddof=1) * math.sqrt(n)))

    assert power(4 + found.seeds) >= 0.8 > power(3 + found.seeds)


def test_one_ranked_method_has_no_other_to_be_told_from(lab) -> None:
    lab.add("a", A)
    lab.add("b", B[:2])
    assert separation(lab.board().sections[0], "last") is None
