from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.counts import Groups
from benchmark.protocol import PROTOCOLS
from leaderboard.across import data_sources, over_levels, over_tasks, task_title, threshold_of
from leaderboard.board import Competitor

DIGITS = tuple(range(10))
A, B, C = (Competitor(name, "", 1) for name in "abc")


def share(conflicting: float) -> float:
    return (1 + 9 * conflicting) / 10


def curves(lab) -> None:
    for rho, scores in ((0.9, [0.9, 0.8]), (0.99, [0.7, 0.7]), (0.999, [0.1, 0.3])):
        lab.add("a", scores, rho=rho)
    lab.add("b", [0.9, 0.9], rho=0.9)


def test_area_is_the_mean_height_of_each_seeds_curve_over_the_orders_of_magnitude(lab) -> None:
    curves(lab)
    (suite,) = lab.board().suites
    (levels,) = suite.levels
    assert [section.rho for section in levels] == [0.9, 0.99, 0.999]
    found = {row.competitor: row for row in over_levels(levels, "last")}
    # trapezoid over 1, 2, 3 orders of magnitude: (y0 / 2 + y1 + y2 / 2) / 2
    seeds = [(share(x) / 2 + share(y) + share(z) / 2) / 2 for x, y, z in ((0.9, 0.7, 0.1), (0.8, 0.7, 0.3))]
    assert found[A].area.mean == pytest.approx(np.mean(seeds))
    assert found[A].area.std == pytest.approx(np.std(seeds, ddof=1))
    assert found[B].area.n == 0
    assert math.isnan(found[B].breakdown)


def test_a_curve_breaks_down_where_its_mean_crosses_half_way_between_chance_and_one(lab) -> None:
    curves(lab)
    (levels,) = lab.board().suites[0].levels
    assert threshold_of(levels[0]) == pytest.approx(0.55)
    found = {row.competitor: row for row in over_levels(levels, "last")}
    above, below = share(0.7), share(0.2)
    x = 2 + (above - 0.55) / (above - below)
    assert found[A].breakdown == pytest.approx(1 - 10**-x)


def test_there_is_no_curve_over_one_level_or_a_natural_one(lab) -> None:
    lab.add("a", [0.5], rho=0.9)
    lab.add("a", [0.5], rho=None, task="celeba")
    lab.add("a", [0.5], rho=0.5, task="celeba")
    for levels in lab.board().suites[0].levels:
        assert over_levels(levels, "last") == ()


def tasks(lab, **methods: tuple[list[float], list[float], list[float]]) -> None:
    for name, by_task in methods.items():
        for task, scores in zip(("one", "two", "three"), by_task, strict=True):
            lab.add(name, scores, task=task)


def test_ranks_are_averaged_over_tasks_and_grouped_by_nemenyis_difference(lab) -> None:
    tasks(
        lab,
        a=([0.9, 0.9, 0.8], [0.9, 0.8, 0.9], [0.5, 0.6, 0.5]),
        b=([0.7, 0.6, 0.7], [0.6, 0.7, 0.7], [0.8, 0.9, 0.8]),
        c=([0.2, 0.3, 0.2], [0.2, 0.3, 0.2], [0.2, 0.3, 0.2]),
    )
    (suite,) = lab.board().suites
    found = over_tasks(suite, "last")
    assert found.tasks == ("one", "three", "two")
    assert found.competitors == (A, B, C)
    assert found.ranks.ranks.tolist() == pytest.approx([4 / 3, 5 / 3, 3])
    q = stats.studentized_range.ppf(0.95, 3, np.inf) / math.sqrt(2)
    assert found.ranks.critical_difference == pytest.approx(q * math.sqrt(3 * 4 / (6 * 3)))
    assert found.ranks.groups == ((0, 1, 2),)
    scores = [share(c) for c in (0.9, 0.9, 0.8, 0.9, 0.8, 0.9, 0.5, 0.6, 0.5)]
    assert found.means[0].value == pytest.approx(stats.trim_mean(scores, 0.25))
    assert found.means[0].low < found.means[0].value < found.means[0].high


def test_a_task_counts_once_however_many_levels_it_has(lab) -> None:
    for rho, scores in ((0.9, [0.9] * 3), (0.99, [0.9] * 3), (0.999, [0.9] * 3)):
        lab.add("a", scores, rho=rho, task="many")
        lab.add("b", [0.5] * 3, rho=rho, task="many")
    lab.add("a", [0.2] * 3, task="one")
    lab.add("b", [0.8] * 3, task="one")
    found = over_tasks(lab.board().suites[0], "last")
    assert found.ranks.ranks.tolist() == [1.5, 1.5]


def test_methods_that_lack_a_level_or_seeds_are_left_out_and_named(lab) -> None:
    tasks(lab, a=([0.9] * 3,) * 3, b=([0.5] * 3,) * 3, c=([0.5] * 3, [0.5] * 2, [0.5] * 3))
    found = over_tasks(lab.board().suites[0], "last")
    assert found.competitors == (A, B)
    assert found.left_out == {C: 1}


def test_protocols_are_never_averaged(lab) -> None:
    tasks(lab, a=([0.9] * 3,) * 3, b=([0.5] * 3,) * 3)
    lab.add("a", [0.1] * 3, task="one", protocol=PROTOCOLS["paper"])
    lab.add("b", [0.9] * 3, task="one", protocol=PROTOCOLS["paper"])
    paper, short = lab.board().suites
    assert (paper.protocol, short.protocol) == ("paper", "short")
    assert over_tasks(paper, "last") is None
    assert over_tasks(short, "last").ranks.ranks.tolist() == [1, 2]


def test_tasks_are_told_apart_by_the_parameters_that_differ(lab) -> None:
    for scaling in ("single", "double"):
        lab.add("a", [0.5], Groups(10, ("colour",), (10,), (DIGITS,)), task_params={"scaling": scaling, "source": "x"})
    lab.add("a", [0.5], task="other")
    (suite,) = lab.board().suites
    assert [task_title(suite, levels) for levels in suite.levels] == [
        "colored_mnist, scaling double",
        "colored_mnist, scaling single",
        "other",
    ]


def test_of_several_versions_of_a_task_the_newest_counts(lab) -> None:
    tasks(lab, a=([0.9] * 3,) * 3, b=([0.5] * 3,) * 3)
    lab.add("a", [0.1] * 3, task="one", task_version=0)
    lab.add("b", [0.9] * 3, task="one", task_version=0)
    found = over_tasks(lab.board().suites[0], "last")
    assert found.tasks == ("one, version 1", "three", "two")
    assert found.ranks.ranks.tolist() == [1, 2]


def test_different_data_sources_are_named(lab) -> None:
    for task, params in (("one", {"source": "complete"}), ("two", {"source": "complete"}), ("three", {})):
        lab.add("a", [0.9] * 3, task=task, task_params=params)
    (suite,) = lab.board().suites
    assert data_sources(suite, ["one", "two", "three"]) == ""
    lab.add("a", [0.9] * 3, task="four", task_params={"source": "embedded"})
    (suite,) = lab.board().suites
    assert data_sources(suite, ["one", "three"]) == ""
    assert data_sources(suite, ["four", "one", "three"]) == "Data sources differ: four embedded; one complete."
