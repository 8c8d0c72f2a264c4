"""Every definition of accuracy in use, computed from counts per (y, b, prediction).

Papers mean different things by "unbiased accuracy", so each definition has a name of its own here. Every metric maps
counts (..., C, B, C) to float64 (...): leading axes are candidates, seeds or whatever else is stacked. A metric that
is not defined on the counts (no bias labels, no samples) is NaN. Where several metrics of the same counts are wanted,
their :class:`Tally` saves going over them each time.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.counts import Groups, IntArray
from benchmark.errors import UnknownNameError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """All that metrics need of counts.

    Attributes:
        correct: Samples predicted correctly per (y, b): (..., C, B).
        total: All samples per (y, b): (..., C, B).
    """

    correct: IntArray
    total: IntArray

    @classmethod
    def of(cls, counts: IntArray, groups: Groups) -> Tally:
        """Tally counts (..., C, B, C) of these groups."""
        if counts.shape[-3:] != groups.shape:
            raise ValueError(
                f"counts must end in the axes (y, b, prediction) of their groups, {groups.shape}; "
                f"got shape {counts.shape}"
            )
        correct = np.swapaxes(np.diagonal(counts, axis1=-3, axis2=-1), -2, -1)
        return cls(np.ascontiguousarray(correct), np.einsum("...p->...", counts))

    @property
    def arrays(self) -> tuple[IntArray, IntArray]:
        """Both."""
        return self.correct, self.total


Counts = IntArray | Tally


def accuracy(counts: Counts, groups: Groups) -> FloatArray:
    """Share of samples predicted correctly: (..., C, B, C) to (...)."""
    correct, total = _cells(counts, groups)
    return _share(correct.sum((-2, -1)), total.sum((-2, -1)))


def unbiased_accuracy(counts: Counts, groups: Groups) -> FloatArray:
    """Mean over the (y, b) cells that have samples of the accuracy in the cell (LfF, DeNetDM): (..., C, B, C) to (...).

    On a test split in which every (y, b) has equally many samples it equals :func:`accuracy`.
    """
    return _mean(_labelled_cells(counts, groups), (-2, -1))


def worst_group_accuracy(counts: Counts, groups: Groups) -> FloatArray:
    """Smallest accuracy among the (y, b) cells that have samples (group DRO, WILDS): (..., C, B, C) to (...)."""
    return _min(_labelled_cells(counts, groups), (-2, -1))


def group_mean_accuracy(counts: Counts, groups: Groups) -> FloatArray:
    """Mean over the values of b that have samples of the accuracy at that b: (..., C, B, C) to (...)."""
    correct, total = _cells(counts, groups)
    per_bias = _share(correct.sum(-2), total.sum(-2))
    return _mean(_if_labelled(per_bias, groups), (-1,))


def aligned_accuracy(counts: Counts, groups: Groups) -> FloatArray:
    """Accuracy on bias-aligned samples, pooled: (..., C, B, C) to (...). With several biases: all of them aligned."""
    return _pooled(counts, groups, _all_aligned(groups))


def conflicting_accuracy(counts: Counts, groups: Groups) -> FloatArray:
    """Accuracy on bias-conflicting samples, pooled: (..., C, B, C) to (...).

    With several biases: at least one of them conflicting, so that every sample is either aligned or conflicting.
    :func:`combination_accuracies` tells them apart.
    """
    return _pooled(counts, groups, ~_all_aligned(groups))


def gap(counts: Counts, groups: Groups) -> FloatArray:
    """:func:`aligned_accuracy` minus :func:`conflicting_accuracy`: (..., C, B, C) to (...)."""
    return np.asarray(aligned_accuracy(counts, groups) - conflicting_accuracy(counts, groups), dtype=np.float64)


def alignment_group_mean(counts: Counts, groups: Groups) -> FloatArray:
    """Mean over the aligned/conflicting combinations of the biases that have samples: (..., C, B, C) to (...).

    With k biases there are 2^k combinations; samples are pooled within each. It is what DebiAN and Voronoi call
    "unbiased" on Multi-Color MNIST.
    """
    return _mean(_stacked_combinations(counts, groups), (-1,))


def worst_alignment_group_accuracy(counts: Counts, groups: Groups) -> FloatArray:
    """Smallest accuracy among the 2^k aligned/conflicting combinations that have samples: (..., C, B, C) to (...)."""
    return _min(_stacked_combinations(counts, groups), (-1,))


def combination_accuracies(counts: Counts, groups: Groups) -> dict[str, FloatArray]:
    """Accuracy of each aligned/conflicting combination of the biases, samples pooled within it.

    Returns:
        Names such as ``left_aligned_right_conflicting`` to (...), all aligned first; empty without bias labels. Where
        attributes overlap, see :func:`overlapping_accuracies`.
    """
    if groups.overlapping:
        return overlapping_accuracies(counts, groups)
    alignment = groups.alignment()
    found = {}
    for states in itertools.product((True, False), repeat=len(groups.bias_names)):
        if states:
            where = np.all(alignment == np.array(states)[:, None, None], axis=0)
            found[_combination_name(groups, states)] = _pooled(counts, groups, where)
    return found


def overlapping_accuracies(counts: Counts, groups: Groups) -> dict[str, FloatArray]:
    """Accuracy of each group (mark, y) of samples that carry a mark, whatever others they carry (WILDS).

    Returns:
        ``worst_overlapping_group``, the smallest of those that have samples, and names such as ``male_y1``, to (...).
    """
    correct, total = (counts if isinstance(counts, Tally) else Tally.of(counts, groups)).arrays
    marks = np.array(np.unravel_index(np.arange(groups.shape[1]), groups.bias_values)) == 1
    found: dict[str, FloatArray] = {}
    for name, carried in zip(groups.bias_names, marks, strict=True):
        of_mark = _share(correct[..., carried].sum(-1), total[..., carried].sum(-1))
        found |= {f"{_identifier(name)}_y{y}": of_mark[..., y] for y in range(groups.classes)}
    return {"worst_overlapping_group": _min(np.stack(list(found.values()), axis=-1), (-1,)), **found}


@dataclass(frozen=True)
class Metric:
    """A named definition of accuracy.

    Attributes:
        compute: Counts (..., C, B, C) and their groups to float64 (...).
        definition: One line, printed under every table that shows the metric.
    """

    compute: Callable[[Counts, Groups], FloatArray]
    definition: str


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, "share of samples predicted correctly"),
    "unbiased_accuracy": Metric(
        unbiased_accuracy, "mean of the accuracies in the (y, b) cells that have samples; each cell counts the same"
    ),
    "worst_group_accuracy": Metric(
        worst_group_accuracy, "smallest of the accuracies in the (y, b) cells that have samples"
    ),
    "group_mean_accuracy": Metric(
        group_mean_accuracy, "mean over the values of b of the accuracy on all samples with that b"
    ),
    "aligned_accuracy": Metric(aligned_accuracy, "accuracy on samples all of whose biases are aligned with y"),
    "conflicting_accuracy": Metric(
        conflicting_accuracy, "accuracy on samples at least one of whose biases conflicts with y"
    ),
    "gap": Metric(gap, "aligned_accuracy minus conflicting_accuracy; 0 is best"),
    "alignment_group_mean": Metric(
        alignment_group_mean, "mean of the accuracies of the aligned/conflicting combinations of the biases"
    ),
    "worst_alignment_group_accuracy": Metric(
        worst_alignment_group_accuracy, "smallest accuracy among the aligned/conflicting combinations of the biases"
    ),
}
"""The metrics that every task with bias labels has; :func:`score` also knows the task's combinations."""


