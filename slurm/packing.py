"""Which cells share a job, and which jobs share an array: by estimated cost, upstream cells first. No cluster here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.cell import Cell
from benchmark.estimate import Estimate
from benchmark.tuning.study import Unit

START_SECONDS = 60.0
"""From the start of a job to its first cell: modules, imports over a network file system."""
SAFETY = {True: 1.5, False: 3.0}
"""A job asks for this many times what its cells are estimated to take: measured, guessed."""
LEAST_GUESSED_MINUTES = 60
"""Of a job with guessed times: one epoch has to fit in it, however wrong the guess."""
MAX_GROUPS = 50
"""Arrays that wait for different jobs; each is a call of sbatch."""

Place = int | str
"""Where a cell is made: the index of a pack of this submission, or the id of a job that is queued already."""


@dataclass(frozen=True)
class Pack:
    """Cells that one job runs.

    Attributes:
        cells: In an order in which none comes before a cell that it starts from.
        seconds: Estimated, with as many cells at once as the job runs.
        measured: Whether all estimates come from measurements.
        after: Where the cells are made that these start from, as far as that is elsewhere.
    """

    cells: tuple[Unit, ...]
    seconds: float
    measured: bool
    after: frozenset[Place] = frozenset()

    def minutes(self, signal_seconds: int, longest: int) -> int:
        """The wall time that its job asks for: rounded up coarsely, so that few arrays are needed."""
        needed = (START_SECONDS + SAFETY[self.measured] * self.seconds + signal_seconds) / 60
        needed = needed if self.measured else max(needed, LEAST_GUESSED_MINUTES)
        grain = 10 if needed <= 60 else 30 if needed <= 360 else 120
        return min(math.ceil(needed / grain) * grain, longest)


@dataclass(frozen=True)
class Array:
    """Packs that are sent in one call.

    Attributes:
        packs: Indices.
        minutes: Wall time of each job.
        after: Places whose jobs must have ended before these start.
    """

    packs: tuple[int, ...]
    minutes: int
    after: frozenset[Place]


@dataclass(frozen=True)
class Costs:
    """How packs are costed.

    Attributes:
        estimates: For each cell, by key.
        at_once: Cells that a job runs at the same time.
    """

    estimates: Mapping[str, Estimate]
    at_once: int

    def seconds(self, cells: Iterable[Unit]) -> float:
        """What a job takes for these cells."""
        each = [self.estimates[cell.key].seconds for cell in cells]
        return max(sum(each) / self.at_once, max(each, default=0.0))

    def pack(self, cells: Sequence[Unit], after: frozenset[Place]) -> Pack:
        """These cells as a pack."""
        measured = all(self.estimates[cell.key].measured for cell in cells)
        return Pack(tuple(cells), self.seconds(cells), measured, after)


def make_packs(
    cells: Sequence[Unit],
    upstream: Mapping[str, set[str]],
    costs: Costs,
    target: float,
    queued: Mapping[str, str],
) -> list[Pack]:
    """Pack cells up to ``target`` seconds of estimated work.

    A cell, those that start from it and those that they start from stay together where they fit in one job. Where they
    do not, upstream cells get packs of their own, and the others are packed by which of these they have to wait for.

    Args:
        cells: To run, each after those that it starts from.
        upstream: For each, the keys that it has to wait for; all of them in ``cells`` or in ``queued``.
        costs: How long they take.
        target: Seconds; a single cell may take longer.
        queued: Ids of jobs that will make cells of earlier submissions, by key.
    """
    packs: list[Pack] = []
    place: dict[str, Place] = dict(queued)
    units = _units(cells, upstream, costs, target)
    while units:
        ready = [unit for unit in units if all(key in place for key in _starts(unit, upstream))]
        groups: dict[frozenset[Place], list[list[Unit]]] = {}
        for unit in ready:
            after = frozenset(place[key] for key in _starts(unit, upstream))
            groups.setdefault(after, []).append(unit)
        for after, members in _merged(groups):
            for chosen in _fill(members, costs, target):
                place |= {cell.key: len(packs) for cell in chosen}
                packs.append(costs.pack(chosen, after))
        done = {id(unit) for unit in ready}
        units = [unit for unit in units if id(unit) not in done]
    return packs


def balanced_packs(cells: Sequence[Unit], upstream: Mapping[str, set[str]], costs: Costs, count: int) -> list[Pack]:
    """At most ``count`` packs of about equal cost, for jobs that all run at once; no pack waits for another.

    Trials of one study are spread over them: each finds its start, or makes it.
    """
    loads: list[tuple[float, list[Unit]]] = [(0.0, []) for _ in range(count)]
    plain = {cell.key for cell in cells if isinstance(cell, Cell)}
    bound = {key: starts & plain for key, starts in upstream.items() if key in plain}
    for unit in sorted(_units(cells, bound, costs, math.inf), key=costs.seconds, reverse=True):
        lightest = min(range(count), key=lambda index: loads[index][0])
        seconds, held = loads[lightest]
        loads[lightest] = (seconds + costs.seconds(unit), [*held, *unit])
    return [costs.pack(held, frozenset()) for _, held in loads if held]


def make_arrays(packs: Sequence[Pack], signal_seconds: int, longest: int, max_size: int) -> list[Array]:
    """Packs with the same wall time that wait for the same jobs, cut at the cluster's limit; waited-for ones first."""
    groups: dict[tuple[frozenset[Place], int], list[int]] = {}
    for index, pack in enumerate(packs):
        groups.setdefault((pack.after, pack.minutes(signal_seconds, longest)), []).append(index)
    return [
        Array(tuple(indices[first : first + max_size]), minutes, after)
        for (after, minutes), indices in groups.items()
        for first in range(0, len(indices), max_size)
    ]


