"""One number per method over several tasks: average ranks with a critical difference, and the interquartile mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from leaderboard.statistics import DECIMALS, FloatArray

NEMENYI = (
    "mean over tasks of the rank by mean score, ties share their average; methods closer than the critical difference "
    "(Nemenyi, level 5 %) cannot be told apart (Demsar 2006)"
)
INTERQUARTILE_MEAN = (
    "mean of the middle half of the scores of all tasks and seeds, those of a task being means over its levels for the "
    "seeds that are there at every one; 95 % interval from a bootstrap of the seeds within "
    "each task (Agarwal et al. 2021), with n - 1 draws per task and a t quantile, since few seeds cover too little "
    "without"
)


@dataclass(frozen=True)
class AverageRanks:
    """Ranks of methods over tasks.

    Attributes:
        ranks: Mean over tasks of each method's rank, 1 is best: (methods,).
        tasks: How many tasks were averaged.
        friedman_p: Friedman's test that no method differs from another; NaN below 3 methods or 2 tasks.
        critical_difference: Nemenyi's least difference of average ranks that tells two methods apart.
        groups: Indices of methods that cannot be told apart, best first, as drawn by bars in a critical difference
            diagram: every largest set of neighbours; a method may be in several.
    """

    ranks: FloatArray
    tasks: int
    friedman_p: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]


def average_ranks(scores: FloatArray, alpha: float = 0.05) -> AverageRanks:
    """Rank methods on each task by scores (tasks, methods), higher is better, and average (Demsar 2006, 3.2.2).

    Raises:
        ValueError: A score is missing. Leave out the task or the method: ranks among other competitors do not compare.
    """
    from scipy import stats  # takes half a second, and boards of one task do without

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2 or np.isnan(table).any():
        raise ValueError(
            f"average ranks need the score of every method on every task, at least 1 task and 2 methods; got shape "
            f"{table.shape} with {int(np.isnan(table).sum())} missing; leave out incomplete tasks or methods"
        )
    tasks, methods = table.shape
    table = np.round(table, DECIMALS)
    ranks = np.asarray(stats.rankdata(-table, axis=1).mean(0), dtype=np.float64)
    friedman = float(stats.friedmanchisquare(*table.T).pvalue) if methods > 2 and tasks > 1 else math.nan
    quantile = float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    difference = quantile * math.sqrt(methods * (methods + 1) / (6 * tasks))
    return AverageRanks(ranks, tasks, friedman, difference, _neighbours(ranks, difference))


def _neighbours(ranks: FloatArray, difference: float) -> tuple[tuple[int, ...], ...]:
    """Largest runs of at least two methods, in order of rank, whose ranks differ by less than the difference."""
    order = np.argsort(ranks, kind="stable")
    groups: list[tuple[int, ...]] = []
    last = 0
    for start in range(len(order)):
        end = start + int(np.sum(ranks[order[start:]] - ranks[order[start]] < difference))
        if end - start > 1 and end > last:
            groups.append(tuple(int(i) for i in order[start:end]))
            last = end
    return tuple(groups)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where it cannot be had."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: FloatArray, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Interquartile mean of a method's scores (tasks, seeds), NaN where a seed is missing.

    The interval is the estimate plus or minus a t quantile times the standard error of a bootstrap that redraws seeds
    within each task, n - 1 of n so that its variance is unbiased (Rao and Wu 1988). Half of all degrees of freedom
    count, since half of the scores are trimmed. In simulations with 1 to 8 tasks and 2 to 10 seeds it covers 92 % or
    more; the usual percentile bootstrap covers 74 to 85 % at 3 seeds.

    Args:
        scores: One row per task.
        resamples: Draws of the bootstrap.
        seed: Of its random draws.

    Returns:
        The estimate; its interval is NaN if a task has fewer than 2 seeds.
    """
    from scipy import stats

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"expected scores of shape (tasks, seeds), got {table.shape}")
    rows = [row[~np.isnan(row)] for row in table]
    rows = [row for row in rows if len(row)]
    if not rows:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(stats.trim_mean(np.concatenate(rows), 0.25))
    fewest = min(len(row) for row in rows)
    if fewest < 2:
        return Estimate(value, math.nan, math.nan)
    values = np.concatenate(rows)
    order = np.argsort(values, kind="stable")
    times = _times_drawn(tuple(len(row) for row in rows), resamples, seed)[order]
    size = len(values) - len(rows)
    cut = size // 4
    # how many of a resample's values are among the smallest 1, 2, ... of all, those of its middle half alone
    kept = np.clip(np.cumsum(times, axis=0, dtype=np.int32), cut, size - cut) - cut
    ascending = values[order]
    means = ascending[-1] - np.diff(ascending) @ kept[:-1] / (size - 2 * cut)  # summed by parts
    error = float(np.std(means, ddof=1))
    freedom = max(fewest - 1.0, sum(len(row) - 1 for row in rows) / 2)
    half = float(stats.t.ppf(0.975, freedom)) * error
    return Estimate(value, value - half, value + half)


@lru_cache(maxsize=4)
def _times_drawn(lengths: tuple[int, ...], resamples: int, seed: int) -> npt.NDArray[np.int32]:
    """How often each seed of each task is in each resample, which draws n - 1 of n: (seeds of all tasks, resamples).

    The same for all methods that have as many seeds.
    """
    rng = np.random.default_rng(seed)
    found = []
    for length in lengths:
        drawn = rng.integers(0, length, (resamples, length - 1))
        found.append((drawn == np.arange(length)[:, None, None]).sum(-1, dtype=np.int32))
    return np.concatenate(found)
