"""Divide samples among splits, classes and bias values: exact counts, random order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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
