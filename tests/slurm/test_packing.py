"""Cells share jobs by cost, families stay together, and no pack waits for one that is sent later."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cell import Cell
from benchmark.config import convert
from benchmark.estimate import Estimate
from benchmark.planner import Plan, make_plan
from benchmark.protocol import PROTOCOLS
from benchmark.store import Store
from benchmark.sweep import Sweep, expand
from slurm.packing import MAX_GROUPS, Array, Costs, Pack, balanced_packs, make_arrays, make_packs
from slurm.submission import PackCells, read_pack, write_pack


def cell(number: int) -> Cell:
    return Cell("task", 1, {}, 0.9, "method", 1, {}, number, PROTOCOLS["smoke"])


def costs(cells: list[Cell], seconds: list[float], at_once: int = 1, *, measured: bool = True) -> Costs:
    each = {one.key: Estimate(time, measured) for one, time in zip(cells, seconds, strict=True)}
    return Costs(each, at_once)


def seeds(packs: list[Pack]) -> list[list[int]]:
    return [[one.seed for one in pack.cells] for pack in packs]


def family(starts: int, each: int) -> tuple[list[Cell], dict[str, set[str]]]:
    """``starts`` cells, followed by ``each`` cells that start from every one of them."""
    cells = [cell(number) for number in range(starts * (1 + each))]
    return cells, {cells[starts + i].key: {cells[i // each].key} for i in range(starts * each)}


class TestPacks:
    def test_fill_up_to_the_target(self) -> None:
        cells = [cell(number) for number in range(7)]
        packs = make_packs(cells, {}, costs(cells, [10, 10, 10, 25, 5, 40, 1]), 30, {})
        assert seeds(packs) == [[0, 1, 2], [3, 4], [5], [6]]
        assert [pack.seconds for pack in packs] == [30, 30, 40, 1]

    def test_hold_more_where_jobs_run_several_cells_at_once(self) -> None:
        cells = [cell(number) for number in range(6)]
        packs = make_packs(cells, {}, costs(cells, [10] * 6, at_once=3), 20, {})
        assert seeds(packs) == [[0, 1, 2, 3, 4, 5]]
        assert packs[0].seconds == 20

    def test_are_not_faster_than_their_longest_cell(self) -> None:
        cells = [cell(0), cell(1)]
        (pack,) = make_packs(cells, {}, costs(cells, [60, 1], at_once=4), 100, {})
        assert pack.seconds == 60

    def test_keep_a_family_together_that_fits(self) -> None:
        cells, upstream = family(2, 2)
        packs = make_packs(cells, upstream, costs(cells, [10] * 6), 30, {})
        assert seeds(packs) == [[0, 2, 3], [1, 4, 5]]
        assert [pack.after for pack in packs] == [frozenset(), frozenset()]

    def test_split_a_family_that_does_not_fit_and_let_it_wait_for_its_start_only(self) -> None:
        cells, upstream = family(2, 2)
        packs = make_packs(cells, upstream, costs(cells, [25] * 6), 60, {})
        assert seeds(packs) == [[0, 1], [2, 3], [4, 5]]
        packs = make_packs(cells, upstream, costs(cells, [50] * 6), 60, {})
        assert seeds(packs) == [[0], [1], [2], [3], [4], [5]]
        assert [sorted(pack.after) for pack in packs] == [[], [], [0], [0], [1], [1]]

    def test_wait_for_a_job_that_is_queued_already(self) -> None:
        cells, upstream = family(1, 2)
        packs = make_packs(cells[1:], upstream, costs(cells, [10] * 3), 60, {cells[0].key: "12_3"})
        assert seeds(packs) == [[1, 2]]
        assert packs[0].after == {"12_3"}

    def test_wait_for_few_different_jobs_each_in_an_array_of_its_own(self) -> None:
        cells, upstream = family(3 * MAX_GROUPS, 1)
        packs = make_packs(cells, upstream, costs(cells, [10.0] * len(cells)), 15, {})
        waiting = {pack.after for pack in packs if pack.after}
        assert len(waiting) == MAX_GROUPS
        assert all(len(after) == 3 for after in waiting)


@given(
    st.lists(st.tuples(st.floats(1, 500), st.integers(0, 30)), min_size=1, max_size=40),
    st.floats(1, 1000),
    st.integers(1, 4),
    st.integers(1, 12),
)
def test_every_cell_is_in_one_pack_and_every_pack_in_one_array_after_all_that_it_waits_for(
    drawn: list[tuple[float, int]], target: float, at_once: int, size: int
) -> None:
    cells = [cell(number) for number in range(len(drawn))]
    upstream = {cells[i].key: {cells[start].key} for i, (_, start) in enumerate(drawn) if start < i}
    price = costs(cells, [seconds for seconds, _ in drawn], at_once)
    packs = make_packs(cells, upstream, price, target, {})
    place = {one.key: number for number, pack in enumerate(packs) for one in pack.cells}
    assert sorted(place) == sorted(one.key for one in cells)
    assert sum(len(pack.cells) for pack in packs) == len(cells)
    for pack in packs:
        assert len(pack.cells) == 1 or pack.seconds <= target * (1 + 1e-9)
    arrays = make_arrays(packs, 60, 600, size)
    sent: set[int] = set()
    for array in arrays:
        assert 1 <= len(array.packs) <= size
        assert array.after <= sent
        sent |= set(array.packs)
    assert sorted(number for array in arrays for number in array.packs) == list(range(len(packs)))
    for number, pack in enumerate(packs):
        order = [one.key for one in pack.cells]
        for one in pack.cells:
            for start in upstream.get(one.key, ()):
                together = start in order and order.index(start) < order.index(one.key)
                assert together or place[start] in packs[number].after


@pytest.mark.parametrize(
    ("seconds", "measured", "minutes"),
    [
        (60, True, 10),  # 60 s to start, 90 s, 60 s of warning: 3.5 minutes
        (600, True, 20),  # 60 s, 900 s, 60 s: 17 minutes
        (3600, True, 120),  # 92 minutes
        (36_000, True, 600),  # 902 minutes, and the profile's limit
        (10, False, 60),  # a guess may be far off
        (3600, False, 210),  # 182 minutes
    ],
)
def test_wall_time_is_sized_to_the_pack(seconds: float, measured: bool, minutes: int) -> None:
    assert Pack((cell(0),), seconds, measured).minutes(60, 600) == minutes


def test_arrays_have_equal_wall_times_and_are_cut_at_the_limit() -> None:
    packs = [Pack((cell(n),), seconds, True) for n, seconds in enumerate([10, 3000, 10, 10, 3000, 10])]
    assert make_arrays(packs, 60, 600, 3) == [
        Array((0, 2, 3), 10, frozenset()),
        Array((5,), 10, frozenset()),
        Array((1, 4), 90, frozenset()),
    ]


def test_packs_for_one_machine_are_balanced_and_wait_for_nothing() -> None:
    cells, upstream = family(3, 2)
    packs = balanced_packs(cells, upstream, costs(cells, [30, 20, 10] + [1] * 6), 2)
    assert sorted(map(sorted, seeds(packs))) == [[0, 3, 4], [1, 2, 5, 6, 7, 8]]
    assert all(pack.after == frozenset() for pack in packs)
    assert math.isclose(sum(pack.seconds for pack in packs), 66)
    assert len(balanced_packs(cells[:1], {}, costs(cells, [1] * 9), 4)) == 1


class TestTrials:
    """Units of a tuning: trials that wait for a start, cells that wait for trials."""

    @pytest.fixture
    def plan(self, toy_plugin: Path, tmp_path: Path) -> Plan:
        tune = {"methods": {"toy_gamma": "default"}, "trials": 6}
        content = {"tasks": ["toy"], "methods": ["toy_gamma"], "seeds": 2, "protocol": "smoke", "tune": tune}
        expansion = expand(convert(content, Sweep, ""), tmp_path)
        return make_plan(expansion.cells, Store(tmp_path / "results"), expansion.finals)

    def kinds(self, packs: list[Pack]) -> list[str]:
        names = {"Cell": "s", "Trial": "t", "Final": "f"}
        return ["".join(names[type(unit).__name__] for unit in pack.cells) for pack in packs]

    def test_finals_wait_for_the_jobs_of_all_trials_and_of_their_start(self, plan: Plan) -> None:
        packs = make_packs(plan.to_run, plan.upstream, costs(plan.to_run, [10] * 11), 30, {})
        assert self.kinds(packs) == ["sss", "ttt", "ttt", "ff"]
        assert [sorted(pack.after) for pack in packs] == [[], [0], [0], [0, 1, 2]]

    def test_one_machine_spreads_trials_over_its_jobs(self, plan: Plan) -> None:
        packs = balanced_packs(plan.to_run, plan.upstream, costs(plan.to_run, [10] * 11), 2)
        assert sorted(kinds.count("t") for kinds in self.kinds(packs)) == [3, 3]

    def test_a_pack_is_read_as_it_was_written(self, plan: Plan, tmp_path: Path) -> None:
        write_pack(tmp_path, "sent", 0, PackCells.of(plan.to_run, plan.upstream))
        back = read_pack(tmp_path, "sent", 0)
        assert {unit.key for unit in back.units} == {unit.key for unit in plan.to_run}
        assert back.upstream == plan.upstream
        assert [type(unit).__name__ for unit in back.units] == ["Cell"] * 3 + ["Trial"] * 6 + ["Final"] * 2
        assert back.cells[0].tuning is not None
