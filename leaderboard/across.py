"""Methods followed over the levels of a task and over the tasks of a suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.across_tasks import AverageRanks, Estimate, average_ranks, interquartile_mean
from leaderboard.board import Competitor, Section, Suite
from leaderboard.curves import area, breakdown
from leaderboard.memory import once_by_rule
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.statistics import FloatArray, Summary, summarise_all

THRESHOLD = "half way between chance and 100 %"


@dataclass(frozen=True)
class OverLevels:
    """A method on one task, over all its levels.

    Attributes:
        competitor: The method.
        area: Mean height of its curve over -log10(1 - rho), by seed; without seeds if a level is missing.
        breakdown: Lowest rho at which its mean falls below the threshold; infinity if at none, NaN if unknown.
    """

    competitor: Competitor
    area: Summary
    breakdown: float


def threshold_of(section: Section) -> float:
    """The score below which a method counts as broken down: half way between chance and 1.

    Raises:
        ValueError: The section has no finished cell, which alone says how many classes there are.
    """
    if section.groups is None:
        raise ValueError(f"{section.task} has no finished cell, so its number of classes is not known")
    return (1 + 1 / section.groups.classes) / 2


def over_levels(sections: Sequence[Section], rule: str) -> tuple[OverLevels, ...]:
    """Each method over the levels of a task (one set of :attr:`Suite.levels`), by label.

    Returns:
        Nothing if there are fewer than two levels, or if a curve cannot be drawn over them (natural rho, rho 1).
    """
    rhos = [section.rho for section in sections]
    levels = np.array([np.nan if rho is None else rho for rho in rhos], dtype=np.float64)
    if len(sections) < 2 or not ((levels >= 0) & (levels < 1)).all() or any(s.groups is None for s in sections):
        return ()
    threshold = threshold_of(sections[0])
    competitors = sorted({name for section in sections for name in section.current})
    scores = _by_seed(sections, competitors, rule)
    areas = summarise_all(area(levels, scores.transpose(1, 2, 0))).each()
    means = summarise_all(scores).mean.T
    return tuple(
        OverLevels(competitor, height, breakdown(levels, curve, threshold))
        for competitor, height, curve in zip(competitors, areas, means, strict=True)
    )


@dataclass(frozen=True)
class OverTasks:
    """Methods over the tasks of a suite.

    Attributes:
        competitors: The methods that have scores on every task counted, best average rank first.
        tasks: The tasks counted, each with its levels averaged.
        ranks: Average ranks, in the order of ``competitors``.
        means: Interquartile mean of each.
        left_out: Methods that are not compared, with how many of the tasks they lack.
    """

    competitors: tuple[Competitor, ...]
    tasks: tuple[str, ...]
    ranks: AverageRanks
    means: tuple[Estimate, ...]
    left_out: Mapping[Competitor, int]


@once_by_rule
def over_tasks(suite: Suite, rule: str) -> OverTasks | None:
    """Compare methods over the tasks of a suite.

    A task counts once, however many levels it has: a method's score on it is its mean over all levels, by seed; of
    several versions the newest counts. Only methods with at least three seeds at every level of every task take part.

    Returns:
        ``None`` if there are fewer than two tasks or two such methods.
    """
    newest: dict[str, int] = {}
    for section in suite.sections:
        newest[section.task] = max(section.task_version, newest.get(section.task, 0))
    tasks = [
        levels
        for levels in suite.levels
        if levels[0].task_version == newest[levels[0].task] and any(s.usable_rule(rule) == rule for s in levels)
    ]
    names = sorted({name for levels in tasks for section in levels for name in section.current})
    means = [_by_seed(levels, names, rule).mean(0) for levels in tasks]
    tables = {name: [table[i] for table in means] for i, name in enumerate(names)}
    lacking = {name: sum(int((~np.isnan(row)).sum() < LEAST_SEEDS) for row in rows) for name, rows in tables.items()}
    complete = sorted(name for name, count in lacking.items() if not count)
    if len(tasks) < 2 or len(complete) < 2:
        return None
    scores = np.array([[float(np.nanmean(row)) for row in tables[name]] for name in complete]).T
    ranks = average_ranks(scores)
    order = [int(i) for i in np.argsort(ranks.ranks, kind="stable")]
    place = {i: at for at, i in enumerate(order)}
    groups = tuple(tuple(place[i] for i in group) for group in ranks.groups)
    return OverTasks(
        competitors=tuple(complete[i] for i in order),
        tasks=tuple(task_title(suite, levels) for levels in tasks),
        ranks=AverageRanks(ranks.ranks[order], ranks.tasks, ranks.friedman_p, ranks.critical_difference, groups),
        means=tuple(interquartile_mean(_ragged(tables[complete[i]])) for i in order),
        left_out={name: count for name, count in sorted(lacking.items()) if count},
    )


def task_title(suite: Suite, levels: Sequence[Section]) -> str:
    """A task's name, with the parameters that tell it from others of the suite with the same name."""
    section = levels[0]
    others = [group[0].task_params for group in suite.levels if group[0].task == section.task]
    differing = [
        f"{name} {value}"
        for name, value in sorted(section.task_params.items())
        if any(params.get(name) != value for params in others)
    ]
    versions = {group[0].task_version for group in suite.levels if group[0].task == section.task}
    if len(versions) > 1:
        differing.append(f"version {section.task_version}")
    return ", ".join([section.task, *differing])


def data_sources(suite: Suite, tasks: Iterable[str]) -> str:
    """Which of these tasks (their titles) has which data source, for readers; empty if they do not differ in it."""
    sources = {task_title(suite, levels): levels[0].task_params.get("source") for levels in suite.levels}
    found = {task: sources[task] for task in tasks if sources[task] is not None}
    if len(set(map(str, found.values()))) < 2:
        return ""
    return f"Data sources differ: {'; '.join(f'{task} {source}' for task, source in found.items())}."


def _by_seed(levels: Sequence[Section], competitors: Sequence[Competitor], rule: str) -> FloatArray:
    """Headline scores, NaN where there is none: (levels, competitors, all seeds of the levels)."""
    seeds = {seed: i for i, seed in enumerate(sorted({seed for section in levels for seed in section.seeds}))}
    lines = {competitor: i for i, competitor in enumerate(competitors)}
    table = np.full((len(levels), len(lines), len(seeds)), np.nan)
    for level, section in zip(table, levels, strict=True):
        scores, columns = section.scores(section.headline, rule), [seeds[seed] for seed in section.seeds]
        for entry, row in zip(section.entries, scores, strict=True):
            if not entry.superseded and entry.competitor in lines:
                level[lines[entry.competitor], columns] = row
    return table


def _ragged(rows: Sequence[FloatArray]) -> FloatArray:
    """Rows of different lengths as one array, NaN at their ends."""
    width = max(len(row) for row in rows)
    return np.stack([np.pad(row, (0, width - len(row)), constant_values=np.nan) for row in rows])
