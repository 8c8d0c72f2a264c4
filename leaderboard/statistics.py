"""Statistics of scores over seeds: means with intervals, and comparisons paired by seed.

The same seed gives every method the same data, initialisation and order of batches, so methods are compared by the
differences of their scores seed by seed.

The paired t-test decides, at any number of seeds. With the usual 3 to 5 seeds nothing else can: an exact sign-flip
test cannot give less than p = 2 / 2^n (.25 for 3 seeds, .0625 for 5), and a bootstrap interval of the mean of 3 values
covers 73 % instead of 95 %. Under the null the t-test rejects in 5 % of comparisons for normal differences, and in 2
to 5 % for methods whose scores follow the same skewed or heavy-tailed law. No test sees a collapse that happens in one
seed of ten before it has happened: there the t-test rejects too often, and only more seeds help. Sign flips and
bootstrap are computed beside it (:func:`robustness`), for readers who want no assumption of normality.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]
Scores = FloatArray | Sequence[float]
"""One score per seed; NaN where a seed is missing. Two of them are paired by position."""

INTERVAL = (
    "mean over seeds and 95 % t-interval; a seed changes the draw of the data, the initialisation and the order of "
    "batches together; std divides by n - 1"
)
TEST = "paired t-test over common seeds, two-sided; p values Holm-corrected over all pairs of the table, level 5 %"
DECIMALS = 12
"""Differences are rounded to as many: equal ones must not differ by the rounding of their subtraction."""
BOOTSTRAP_SEEDS = 10
"""Below as many seeds a bootstrap interval covers less than 90 % and is not given."""
RESAMPLES = 1999
"""Of sign flips, where they are not exact, and of the bootstrap; a p of .05 is uncertain by .005 then."""


@dataclass(frozen=True)
class Summary:
    """Scores over seeds.

    Attributes:
        n: How many seeds have a score.
        mean: Their mean; NaN without seeds.
        std: Sample standard deviation (ddof 1); NaN below 2 seeds.
        low: Lower end of the t-interval of the mean; NaN below 2 seeds.
        high: Upper end.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Method A minus method B over their common seeds.

    Attributes:
        n: How many seeds both have.
        difference: Mean of A - B; NaN without common seeds.
        std: Sample standard deviation of A - B; NaN below 2 seeds.
        low: Lower end of the t-interval of the difference; NaN below 2 seeds.
        high: Upper end.
        p_value: Two-sided paired t-test; NaN below 2 seeds.
        probability: That A scores higher than B on a further seed; NaN below 2 seeds.
    """

    n: int
    difference: float
    std: float
    low: float
    high: float
    p_value: float
    probability: float


@dataclass(frozen=True)
class Robustness:
    """What tests without normality say of A - B.

    Attributes:
        n: How many seeds both have.
        sign_flip_p: Two-sided sign-flip permutation test of the mean difference, exact up to 10 seeds; NaN below 2.
        bootstrap_low: Lower end of the 95 % BCa bootstrap interval; NaN below ``BOOTSTRAP_SEEDS`` seeds.
        bootstrap_high: Upper end.
    """

    n: int
    sign_flip_p: float
    bootstrap_low: float
    bootstrap_high: float


@dataclass(frozen=True)
class Summaries:
    """Many :class:`Summary` at once, as arrays of any common shape."""

    n: npt.NDArray[np.int64]
    mean: FloatArray
    std: FloatArray
    low: FloatArray
    high: FloatArray

    def each(self) -> list[Summary]:
        """One by one; of vectors."""
        columns = (self.n, self.mean, self.std, self.low, self.high)
        return [Summary(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def summarise(scores: Scores, confidence: float = 0.95) -> Summary:
    """Mean, standard deviation and t-interval of scores (seeds,); NaN scores are missing seeds."""
    return summarise_all(_vector(scores)[None], confidence).each()[0]


def summarise_all(scores: FloatArray, confidence: float = 0.95) -> Summaries:
    """As :func:`summarise` for each row of scores (..., seeds) to (...)."""
    known = ~np.isnan(scores)
    n = known.sum(-1)
    quantiles = special.stdtrit(np.arange(-1, scores.shape[-1]), (1 + confidence) / 2)  # of n - 1 degrees of freedom
    highest = np.where(known, scores, -np.inf).max(-1, initial=-np.inf)
    lowest = np.where(known, scores, np.inf).min(-1, initial=np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, scores, 0.0).sum(-1) / n
        deviations = np.where(known, scores - mean[..., None], 0.0)
        std = np.sqrt((deviations**2).sum(-1) / np.where(n > 1, n - 1, np.nan))
        same = highest == lowest  # exactly, where rounding would leave an error of 1e-17
        mean, std = np.where(same, highest, mean), np.where(same & (n > 1), 0.0, std)
        half = quantiles[n] * std / np.sqrt(n)
    return Summaries(n, mean, std, mean - half, mean + half)


def oracle_gap(oracle: Scores, selected: Scores) -> Summary:
    """What the choice of the candidate costs: scores chosen on test minus scores chosen by a rule, paired by seed."""
    return summarise(_differences(oracle, selected))


@dataclass(frozen=True)
class Comparisons:
    """Many :class:`Comparison` at once, as arrays of any common shape."""

    n: npt.NDArray[np.int64]
    difference: FloatArray
    std: FloatArray
    low: FloatArray
    high: FloatArray
    p_value: FloatArray
    probability: FloatArray

    def each(self) -> list[Comparison]:
        """One by one; of vectors."""
        columns = (self.n, self.difference, self.std, self.low, self.high, self.p_value, self.probability)
        return [Comparison(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def compare(a: Scores, b: Scores, confidence: float = 0.95) -> Comparison:
    """Compare methods A and B by their scores (seeds,), paired by position; seeds that one lacks are left out.

    Differences that are the same for all seeds have no spread for a t-test (small test splits, saturated scores): they
    get the p value of the exact sign-flip test, 2 / 2^n, and the rule of succession (n + 1) / (n + 2) as probability;
    no difference at all gets 1 and 1/2.
    """
    differences = _differences(a, b)[None]
    return compare_all(differences, np.zeros_like(differences), confidence).each()[0]


def compare_all(a: FloatArray, b: FloatArray, confidence: float = 0.95) -> Comparisons:
    """As :func:`compare` for each pair of rows of scores (..., seeds), broadcast against each other, to (...)."""
    found = summarise_all(np.round(a - b, DECIMALS), confidence)
    n, mean, std = found.n, found.mean, found.std
    with np.errstate(invalid="ignore", divide="ignore"):
        p_value = 2 * special.stdtr(n - 1, -np.abs(mean) / (std / np.sqrt(n)))
        probability = special.stdtr(n - 1, mean / (std * np.sqrt(1 + 1 / n)))
    constant, differs = std == 0, mean != 0
    p_value = np.where(constant, np.where(differs, 2.0 ** (1 - n), 1.0), p_value)
    succession = 0.5 + np.copysign((n + 1) / (n + 2) - 0.5, mean)
    probability = np.where(constant, np.where(differs, succession, 0.5), probability)
    few = n < 2
    return Comparisons(
        n, mean, std, found.low, found.high, np.where(few, np.nan, p_value), np.where(few, np.nan, probability)
    )


def robustness(a: Scores, b: Scores, seed: int = 0) -> Robustness:
    """Sign-flip test and bootstrap interval of A - B; ``seed`` is that of their random draws."""
    differences = _differences(a, b)
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    if n < 2:
        return Robustness(n, math.nan, math.nan, math.nan)
    if n < BOOTSTRAP_SEEDS:
        sums = np.abs(np.array(list(itertools.product((1, -1), repeat=n))) @ differences)
        return Robustness(n, float(np.mean(sums >= sums[0] - 10.0**-DECIMALS)), math.nan, math.nan)

    from scipy import stats  # takes half a second, and few seeds do without it

    rng, data = np.random.default_rng(seed), (differences,)
    flips = stats.permutation_test(
        data, np.mean, permutation_type="samples", vectorized=True, n_resamples=RESAMPLES, rng=rng
    )
    if np.ptp(differences) == 0:
        return Robustness(n, float(flips.pvalue), math.nan, math.nan)
    interval = stats.bootstrap(data, np.mean, n_resamples=RESAMPLES, rng=rng).confidence_interval
    return Robustness(n, float(flips.pvalue), float(interval.low), float(interval.high))


def holm(p_values: FloatArray | Sequence[float]) -> FloatArray:
    """Holm's step-down correction of p values (m,); NaN (a comparison that was not made) stays, not counted."""
    p = _vector(p_values)
    adjusted = np.full(p.shape, np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def further_seeds(a: Scores, b: Scores, alpha: float = 0.05, power: float = 0.8, limit: int = 1000) -> int | None:
    """How many seeds more would separate A from B, if their difference and its spread are as they look now.

    Args:
        a: Scores of A (seeds,).
        b: Scores of B (seeds,), paired by position.
        alpha: Level of the paired t-test; divide by the number of comparisons for a correction.
        power: Probability with which the enlarged set of seeds shall separate them.
        limit: Most seeds in all.

    Returns:
        0 if they are separated already; ``None`` if ``limit`` seeds would not do, or if fewer than 2 are common.
    """
    now = compare(a, b)
    if now.n < 2 or now.difference == 0:
        return None
    if now.p_value < alpha:
        return 0

    def enough(n: int) -> bool:
        if now.std == 0:
            return 2.0 ** (1 - n) < alpha
        critical = _t_quantile(n - 1, 1 - alpha)
        shift = abs(now.difference) / now.std * math.sqrt(n)
        missed = float(special.nctdtr(n - 1, shift, critical))  # NaN where the test has a power of all but 1
        return not missed > 1 - power

    if now.n >= limit or not enough(limit):
        return None
    low, high = now.n, limit  # enough(high); one more seed at least
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high - now.n


def _differences(a: Scores, b: Scores) -> FloatArray:
    first, second = _vector(a), _vector(b)
    if first.shape != second.shape:
        raise ValueError(
            f"scores are paired by seed, so both methods need as many (NaN where a seed is missing); "
            f"got {len(first)} and {len(second)}"
        )
    return np.round(first - second, DECIMALS)


def _vector(values: FloatArray | Sequence[float]) -> FloatArray:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ValueError(f"expected one value per seed, shape (seeds,); got shape {vector.shape}")
    return vector


def _t_quantile(df: int, confidence: float) -> float:
    """Two-sided quantile of Student's t."""
    return float(special.stdtrit(df, (1 + confidence) / 2))
