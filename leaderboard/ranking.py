"""Ranks with ties within one table: methods that the seeds cannot tell apart share a rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaderboard.statistics import FloatArray, compare_all, holm

RANK = (
    "1 + the number of methods that are significantly better (paired t-test by seed, Holm-corrected over all pairs of "
    "the table, level 5 %); methods that share a rank are beaten by equally many. The range is from that rank to the "
    "last one the method may have; with at least 95 % confidence all ranges of the table hold the true ranks"
)
LEAST_SEEDS = 3
"""Methods with fewer seeds are not ranked: nothing could beat them, and they would come first."""

PAIRS_AT_ONCE = 50_000
"""So that comparing many methods takes little memory."""


@dataclass(frozen=True)
class Ranking:
    """Ranks of the methods of a table.

    Attributes:
        best: Rank of each method, the best that it may have; ``None`` if it has too few seeds to be ranked or no rival.
        worst: The worst rank that it may have.
        beats: Whether method i is significantly better than method j: (methods, methods).
        p_adjusted: Holm-corrected p values of the pairs: (methods, methods), NaN where they cannot be compared.
    """

    best: tuple[int | None, ...]
    worst: tuple[int | None, ...]
    beats: npt.NDArray[np.bool_]
    p_adjusted: FloatArray


def rank(scores: FloatArray | Sequence[Sequence[float]], alpha: float = 0.05) -> Ranking:
    """Rank methods by scores (methods, seeds), higher is better; NaN where a seed is missing.

    A method's rank is 1 plus the number of methods shown to be better, and it may be as far down as the methods shown
    to be worse leave room. Comparing with the leader alone would do with fewer comparisons, but a leader that leads by
    one lucky, scattered set of seeds would tie with everything below it, and hide that the second beats the tenth.
    Correcting over all pairs makes every statement of the table hold together, however it is read.

    Args:
        scores: One row per method, one column per seed.
        alpha: Probability of any false statement in the table, at most.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"expected scores of shape (methods, seeds), got {table.shape}")
    methods = len(table)
    ranked = (~np.isnan(table)).sum(1) >= LEAST_SEEDS
    ranked &= ranked.sum() > 1  # alone, any method would be the best
    first, second = np.triu_indices(methods, 1)
    both = ranked[first] & ranked[second]
    first, second = first[both], second[both]
    parts = np.array_split(np.arange(len(first)), len(first) // PAIRS_AT_ONCE + 1)
    found = [compare_all(table[first[part]], table[second[part]]) for part in parts]
    difference = np.concatenate([part.difference for part in found])
    p = holm(np.concatenate([part.p_value for part in found]))
    p_adjusted = np.full((methods, methods), np.nan)
    p_adjusted[first, second] = p_adjusted[second, first] = p
    beats = np.zeros((methods, methods), dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        beats[first, second] = (p < alpha) & (difference > 0)
        beats[second, first] = (p < alpha) & (difference < 0)
    better, worse = beats.sum(0), beats.sum(1)
    return Ranking(
        tuple(1 + int(n) if known else None for n, known in zip(better, ranked, strict=True)),
        tuple(int(ranked.sum() - n) if known else None for n, known in zip(worse, ranked, strict=True)),
        beats,
        p_adjusted,
    )
