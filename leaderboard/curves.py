"""One number from a curve over rho: how a method holds out as the bias gets stronger.

Curves are drawn and integrated over -log10(1 - rho), the orders of magnitude by which bias-conflicting samples get
rarer: on it .9, .99 and .999 are equally far apart, where on rho itself the first step would be all of the curve.
"""

from __future__ import annotations

import math

import numpy as np

from leaderboard.statistics import FloatArray

AREA = (
    "mean height of the curve of the score over -log10(1 - rho) between the lowest and the highest level (area by the "
    "trapezoid rule, divided by the width), over the seeds that are there at every level"
)
BREAKDOWN = (
    "lowest rho at which the score falls below the threshold, interpolated linearly over -log10(1 - rho) between levels"
)


def bias_strength(rhos: FloatArray) -> FloatArray:
    """-log10(1 - rho).

    Raises:
        ValueError: A level is not in [0, 1): at rho = 1 there are no bias-conflicting samples and no scale.
    """
    levels = np.asarray(rhos, dtype=np.float64)
    if not ((levels >= 0) & (levels < 1)).all():
        raise ValueError(f"curves over rho need levels in [0, 1), got {levels.tolist()}")
    return np.asarray(-np.log10(1 - levels), dtype=np.float64)


def area(rhos: FloatArray, scores: FloatArray) -> FloatArray:
    """Mean height of curves over the bias strength: levels (L,), scores (..., L) to (...); NaN if a score is missing.

    Areas compare only between methods that were measured at the same levels.

    Raises:
        ValueError: Fewer than 2 levels, a level twice, or a level outside [0, 1).
    """
    x, y = _sorted(rhos, scores)
    return np.asarray(np.trapezoid(y, x, axis=-1) / (x[-1] - x[0]), dtype=np.float64)


def breakdown(rhos: FloatArray, scores: FloatArray, threshold: float) -> float:
    """The lowest rho at which a curve (L,) falls below a threshold.

    Returns:
        The lowest level if the score is below the threshold there already (it may have broken down earlier); infinity
        if it is below at no level; NaN if a score is missing.

    Raises:
        ValueError: Fewer than 2 levels, a level twice, or a level outside [0, 1).
    """
    x, y = _sorted(rhos, scores)
    if np.isnan(y).any():
        return math.nan
    below = np.flatnonzero(y < threshold)
    if not len(below):
        return math.inf
    after = int(below[0])
    if after == 0:
        return float(np.min(rhos))
    share = (y[after - 1] - threshold) / (y[after - 1] - y[after])
    return float(1 - 10 ** -(x[after - 1] + share * (x[after] - x[after - 1])))


def _sorted(rhos: FloatArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bias strengths and scores in ascending order of rho."""
    x, y = bias_strength(rhos), np.asarray(scores, dtype=np.float64)
    if len(x) < 2 or len(np.unique(x)) != len(x) or y.shape[-1:] != x.shape:
        raise ValueError(
            f"a curve needs at least 2 distinct levels of rho and a score at each; "
            f"got levels {np.asarray(rhos).tolist()} and scores of shape {y.shape}"
        )
    order = np.argsort(x)
    return x[order], y[..., order]
