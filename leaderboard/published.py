"""Claimed beside reproduced: the published numbers for what an entry of the leaderboard runs.

``references/method_names.csv`` says which of our methods, with which parameters, publications call what;
``references/task_settings.csv`` says with which parameters of a task they measured.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.metrics import METRICS
from leaderboard.board import Entry, Section
from leaderboard.references import Reference, lookup
from leaderboard.statistics import FloatArray, Summary, summarise

FOLDER = Path(__file__).parent / "references"
UNITS = {"sparsity_percent": ("sparsity", 100.0), "mflops": ("candidate_macs", 1e-6)}
"""Published quantities that are no accuracies: our column, and what to multiply it by."""


@dataclass(frozen=True)
class Claim:
    """A published number beside ours.

    Attributes:
        entry: Of the leaderboard.
        reference: The published number.
        ours: The same quantity over our seeds, in the reference's unit, under the selection rule.
        ours_last: The same of the last candidates, which nothing chose.
        ours_oracle: The same, with candidates chosen on test, as several publications do.
    """

    entry: Entry
    reference: Reference
    ours: Summary
    ours_last: Summary
    ours_oracle: Summary

    @property
    def difference(self) -> float:
        """Ours minus the published value; NaN if we have none."""
        return self.ours.mean - self.reference.value

    @property
    def deviations(self) -> float | None:
        """The difference in published standard deviations; ``None`` where none is published."""
        return self.reference.deviations(self.ours.mean)


def claims(section: Section, rule: str, references: Sequence[Reference]) -> tuple[Claim, ...]:
    """All published numbers for a section's entries that measure what we measure: by entry, headline metric first."""
    found = []
    here = [r for r in lookup(references, task=section.task, rho=section.rho) if r.metric is not None]
    for entry in section.entries if here else ():
        names = published_names(entry.method, entry.params)
        matching = [reference for name in names for reference in here if reference.method == name]
        matching.sort(key=lambda reference: reference.metric != section.headline)
        for reference in matching:
            ours = (summarise(_measured(entry, reference, which)) for which in (rule, "last", "oracle"))
            found.append(Claim(entry, reference, *ours))
    return tuple(found)


def published_names(method: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """What publications call a method with these parameters; parameters that it does not have are no obstacle."""
    return tuple(
        published
        for name, wanted, published in _method_names()
        if name == method and all(params.get(key, value) == value for key, value in wanted.items())
    )


def departures(section: Section) -> tuple[str, ...]:
    """In what a section differs from how publications measured on its task; for people."""
    found = [] if section.protocol == "paper" else [f"protocol {section.protocol}, not the authors' budget"]
    for parameter, values in _task_settings().get(section.task, ()):
        ours = section.task_params.get(parameter)
        if ours is not None and str(ours) not in values:
            found.append(f"{parameter} {ours} instead of {' or '.join(values)}")
    return tuple(found)


def _measured(entry: Entry, reference: Reference, rule: str) -> FloatArray:
    """What we have of a published quantity: (seeds,)."""
    if reference.published_metric in UNITS:
        column, unit = UNITS[reference.published_metric]
        return entry.scores(column, rule) * unit
    metric = reference.metric or ""
    return entry.scores(metric, rule) if metric in METRICS else entry.combination_scores(metric, rule)


@cache
def _method_names() -> tuple[tuple[str, Mapping[str, Any], str], ...]:
    return tuple((row["method"], json.loads(row["params"]), row["published"]) for row in _read("method_names.csv"))


@cache
def _task_settings() -> Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]:
    settings: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for row in _read("task_settings.csv"):
        settings.setdefault(row["task"], []).append((row["parameter"], tuple(row["published"].split("|"))))
    return settings


def _read(name: str) -> Iterator[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
