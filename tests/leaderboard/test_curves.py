from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from leaderboard.curves import area, bias_strength, breakdown

LEVELS = np.array([0.9, 0.99, 0.999])
levels = st.lists(st.integers(0, 999), min_size=2, max_size=8, unique=True).map(lambda n: np.array(n) / 1000)


def test_orders_of_magnitude_of_conflicting_samples_are_equally_far_apart() -> None:
    assert bias_strength(np.array([0.0, 0.9, 0.99, 0.999])) == pytest.approx([0, 1, 2, 3])


def test_area_by_hand_in_any_order_and_for_several_seeds() -> None:
    """Widths 1 and 1: (.9 + .7) / 2 and (.7 + .3) / 2, mean .65."""
    assert area(LEVELS, np.array([0.9, 0.7, 0.3])) == pytest.approx(0.65)
    assert area(LEVELS[[2, 0, 1]], np.array([[0.3, 0.9, 0.7], [1, 1, 1]])) == pytest.approx([0.65, 1])
    assert np.isnan(area(LEVELS, np.array([0.9, math.nan, 0.3])))


@given(levels, st.integers(0, 2**32 - 1))
def test_area_is_a_mean_of_the_curve(rhos, seed: int) -> None:
    scores = np.random.default_rng(seed).random(len(rhos))
    found = float(area(rhos, scores))
    assert scores.min() - 1e-12 <= found <= scores.max() + 1e-12
    order = np.argsort(rhos)
    x = -np.log10(1 - rhos[order])
    assert found == pytest.approx(integrate.trapezoid(scores[order], x) / (x[-1] - x[0]))


def test_breakdown_is_interpolated_between_levels() -> None:
    """From .9 at strength 1 to .5 at strength 2: .6 is reached at 1.75."""
    assert breakdown(LEVELS, np.array([0.9, 0.5, 0.1]), 0.6) == pytest.approx(1 - 10**-1.75)
    assert breakdown(LEVELS[::-1], np.array([0.1, 0.5, 0.9]), 0.6) == pytest.approx(1 - 10**-1.75)


def test_breakdown_outside_of_the_levels() -> None:
    assert breakdown(LEVELS, np.array([0.9, 0.8, 0.7]), 0.6) == math.inf
    assert breakdown(LEVELS, np.array([0.5, 0.9, 0.7]), 0.6) == 0.9
    assert math.isnan(breakdown(LEVELS, np.array([0.5, math.nan, 0.7]), 0.6))


@given(levels, st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_the_curve_is_not_below_the_threshold_before_its_breakdown(rhos, seed: int, threshold: float) -> None:
    scores = np.random.default_rng(seed).random(len(rhos))
    found = breakdown(rhos, scores, threshold)
    assert (scores[rhos < found - 1e-9] >= threshold).all()
    if math.isfinite(found) and found > rhos.min():
        order = np.argsort(rhos)
        height = np.interp(-math.log10(1 - found), -np.log10(1 - rhos[order]), scores[order])
        assert height == pytest.approx(threshold, abs=1e-6)


@pytest.mark.parametrize("rhos", [[0.9, 1.0], [0.9, -0.1], [0.9, 0.9], [0.9], [0.9, 0.95, 0.99]])
def test_curves_without_a_scale_are_refused(rhos: list[float]) -> None:
    with pytest.raises(ValueError, match="levels"):
        area(np.array(rhos), np.array([0.5, 0.4][: len(rhos)]))
