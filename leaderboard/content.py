"""The leaderboard as a document: for each suite an overview, curves over rho, averages over tasks, its sections."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from leaderboard.across import data_sources, over_levels, over_tasks, task_title
from leaderboard.across_tasks import AverageRanks
from leaderboard.board import Board, Competitor, Section, Suite
from leaderboard.budgets import unequal_budgets
from leaderboard.definitions import definitions, legend, provenance
from leaderboard.document import Block, Bullets, Code, Column, Heading, Number, Paragraph, Spans, Table, Value, slug
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.references import Reference
from leaderboard.section_tables import rank_text, section_blocks
from leaderboard.standings import Standing, standings
from leaderboard.statistics import Summary

WIDEST = 8
"""Columns of levels in one overview table; more are put in further tables, a task's together."""


def document(board: Board, rule: str, references: Sequence[Reference], title: str = "Leaderboard") -> list[Block]:
    """The whole leaderboard.

    Args:
        board: The results.
        rule: Selection rule by which candidates are chosen and methods ranked.
        references: Published numbers.
        title: First heading.
    """
    blocks: list[Block] = [Heading(1, title), *legend(rule), Paragraph(("All terms are defined at the end.",))]
    for suite in board.suites:
        blocks += _suite(suite, suite_name(board, suite), rule, references)
    if not board.suites:
        blocks.append(Paragraph(("No cells yet.",)))
    return [*blocks, *definitions(board), provenance(board)]


def overview(board: Board, rule: str) -> list[Block]:
    """Only the tables of methods x (task, rho), by suite."""
    blocks: list[Block] = []
    for suite in board.suites:
        name = suite_name(board, suite)
        blocks += [Heading(2, f"Protocol {name}"), *_overview(suite, name, rule)]
    return blocks


def suite_name(board: Board, suite: Suite) -> str:
    """``paper, fp32``, with as much of the rest as tells it from the other suites."""
    name = f"{suite.protocol}, {suite.precision}"
    alike = [other for other in board.suites if (other.protocol, other.precision) == (suite.protocol, suite.precision)]
    if len(alike) == 1:
        return name
    if len({other.sections[0].engine_version for other in alike}) == len(alike):
        return f"{name}, harness version {suite.sections[0].engine_version}"
    return f"{name}, settings {1 + alike.index(suite)} of {len(alike)}"


def _suite(suite: Suite, name: str, rule: str, references: Sequence[Reference]) -> Iterator[Block]:
    yield Heading(2, f"Protocol {name}")
    if len(suite.sections) > 1:
        yield Heading(3, "Overview")
        yield from _overview(suite, name, rule)
        yield from _over_levels(suite, name, rule)
        yield from _over_tasks(suite, name, rule)
    for levels in suite.levels:
        for section in levels:
            yield from section_blocks(section, task_title(suite, levels), name, rule, references)


def _overview(suite: Suite, name: str, rule: str) -> Iterator[Block]:
    """Methods x (task, rho), as many tables as the width asks for."""
    parts: list[list[tuple[Section, str]]] = [[]]
    for levels in suite.levels:
        if parts[-1] and len(parts[-1]) + len(levels) > WIDEST:
            parts.append([])
        parts[-1] += [(section, _column_title(section, task_title(suite, levels))) for section in levels]
    for part in parts:
        yield _overview_table(part, name, rule)
    budgets = unequal_budgets(entry for section in suite.sections for entry in section.entries)
    sources = data_sources(suite, [task_title(suite, levels) for levels in suite.levels])
    yield Bullets(
        (
            (
                "Headline metric of each task, percent: mean over seeds ± half of the 95 % interval, then the rank in "
                f"brackets; bold if no method is shown to be better. Neither below {LEAST_SEEDS} seeds, "
                "no ranks without a rival.",
            ),
            ("* failed or missing seeds; † computed by code that has changed since; - no result.",),
            *_other_rules(suite, rule),
            *([(sources,)] if sources else []),
            *([budgets] if budgets is not None else []),
        )
    )


def _other_rules(suite: Suite, rule: str) -> Iterator[Spans]:
    """Which tasks the preferred rule does not apply to."""
    used: dict[str, dict[str, None]] = {}
    for levels in suite.levels:
        for section in levels:
            usable = section.usable_rule(rule)
            if usable not in (rule, None):
                used.setdefault(str(usable), {})[task_title(suite, levels)] = None
    for name, tasks in used.items():
        yield f"The rule {rule} does not apply to {', '.join(tasks)}; there candidates are chosen by ", Code(name), "."


def _overview_table(part: Sequence[tuple[Section, str]], name: str, rule: str) -> Table:
    found: list[dict[Competitor, Standing]] = []
    for section, _ in part:
        usable = section.usable_rule(rule)
        found.append({row.entry.competitor: row for row in standings(section, usable)} if usable else {})
    entries = [section.current for section, _ in part]
    methods = sorted({competitor for column in entries for competitor in column})
    rows = []
    for competitor in methods:
        supervision = next(column[competitor].supervision for column in entries if competitor in column)
        cells = [_overview_cell(column.get(competitor)) for column in found]
        rows.append((Code(competitor.label), supervision, *cells))
    columns = (
        Column("method"),
        Column("supervision"),
        *(Column(title, numeric=True, interval=True, mark="rank") for _, title in part),
    )
    return Table(slug("overview", name, part[0][0].task), f"Overview: {name}", columns, tuple(rows))


