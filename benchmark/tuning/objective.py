"""Objectives: what a trial is judged by. All are accuracies of the task, on validation data, never bias accuracies.

To tune on data is to see it, so a method may be tuned on what it declares to see, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.counts import IntArray
from benchmark.errors import ConfigError, UnknownNameError
from benchmark.metrics import Counts, score
from benchmark.record import Record
from benchmark.task import SplitName, Task


@dataclass(frozen=True)
class Objective:
    """A metric on a validation split.

    Attributes:
        name: As in sweeps.
        split: Whose counts it reads.
        metric: A name of :data:`benchmark.metrics.METRICS`.
        data: What it looks at, for tables.
        bias_labels: Whether only methods may be tuned by it that are given the bias labels of training images.
        unbiased_split: Whether only methods may that are given an unbiased split.
    """

    name: str
    split: SplitName
    metric: str
    data: str
    bias_labels: bool = False
    unbiased_split: bool = False


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            "unbiased_val",
            "val_unbiased",
            "unbiased_accuracy",
            "targets and bias labels of an unbiased validation split",
            unbiased_split=True,
        ),
        Objective(
            "worst_group_val",
            "val_unbiased",
            "worst_group_accuracy",
            "targets and bias labels of an unbiased validation split",
            unbiased_split=True,
        ),
        Objective(
            "balanced_val",
            "val_biased",
            "alignment_group_mean",
            "targets and bias labels of a validation split as biased as train",
            bias_labels=True,
        ),
        Objective("biased_val", "val_biased", "accuracy", "targets of a validation split as biased as train"),
    )
}
"""The objectives by name. Where bias labels are given but no unbiased split, aligned and conflicting validation samples
count the same. Without either only the biased accuracy is left, which a shortcut satisfies too."""

AUTOMATIC = "auto"


def objective_for(name: str, method: str, given: tuple[bool, bool], task: Task) -> Objective:
    """An objective by name, or, for ``auto``, the first of :data:`OBJECTIVES` that may be used.

    Args:
        name: Of the objective, or ``auto``.
        method: Name of the method that is tuned.
        given: Whether it is given bias labels on train, and an unbiased split.
        task: On which.

    Raises:
        UnknownNameError: There is no such objective.
        ConfigError: The method's supervision does not allow it, or the task has not the data.
    """
    allowed = [objective for objective in OBJECTIVES.values() if _refusal(objective, given, task) is None]
    if name == AUTOMATIC:
        return allowed[0]
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, (AUTOMATIC, *OBJECTIVES))
    refusal = _refusal(OBJECTIVES[name], given, task)
    if refusal is not None:
        instead = ", ".join(objective.name for objective in allowed)
        raise ConfigError(
            f"{method} on {task.name} may not be tuned by {name}, which looks at {OBJECTIVES[name].data}: {refusal}. "
            f"Use {instead}, or {AUTOMATIC}"
        )
    return OBJECTIVES[name]


def _refusal(objective: Objective, given: tuple[bool, bool], task: Task) -> str | None:
    bias_labels, unbiased_split = given
    if objective.split not in task.splits:
        return f"the task has no split {objective.split}"
    if objective.unbiased_split and not unbiased_split:
        return "the method is not given an unbiased split"
    if objective.bias_labels and not bias_labels:
        return "the method is not given bias labels"
    return None


def values_of(record: Record, objective: Objective) -> dict[int, float]:
    """The objective of every selectable candidate of a finished cell, by its place among them; NaN is left out."""
    counts: Mapping[str, IntArray] = {name: table.unpack() for name, table in record.counts.items()}
    if record.groups is None or objective.split not in counts:
        return {}
    selectable = [index for index, candidate in enumerate(record.candidates) if candidate.selectable]
    table: Counts = counts[objective.split][selectable]
    values = score(objective.metric, table, record.groups).tolist()
    return {step: value for step, value in enumerate(values) if value == value}
