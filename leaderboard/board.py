"""The leaderboard as data: sections of comparable cells, and in each a row per method, from the results table.

Only cells of one section are ever compared: same task with the same parameters (the data source is one of them), same
rho, protocol and precision.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import ResultCorruptError
from leaderboard.ranking import Ranking, rank
from leaderboard.statistics import FloatArray, Summary, summarise

Cells = Mapping[int, Mapping[str, Any]]
"""Table rows of one method under one selection rule, by seed."""


@dataclass(frozen=True)
class Entry:
    """A method, with its parameters, in a section.

    Attributes:
        method: Its name.
        variant: Parameters that differ from its defaults, for people.
        version: Its behaviour version.
        supervision: What it was given beyond biased images and targets.
        seeds: The seeds of the section.
        by_rule: Rows of its finished cells, by selection rule and seed.
        failures: Reasons of its failed cells, by seed.
        missing: Seeds that have not been run.
    """

    method: str
    variant: str
    version: int
    supervision: str
    seeds: tuple[int, ...]
    by_rule: Mapping[str, Cells]
    failures: Mapping[int, str]
    missing: tuple[int, ...]

    @property
    def label(self) -> str:
        """Method and variant."""
        return f"{self.method} ({self.variant})" if self.variant else self.method

    def scores(self, metric: str, rule: str) -> FloatArray:
        """One value per seed of the section, NaN where there is none: (seeds,)."""
        cells = self.by_rule.get(rule, {})
        values = [cells[seed].get(metric) if seed in cells else None for seed in self.seeds]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    def summary(self, metric: str, rule: str) -> Summary:
        """Mean and interval over the seeds."""
        return summarise(self.scores(metric, rule))


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
    """

    task: str
    task_version: int
    task_params: Mapping[str, Any]
    rho: float | None
    protocol: str
    precision: str
    headline: str
    entries: tuple[Entry, ...]

    def ranking(self, rule: str) -> Ranking:
        """Ranks by the headline metric, ties declared; see :func:`leaderboard.ranking.rank`."""
        return rank(np.stack([entry.scores(self.headline, rule) for entry in self.entries]))


@dataclass(frozen=True)
class Board:
    """All sections of a results table."""

    sections: tuple[Section, ...]
    metadata: Mapping[str, str]

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
                for cells in entry.by_rule.values():
                    yield from cells.values()


def read_board(path: Path) -> Board:
    """Read the results table that ``debias-bench aggregate`` wrote.

    Raises:
        ResultCorruptError: It is not there, or not such a table.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise ResultCorruptError(f"cannot read the results table {path}: {error}") from error
    metadata = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
    if "debias_bench.table_version" not in metadata:
        raise ResultCorruptError(f"{path} is not a results table; make one with `debias-bench aggregate`")
    rows = table.drop_columns(["counts", "counts_shape", "groups"]).to_pylist()
    return Board(_sections(rows), metadata)


SECTION = ("task", "task_version", "task_params", "rho", "protocol", "precision")
ENTRY = ("method", "params", "method_version")


def _sections(rows: Iterable[dict[str, Any]]) -> tuple[Section, ...]:
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(tuple(row[name] for name in SECTION), []).append(row)
    ordered = sorted(grouped.items(), key=lambda item: tuple((value is not None, value or 0) for value in item[0]))
    return tuple(_section(identity, group) for identity, group in ordered)


def _section(identity: tuple[Any, ...], rows: list[dict[str, Any]]) -> Section:
    task, version, params, rho, protocol, precision = identity
    seeds = tuple(sorted({row["seed"] for row in rows}))
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(tuple(row[name] for name in ENTRY), []).append(row)
    entries = sorted(
        (_entry(group, seeds) for group in grouped.values()), key=lambda entry: (entry.label, entry.version)
    )
    headline = next((row["headline"] for row in rows if row["headline"]), "accuracy")
    return Section(task, version, json.loads(params), rho, protocol, precision, headline, tuple(entries))


def _entry(rows: list[dict[str, Any]], seeds: tuple[int, ...]) -> Entry:
    by_rule: dict[str, dict[int, Mapping[str, Any]]] = {}
    failures, missing = {}, []
    for row in rows:
        if row["status"] == "done":
            by_rule.setdefault(row["rule"], {})[row["seed"]] = row
        elif row["status"] == "failed":
            failures[row["seed"]] = row["failure"]
        else:
            missing.append(row["seed"])
    first = rows[0]
    return Entry(
        method=first["method"],
        variant=first["variant"],
        version=first["method_version"],
        supervision=next((row["supervision"] for row in rows if row["supervision"]), "unknown"),
        seeds=seeds,
        by_rule=by_rule,
        failures=failures,
        missing=tuple(sorted(missing)),
    )
