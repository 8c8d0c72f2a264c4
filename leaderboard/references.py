"""Numbers that papers report, with their source and how they were read, to be shown beside ours and never mixed in.

They lie in ``references/paper_results.csv`` as published, in percent: task, rho, method, metric, value, std, source,
evidence, note. Sources that give different numbers for the same thing are all kept.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ResultCorruptError

PAPER_RESULTS = Path(__file__).parent / "references" / "paper_results.csv"
COLUMNS = ("task", "rho", "method", "metric", "value", "std", "source", "evidence", "note")


@dataclass(frozen=True)
class Reference:
    """A published number.

    Attributes:
        task: Name of the task.
        rho: Share of bias-aligned training samples, of the first bias if there are several; ``None`` where natural.
        level: The level as published, for tables ("0.99", "L0.99/R0.95", "" where natural).
        method: Name of the method.
        metric: What of ours measures the same thing (:mod:`benchmark.metrics`, or ``sparsity_percent``, ``mflops``);
            ``None`` where nothing does.
        published_metric: What the source calls it.
        value: Accuracies as shares in 0..1, like ours; other quantities in the unit that the metric names.
        std: Published standard deviation in the same unit; ``None`` where there is none.
        source: Paper and table.
        evidence: How the number was read: ``paper text``, ``table image`` or ``secondary note`` (least certain).
        note: What else one must know to compare.
    """

    task: str
    rho: float | None
    level: str
    method: str
    metric: str | None
    published_metric: str
    value: float
    std: float | None
    source: str
    evidence: str
    note: str

    def deviations(self, ours: float) -> float | None:
        """How many published standard deviations ours is above the published value; ``None`` where none is known."""
        return (ours - self.value) / self.std if self.std else None


def read_references(path: Path = PAPER_RESULTS) -> tuple[Reference, ...]:
    """Read published numbers, in the order of the file.

    Raises:
        ResultCorruptError: The file has other columns, or a line is not valid; names the line.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ResultCorruptError(f"{path} must have the columns {', '.join(COLUMNS)}; got {rows.fieldnames}")
        return tuple(_parse(row, f"{path}, line {rows.line_num}") for row in rows)


def lookup(
    references: Iterable[Reference],
    *,
    task: str,
    rho: float | None,
    method: str | None = None,
    metric: str | None = None,
) -> tuple[Reference, ...]:
    """All published numbers for a task at a level, of one method or metric (ours) if given; one per source and row."""
    return tuple(
        reference
        for reference in references
        if (reference.task, reference.rho) == (task, rho)
        and method in (None, reference.method)
        and metric in (None, reference.metric)
    )


def _parse(row: dict[str, str], where: str) -> Reference:
    try:
        unit = 100.0 if row["metric"] not in ("sparsity_percent", "mflops") else 1.0
        reference = Reference(
            task=row["task"],
            rho=_first_level(row["rho"]),
            level=row["rho"],
            method=row["method"],
            metric=_our_metric(row["task"], row["metric"], row["source"]),
            published_metric=row["metric"],
            value=float(row["value"]) / unit,
            std=float(row["std"]) / unit if row["std"] else None,
            source=row["source"],
            evidence=row["evidence"],
            note=row["note"],
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise ResultCorruptError(f"{where} is not a published number: {error}") from error
    if not all((reference.task, reference.method, reference.source, reference.evidence)):
        raise ResultCorruptError(f"{where} lacks its task, method, source or evidence")
    return reference


def _first_level(text: str) -> float | None:
    """``0.99``, or the left level of ``L0.99/R0.95``."""
    return float(text.split("/")[0].removeprefix("L")) if text else None


def _our_metric(task: str, published: str, source: str) -> str | None:
    """The metric of ours that measures what a source calls ``published``."""
    if task == "multi_color_mnist":
        if published == "unbiased_accuracy":
            return "alignment_group_mean"  # Voronoi table 3 gives the mean of the four groups
        return published.replace("left_", "left_colour_").replace("right_", "right_colour_")
    if published == "conflicting_accuracy":
        if task == "bar":
            return "accuracy"  # no bias labels; its test split holds conflicting samples only
        if task == "celeba" and source.startswith("DeNetDM"):
            return None  # the group of those neither blond nor male alone
    return published
