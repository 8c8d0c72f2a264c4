"""A method in a section of the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from benchmark.errors import ResultCorruptError
from leaderboard.statistics import FloatArray, Summary, oracle_gap, summarise
from leaderboard.table import Row, Rows

Cells = Mapping[int, Row]
"""Table rows of one method under one selection rule, by seed."""


@dataclass(frozen=True, order=True)
class Competitor:
    """A method as it is followed from section to section.

    Attributes:
        method: Its name.
        variant: Parameters that differ from its defaults, for people; ``tuned`` where they were tuned in each section.
        version: Its behaviour version.
    """

    method: str
    variant: str
    version: int

    @property
    def label(self) -> str:
        """Method and variant."""
        return f"{self.method} ({self.variant})" if self.variant else self.method


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
        cells: A row of each of its cells, finished or not; of finished ones that of an arbitrary rule.
        failures: Reasons of its failed cells, by seed.
        missing: Seeds that have not been run.
        params: All its parameters.
        tuning_trials: Most trials that tuned the parameters of one of its cells; 0 if none did, ``None`` if they are
            still to be tuned or the table does not say.
        tuning_data: What the tuning looked at; empty without tuning.
        stale: Why the code that wrote the table would give other results, or ``None``.
        superseded: Whether the section has a newer version of the method: then it is not ranked.
        left_out: How many older records of its cells were left out, of seeds for which there are several.
        competitor: What it is called across sections.
    """

    method: str
    variant: str
    version: int
    supervision: str
    seeds: tuple[int, ...]
    by_rule: Mapping[str, Cells]
    failures: Mapping[int, str]
    missing: tuple[int, ...]
    cells: Cells = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    tuning_trials: int | None = None
    tuning_data: str = ""
    stale: str | None = None
    superseded: bool = False
    left_out: int = 0
    competitor: Competitor = Competitor("", "", 0)

    @property
    def label(self) -> str:
        """Method and variant, and the version if it is not the newest of the section."""
        name = f"{self.method} ({self.variant})" if self.variant else self.method
        return f"{name}, version {self.version}" if self.superseded else name

    @property
    def is_tuned(self) -> bool:
        """Whether its parameters were chosen by a tuning, or will be."""
        return self.tuning_trials != 0 and bool(self.tuning_data)

    def scores(self, metric: str, rule: str) -> FloatArray:
        """One value per seed of the section, NaN where there is none: (seeds,)."""
        table = next((row.table for row in self.cells.values()), None)
        return np.full(len(self.seeds), np.nan) if table is None else table.numbers(metric, self.places(rule))

    def places(self, rule: str) -> Rows:
        """The row of the table for each seed of the section, -1 where there is none: (seeds,)."""
        cells = self.by_rule.get(rule, {})
        return np.array([cells[seed].index if seed in cells else -1 for seed in self.seeds], dtype=np.int64)

    @property
    def not_run(self) -> tuple[int, ...]:
        """Seeds of the section for which there is neither a result nor a failure."""
        done = {seed for cells in self.by_rule.values() for seed in cells}
        return tuple(seed for seed in self.seeds if seed not in done and seed not in self.failures)

    def combination_scores(self, name: str, rule: str) -> FloatArray:
        """Accuracy of an aligned/conflicting combination of several biases, such as ``left_aligned_right_conflicting``.

        Raises:
            ResultCorruptError: The table does not hold JSON where it should.
        """
        cells = self.by_rule.get(rule, {})
        texts = [cells[seed].get("combinations") if seed in cells else None for seed in self.seeds]
        try:
            found = [msgspec.json.decode(text, type=dict[str, float | None]) if text else {} for text in texts]
        except msgspec.DecodeError as error:
            raise ResultCorruptError(f"{self.label}: the column combinations is not JSON: {error}") from error
        return np.array([np.nan if (value := row.get(name)) is None else value for row in found], dtype=np.float64)

    def has(self, metric: str, rule: str) -> bool:
        """Whether any seed has the metric by the rule."""
        return not np.isnan(self.scores(metric, rule)).all()

    def summary(self, metric: str, rule: str) -> Summary:
        """Mean and interval over the seeds."""
        return summarise(self.scores(metric, rule))

    def oracle_gap(self, metric: str, rule: str) -> Summary:
        """What choosing by the rule loses against choosing on test; see :func:`leaderboard.statistics.oracle_gap`."""
        return oracle_gap(self.scores(metric, "oracle"), self.scores(metric, rule))