def _starts(unit: Iterable[Unit], upstream: Mapping[str, set[str]]) -> set[str]:
    """Keys that the cells of a unit wait for and that are not in it."""
    unit = list(unit)
    return {key for cell in unit for key in upstream.get(cell.key, ())} - {cell.key for cell in unit}


def _units(cells: Sequence[Unit], upstream: Mapping[str, set[str]], costs: Costs, target: float) -> list[list[Unit]]:
    """Cells that belong together, in order: whole families, or single cells of families too large for one job."""
    family = {cell.key: cell.key for cell in cells}

    def root(key: str) -> str:
        while family[key] != key:
            family[key] = key = family[family[key]]
        return key

    for cell in cells:
        for start in upstream.get(cell.key, ()):
            if start in family:
                family[root(cell.key)] = root(start)
    families: dict[str, list[Unit]] = {}
    for cell in cells:
        families.setdefault(root(cell.key), []).append(cell)
    units: list[list[Unit]] = []
    for members in families.values():
        units.extend([members] if costs.seconds(members) <= target else [[cell] for cell in members])
    return units


def _merged(
    groups: Mapping[frozenset[Place], list[list[Unit]]],
) -> list[tuple[frozenset[Place], list[list[Unit]]]]:
    """Neighbouring groups as one, where there are too many; those wait for all that any of them waits for."""
    listed = list(groups.items())
    width = math.ceil(len(listed) / MAX_GROUPS)
    if width <= 1:
        return listed
    return [
        (
            frozenset().union(*(after for after, _ in listed[first : first + width])),
            [unit for _, units in listed[first : first + width] for unit in units],
        )
        for first in range(0, len(listed), width)
    ]


def _fill(units: Iterable[list[Unit]], costs: Costs, target: float) -> list[list[Unit]]:
    """Units one after the other into packs, a new one whenever the next would go beyond the target."""
    filled: list[list[Unit]] = []
    total = longest = math.inf
    for unit in units:
        each = [costs.estimates[cell.key].seconds for cell in unit]
        if max((total + sum(each)) / costs.at_once, longest, *each) > target:
            filled.append([])
            total = longest = 0.0
        filled[-1].extend(unit)
        total, longest = total + sum(each), max(longest, *each)
    return filled
