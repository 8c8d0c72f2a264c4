"""Divide samples among splits, classes and bias values: exact counts, random order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from benchmark.errors import DataCorruptError
from benchmark.randomness import Dimension, numpy_stream

IntArray = npt.NDArray[np.int64]


def by_value(values: IntArray, count: int) -> list[IntArray]:
    """For each value from 0 to ``count - 1``, the positions in ``values`` (N,) where it stands."""
    return [np.flatnonzero(values == value) for value in range(count)]


def shuffled(queues: Sequence[IntArray], *stream: Dimension) -> list[IntArray]:
    """Each queue in an order drawn from the named stream."""
    draws = numpy_stream(*stream)
    return [draws.permutation(queue) for queue in queues]


def sizes(queues: Sequence[IntArray]) -> IntArray:
    """The length of each queue."""
    return np.array([len(queue) for queue in queues], dtype=np.int64)


def cut(queues: Sequence[IntArray], counts: IntArray) -> tuple[list[IntArray], list[IntArray]]:
    """The first ``counts[c]`` of each queue, and the rest."""
    pairs = list(zip(queues, counts.tolist(), strict=True))
    return [queue[:count] for queue, count in pairs], [queue[count:] for queue, count in pairs]


def proportionally(weights: IntArray, total: int) -> IntArray:
    """``total`` divided in proportion to ``weights``, exactly: the largest remainders are rounded up."""
    share, remainder = np.divmod(weights * total, weights.sum())
    share[np.argsort(-remainder, kind="stable")[: total - share.sum()]] += 1
    return share


def evenly(limits: IntArray, total: int) -> IntArray:
    """``total`` (or all there are) divided as evenly as ``limits`` allow; the first take what is left over."""
    counts = np.zeros_like(limits)
    while (left := min(total, int(limits.sum())) - int(counts.sum())) > 0:
        unfilled = np.flatnonzero(counts < limits)[:left]
        counts[unfilled] += np.minimum(max(1, left // len(unfilled)), (limits - counts)[unfilled])
    return counts


def aligned_and_others(n: int, rho: float, aligned: int, values: int, draws: np.random.Generator) -> IntArray:
    """How many of ``n`` samples of a class get each bias value (values,): round(n rho) the ``aligned`` one.

    The others get equally many; the odd ones go to others at random.
    """
    own = round(n * rho)
    each, odd = divmod(n - own, values - 1)
    counts = np.full(values, each, dtype=np.int64)
    counts[draws.permutation(np.delete(np.arange(values), aligned))[:odd]] += 1
    counts[aligned] = own
    return counts


def grouped(labels: IntArray, rows: IntArray) -> list[IntArray]:
    """``rows`` (M,) by their labels (N, …), in the order of these; only groups that have any."""
    _, group = np.unique(labels[rows], axis=0, return_inverse=True)
    return [rows[group == number] for number in range(int(group.max()) + 1)] if len(rows) else []


def capped(
    rows: IntArray, groups: Callable[[IntArray], list[IntArray]], cap: int | None, *stream: Dimension
) -> IntArray:
    """At most ``cap`` of ``rows``, drawn so that every group keeps its share, then ascending; else all as they are."""
    if cap is None or cap >= len(rows):
        return rows
    queues = shuffled(groups(rows), *stream)
    return np.sort(np.concatenate(cut(queues, proportionally(sizes(queues), cap))[0]))


def balanced(groups: Sequence[IntArray], what: str, expected: int, *stream: Dimension) -> IntArray:
    """Equally many of every group: as many as the smallest has, drawn from the named stream; ascending.

    Args:
        groups: Rows of each (y, b).
        what: Names the samples in an error.
        expected: How many groups there should be.
        stream: Of the draw.

    Raises:
        DataCorruptError: A group has no samples.
    """
    require_groups(groups, what, expected)
    taken, _ = cut(shuffled(groups, "balanced", *stream), np.full(len(groups), sizes(groups).min()))
    return np.sort(np.concatenate(taken))


def mixed(rows: IntArray, *stream: Dimension) -> IntArray:
    """``rows`` in a random order: data sets are listed class by class."""
    return numpy_stream("order", *stream).permutation(rows)


def stratified(groups: Sequence[IntArray], shares: Sequence[float], *stream: Dimension) -> list[IntArray]:
    """Divide rows so that every part has its share of every group.

    Args:
        groups: Rows of each group.
        shares: Of all parts but the last, which takes the rest.
        stream: Of the division.

    Returns:
        The rows of each part, ascending.
    """
    rest, parts = shuffled(groups, "division", *stream), []
    total = sizes(rest)
    for share in shares:
        part, rest = cut(rest, np.round(total * share).astype(np.int64))
        parts.append(np.sort(np.concatenate(part)))
    return [*parts, np.sort(np.concatenate(rest))]


def require_groups(groups: Sequence[IntArray], what: str, expected: int) -> None:
    """Make sure that every group has a sample.

    Args:
        groups: Rows of each (y, b) that has any.
        what: Names the samples in an error.
        expected: How many groups there should be.

    Raises:
        DataCorruptError: There are fewer.
    """
    if len(groups) < expected:
        raise DataCorruptError(
            f"{what}: only {len(groups)} of the {expected} groups (y, b) have samples; a split that weighs groups "
            "equally needs them all: is the data set complete?"
        )