def _overview_cell(standing: Standing | None) -> Value:
    if standing is None or not standing.summary.n:
        return None
    entry = standing.entry
    marks = ("*" if standing.summary.n < len(entry.seeds) else "") + ("†" if entry.stale else "")
    rank = f"({rank_text(standing)})" if standing.best is not None else ""
    return percent(standing.summary, mark=f"{marks} {rank}".strip(), strong=standing.best == 1)


def _over_levels(suite: Suite, name: str, rule: str) -> Iterator[Block]:
    columns: list[Column] = []
    by_method: dict[Competitor, dict[str, list[Value]]] = {}
    for levels in suite.levels:
        rows = over_levels(levels, rule)
        if not any(row.area.n for row in rows):
            continue
        title = task_title(suite, levels)
        columns += [
            Column(f"{title}: area", numeric=True, interval=True),
            Column(f"{title}: breaks down at", numeric=True),
        ]
        for row in rows:
            cells: list[Value] = [percent(row.area) if row.area.n else None, _breakdown(row.breakdown, levels)]
            by_method.setdefault(row.competitor, {})[title] = cells
    if not columns:
        return
    titles = list(dict.fromkeys(column.title.rpartition(":")[0] for column in columns))
    rows_ = [
        (Code(competitor.label), *(cell for title in titles for cell in found.get(title, [None, None])))
        for competitor, found in sorted(by_method.items())
    ]
    yield Heading(3, "Over rho")
    yield Table(
        slug("over_rho", name),
        f"Over rho: {name}",
        (Column("method"), *columns),
        tuple(rows_),
    )
    yield Bullets(
        (
            (
                "Area: mean height in percent of the curve of the headline metric over -log10(1 - rho). Breaks down "
                "at: the rho at which it falls below half way between chance and 100 %; ≤ if it is below at the lowest "
                "level already.",
            ),
        )
    )


def _breakdown(rho: float, levels: Sequence[Section]) -> Value:
    if math.isnan(rho):
        return None
    if math.isinf(rho):
        return "at no level"
    return f"≤ {rho:.4g}" if rho == levels[0].rho else f"{rho:.4g}"


def _over_tasks(suite: Suite, name: str, rule: str) -> Iterator[Block]:
    found = over_tasks(suite, rule)
    if found is None:
        return
    letters = _letters(found.ranks)
    rows = [
        (
            Code(competitor.label),
            Number(float(found.ranks.ranks[i]), decimals=2),
            letters[i],
            Number(100 * mean.value, low=_percent(mean.low), high=_percent(mean.high)),
        )
        for i, (competitor, mean) in enumerate(zip(found.competitors, found.means, strict=True))
    ]
    columns = (
        Column("method"),
        Column("average rank", numeric=True),
        Column("group"),
        Column("interquartile mean", numeric=True, interval=True),
    )
    yield Heading(3, "Over tasks")
    yield Table(slug("over_tasks", name), f"Over tasks: {name}", columns, tuple(rows))
    friedman = "" if math.isnan(found.ranks.friedman_p) else f" Friedman's test: p = {found.ranks.friedman_p:.3g}."
    items: list[Spans] = [
        (f"Over {len(found.tasks)} tasks, each with its levels averaged: {'; '.join(found.tasks)}.{friedman}",),
        (
            "Methods with a letter in common cannot be told apart: their average ranks differ by less than the "
            f"critical difference of {found.ranks.critical_difference:.2f}.",
        ),
    ]
    budgets = unequal_budgets(entry for section in suite.sections for entry in section.entries)
    items += [] if budgets is None else [budgets]
    items += [(sources,)] if (sources := data_sources(suite, found.tasks)) else []
    items += [
        (Code(competitor.label), f" is left out: no results, or fewer than {LEAST_SEEDS} seeds, on {lacking} of them.")
        for competitor, lacking in found.left_out.items()
    ]
    yield Bullets(tuple(items))


def _letters(ranks: AverageRanks) -> list[str]:
    """A letter for each group of methods that cannot be told apart; a method may have several."""
    found = [""] * len(ranks.ranks)
    for number, group in enumerate(ranks.groups):
        for i in group:
            found[i] += chr(ord("a") + number % 26)
    return found


def _column_title(section: Section, title: str) -> str:
    return title if section.rho is None else f"{title} {section.rho:g}"


def percent(summary: Summary, mark: str = "", strong: bool = False) -> Number:
    """A share as percent, with its interval from three seeds on: two seeds give one of 12.7 standard errors."""
    low, high = (summary.low, summary.high) if summary.n >= LEAST_SEEDS else (math.nan, math.nan)
    return Number(100 * summary.mean, low=_percent(low), high=_percent(high), mark=mark, strong=strong)


def _percent(value: float) -> float | None:
    return None if math.isnan(value) else 100 * value