def score(name: str, counts: Counts, groups: Groups) -> FloatArray:
    """Compute a metric by name: one of :data:`METRICS`, or a combination such as ``left_aligned_right_conflicting``.

    Raises:
        UnknownNameError: There is no such metric for these groups.
    """
    if name in METRICS:
        return METRICS[name].compute(counts, groups)
    combinations = combination_accuracies(counts, groups)
    if name in combinations:
        return combinations[name]
    raise UnknownNameError("metric", name, (*METRICS, *combinations))


def _cells(counts: Counts, groups: Groups) -> tuple[IntArray, IntArray]:
    """Samples predicted correctly and all samples per cell of ``groups.cells``, each (..., C, B)."""
    correct, total = (counts if isinstance(counts, Tally) else Tally.of(counts, groups)).arrays
    return (_any_mark(correct), _any_mark(total)) if groups.overlapping else (correct, total)


def _any_mark(table: IntArray) -> IntArray:
    """(..., C, combinations of marks) to (..., C, 2): without any, with some."""
    return np.stack([table[..., 0], table[..., 1:].sum(-1)], axis=-1)


def _labelled_cells(counts: Counts, groups: Groups) -> FloatArray:
    """Accuracy per (y, b) cell (..., C, B), NaN where empty and everywhere without bias labels."""
    return _if_labelled(_share(*_cells(counts, groups)), groups)


def _if_labelled(values: FloatArray, groups: Groups) -> FloatArray:
    """The values, or NaN in their place where the task has no bias labels."""
    return values if groups.bias_names else np.full_like(values, np.nan)


def _all_aligned(groups: Groups) -> npt.NDArray[np.bool_]:
    """Whether every bias is aligned: (C, B)."""
    return np.asarray(np.all(groups.cells.alignment(), axis=0), dtype=np.bool_)


def _pooled(counts: Counts, groups: Groups, where: npt.NDArray[np.bool_]) -> FloatArray:
    """Accuracy on the samples of the cells ``where`` (C, B)."""
    correct, total = _cells(counts, groups)
    return _if_labelled(_share((correct * where).sum((-2, -1)), (total * where).sum((-2, -1))), groups)


def _stacked_combinations(counts: Counts, groups: Groups) -> FloatArray:
    """Accuracy per combination (..., 2^k); one NaN without bias labels."""
    tally = Tally(*_cells(counts, groups))
    values = list(combination_accuracies(tally, groups.cells).values())
    return np.stack(values, axis=-1) if values else np.full((*tally.total.shape[:-2], 1), np.nan)


def _combination_name(groups: Groups, states: tuple[bool, ...]) -> str:
    names = map(_identifier, groups.bias_names)
    return "_".join(
        f"{name}_{'aligned' if state else 'conflicting'}" for name, state in zip(names, states, strict=True)
    )


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower())


def _share(correct: IntArray | FloatArray, total: IntArray) -> FloatArray:
    """Ratio, NaN where the total is 0."""
    total = np.asarray(total)
    shares = np.asarray(correct / np.maximum(total, 1), dtype=np.float64)  # np.divide(where=) takes ten times as long
    return np.where(total > 0, shares, np.nan)


def _mean(values: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Mean over the defined values, NaN if there are none (``nanmean`` would warn)."""
    defined = ~np.isnan(values)
    return _share(np.where(defined, values, 0.0).sum(axes), defined.sum(axes))


def _min(values: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Smallest of the defined values, NaN if there are none."""
    smallest = np.where(np.isnan(values), np.inf, values).min(axes)
    return np.asarray(np.where(np.isinf(smallest), np.nan, smallest), dtype=np.float64)
