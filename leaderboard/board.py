"""The leaderboard as data: sections of comparable cells, and in each a row per method, from the results table.

Only cells of one section are ever compared: same task with the same parameters (the data source is one of them), same
rho, protocol and precision, same behaviour of task and harness. Only sections of one :class:`Suite` are averaged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmark.counts import Groups
from benchmark.errors import ResultCorruptError
from benchmark.garbage import garbage_stays
from benchmark.metrics import METRICS
from benchmark.protocol import PROTOCOLS
from benchmark.selection import RULES
from leaderboard.entry import Cells, Competitor, Entry
from leaderboard.memory import once_by_rule
from leaderboard.ranking import Ranking, rank
from leaderboard.statistics import FloatArray
from leaderboard.table import ResultTable, Row, Rows, read_table

__all__ = ["Board", "Cells", "Competitor", "Entry", "Section", "Suite", "read_board"]


@dataclass(frozen=True)
class Section:
    """Cells that may be compared with each other.

    Attributes:
        task: Name of the task.
        task_version: Its behaviour version.
        task_params: All its parameters.
        rho: Level of bias; ``None`` where natural.
        protocol: Budget and rules.
        precision: Of forward passes.
        headline: The task's headline metric.
        entries: The methods, by label.
        protocol_settings: All settings of the protocol; empty if the table does not say.
        engine_version: Behaviour version of the harness; ``None`` if the table does not say.
        groups: Axes of the counts; ``None`` if no cell has finished.
        not_applicable: Why methods that were asked for cannot run on the task, by method.
        trials: What was computed to choose parameters, an entry for each choice that was tried; no results.
    """

    task: str
    task_version: int
    task_params: Mapping[str, Any]
    rho: float | None
    protocol: str
    precision: str
    headline: str
    entries: tuple[Entry, ...]
    protocol_settings: Mapping[str, Any] = field(default_factory=dict)
    engine_version: int | None = None
    groups: Groups | None = None
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    trials: tuple[Entry, ...] = ()

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """All seeds of the section."""
        return self.entries[0].seeds

    def usable_rule(self, preferred: str) -> str | None:
        """The preferred selection rule, or the first by which methods may be ranked and that applies to the task."""
        rules = [preferred, *(rule.name for rule in reversed(RULES.values()) if rule.rankable)]
        return next((rule for rule in rules if any(entry.by_rule.get(rule) for entry in self._scored(rule))), None)

    @cached_property
    def current(self) -> Mapping[Competitor, Entry]:
        """The methods that are not superseded."""
        return {entry.competitor: entry for entry in self.entries if not entry.superseded}

    def scores(self, metric: str, rule: str) -> FloatArray:
        """As :meth:`Entry.scores` for all entries: (entries, seeds)."""
        table = next(row.table for entry in self.entries for row in entry.cells.values())
        return table.numbers(metric, _places(self, rule))

    def ranking(self, rule: str) -> Ranking:
        """Ranks by the headline metric, ties declared; see :func:`leaderboard.ranking.rank`."""
        return _ranking(self, rule)

    def _scored(self, rule: str) -> list[Entry]:
        known = [not np.isnan(row).all() for row in self.scores(self.headline, rule)]
        return [entry for entry, scored in zip(self.entries, known, strict=True) if scored]


@once_by_rule
def _ranking(section: Section, rule: str) -> Ranking:
    scores = section.scores(section.headline, rule)
    scores[[entry.superseded for entry in section.entries]] = np.nan
    return rank(scores)


@once_by_rule
def _places(section: Section, rule: str) -> Rows:
    """The row of the table for each entry and seed, -1 where there is none: (entries, seeds)."""
    return np.stack([entry.places(rule) for entry in section.entries])


@dataclass(frozen=True)
class Suite:
    """Sections of one protocol, precision and harness: what may be averaged over tasks and levels.

    Attributes:
        protocol: Budget and rules.
        precision: Of forward passes.
        sections: In the order of the board.
    """

    protocol: str
    precision: str
    sections: tuple[Section, ...]

    @cached_property
    def levels(self) -> tuple[tuple[Section, ...], ...]:
        """Sections that differ in rho alone, each set in ascending order of rho."""
        sets: dict[str, list[Section]] = {}
        for section in self.sections:
            sets.setdefault(json.dumps([section.task, section.task_version, section.task_params]), []).append(section)
        return tuple(tuple(group) for group in sets.values())


@dataclass(frozen=True)
class Board:
    """All sections of a results table."""

    sections: tuple[Section, ...]
    metadata: Mapping[str, str]

    @cached_property
    def suites(self) -> tuple[Suite, ...]:
        """The sections, by what may be averaged."""
        sets: dict[str, list[Section]] = {}
        for section in self.sections:
            identity = [section.protocol, section.protocol_settings, section.precision, section.engine_version]
            sets.setdefault(json.dumps(identity), []).append(section)
        return tuple(Suite(group[0].protocol, group[0].precision, tuple(group)) for group in sets.values())

    @cached_property
    def hardware(self) -> list[str]:
        """Processors and devices that the cells ran on."""
        return sorted({value for row in self._rows() if (value := row.get("hardware"))})

    @cached_property
    def code(self) -> list[str]:
        """Versions of the code that ran the cells."""
        return sorted({value for row in self._rows() if (value := row.get("code"))})

    def _rows(self) -> Iterable[Mapping[str, Any]]:
        for section in self.sections:
            for entry in section.entries:
                yield from entry.cells.values()


@garbage_stays()
def read_board(path: Path) -> Board:
    """Read the results table that ``debias-bench aggregate`` wrote.

    Raises:
        ResultCorruptError: It is not there, or not such a table.
    """
    table = read_table(path)
    try:
        refused = json.loads(table.metadata.get("debias_bench.not_applicable", "[]"))
        not_applicable: dict[str, dict[str, str]] = {}
        for task, method, reason in refused:
            not_applicable.setdefault(str(task), {})[str(method)] = str(reason)
        return Board(_sections(table, not_applicable), table.metadata)
    except (ValueError, TypeError, AttributeError, RecursionError, msgspec.ValidationError) as error:
        raise ResultCorruptError(f"{path} is not a valid results table: {error}") from error


SECTION = (
    "protocol",
    "protocol_settings",
    "precision",
    "engine_version",
    "task",
    "task_version",
    "task_params",
    "rho",
)
ENTRY = ("method", "params", "method_version")


def _sections(table: ResultTable, not_applicable: Mapping[str, Mapping[str, str]]) -> tuple[Section, ...]:
    found = table.group(SECTION, np.arange(table.length))
    sections = (
        _section(table, identity, rows, not_applicable) for identity, rows in sorted(found, key=lambda g: _order(g[0]))
    )
    return tuple(section for section in sections if section is not None)


def _order(identity: tuple[Any, ...]) -> tuple[Any, ...]:
    protocols = list(PROTOCOLS)
    first = protocols.index(identity[0]) if identity[0] in protocols else len(protocols)
    return first, *((value is not None, value or 0) for value in identity)


def _section(
    table: ResultTable, identity: tuple[Any, ...], every: Rows, not_applicable: Mapping[str, Mapping[str, str]]
) -> Section | None:
    """``None`` where there is nothing but trials."""
    protocol, settings, precision, engine, task, task_version, params, rho = identity
    if None in (protocol, precision, task):
        raise ValueError("a row does not say its task, protocol or precision")
    if rho is not None and not 0 <= rho <= 1:
        raise ValueError(f"rho is {rho}, expected 0 to 1")
    is_trial = np.array([purpose == "tuning" for purpose in table.take("purpose", every)], dtype=np.bool_)
    rows, trials = every[~is_trial], every[is_trial]
    if not len(rows):
        return None
    seeds, tried = _seeds(table, rows), _seeds(table, trials)
    entries = [_entry(table, group, seeds) for _, group in table.group(ENTRY, rows)]
    headline = _first(table.take("headline", rows)) or "accuracy"
    if headline not in METRICS:
        raise ValueError(f"headline is {headline!r}, expected one of {', '.join(METRICS)}")
    coded = _first(table.take("groups", rows))
    groups = msgspec.json.decode(coded, type=Groups) if coded else None
    if groups is not None and groups.classes < 1:
        raise ValueError(f"groups of {groups.classes} classes")
    return Section(
        task=task,
        task_version=task_version or 0,
        task_params=_parameters(params),
        rho=rho,
        protocol=protocol,
        precision=precision,
        headline=headline,
        entries=tuple(sorted(_related(entries), key=lambda entry: (entry.label, entry.version))),
        protocol_settings=_parameters(settings) if settings else {},
        engine_version=engine,
        groups=groups,
        not_applicable=not_applicable.get(task, {}),
        trials=tuple(_entry(table, group, tried) for _, group in table.group(("study", "trial", *ENTRY), trials)),
    )


def _parameters(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"parameters are {text[:100]!r}, expected a JSON object")
    return found


def _seeds(table: ResultTable, rows: Rows) -> tuple[int, ...]:
    return tuple(int(seed) for (seed,), _ in sorted(table.group(("seed",), rows)))


def _entry(table: ResultTable, rows: Rows, seeds: tuple[int, ...]) -> Entry:
    keys, seed_of, statuses = (table.take(name, rows) for name in ("key", "seed", "status"))
    rules, stale_of, failure_of = (table.take(name, rows) for name in ("rule", "stale", "failure"))
    chosen = _one_per_seed(zip(seed_of, keys, statuses, stale_of, table.take("finished_at", rows), strict=True))
    cells: dict[int, Row] = {}
    by_rule: dict[str, dict[int, Row]] = {}
    failures, missing, stale = {}, [], set()
    for at, index in enumerate(rows.tolist()):
        seed = seed_of[at]
        if keys[at] != chosen[seed]:
            continue
        cells[seed] = row = Row(table, index)
        if statuses[at] == "done":
            by_rule.setdefault(rules[at], {})[seed] = row
            stale.add(stale_of[at])
        elif statuses[at] == "failed":
            failures[seed] = failure_of[at]
        elif statuses[at] == "missing":
            missing.append(seed)
        else:
            raise ValueError(f"status is {statuses[at]!r}, expected done, failed or missing")
    first = Row(table, int(rows[0]))
    trials = [n for n in table.take("tuning_trials", rows) if n is not None]
    return Entry(
        method=first["method"],
        variant=first["variant"] or "",
        version=first["method_version"] or 0,
        supervision=_first(table.take("supervision", rows)) or "unknown",
        seeds=seeds,
        by_rule=by_rule,
        failures=failures,
        missing=tuple(sorted(missing)),
        cells=cells,
        params=_parameters(first["params"]),
        tuning_trials=max(trials, default=None),
        tuning_data=_first(table.take("tuning_data", rows)) or "",
        stale=_first(sorted(reason for reason in stale if reason)),
        left_out=len(set(keys)) - len(chosen),
    )


def _first(texts: Iterable[str | None]) -> str | None:
    """The first that is there and not empty."""
    return next((text for text in texts if text), None)


def _related(entries: list[Entry]) -> list[Entry]:
    """Entries that know of each other: which are superseded, and which are their method's tuned one."""
    newest = {entry.method: 0 for entry in entries}
    for entry in entries:
        newest[entry.method] = max(newest[entry.method], entry.version)
    tuned = Counter((entry.method, entry.version) for entry in entries if entry.is_tuned)
    return [
        replace(
            entry,
            superseded=entry.version < newest[entry.method],
            competitor=Competitor(
                entry.method,
                "tuned" if entry.is_tuned and tuned[entry.method, entry.version] == 1 else entry.variant,
                entry.version,
            ),
        )
        for entry in entries
    ]


def _one_per_seed(cells: Iterable[tuple[int, str, str, str | None, str | None]]) -> dict[int, str]:
    """The key that counts for each seed: finished, not stale, latest; others are there after a change upstream.

    Args:
        cells: Of each row: seed, key, status, why it is stale, when it was finished.
    """
    best: dict[int, tuple[bool, bool, str, str]] = {}
    for seed, key, status, stale, finished_at in cells:
        quality = (status == "done", stale is None, finished_at or "", key)
        if seed not in best or quality > best[seed]:
            best[seed] = quality
    return {seed: quality[-1] for seed, quality in best.items()}
