"""Temperature levels counted in exact arithmetic, and plateaus by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.shared.schedules import Plateau, levels


def test_ffw_has_nine_temperatures_and_bise_ten() -> None:
    assert levels(1.0, 0.1, 1e-8, inclusive=False) == 9
    assert levels(1.0, 0.5, 1e-3, inclusive=True) == 10


@settings(deadline=None)
@given(
    denominator=st.integers(2, 12), power=st.integers(1, 9), nudge=st.sampled_from([-1, 0, 1]), inclusive=st.booleans()
)
def test_levels_are_those_of_exact_arithmetic(denominator: int, power: int, nudge: int, inclusive: bool) -> None:
    factor = Fraction(1, denominator)
    stop = factor**power * (1 + Fraction(nudge, 1000))
    tau, expected = Fraction(1), 0
    while tau > stop or (tau == stop and not inclusive):
        tau, expected = tau * factor, expected + 1
    assert levels(1.0, float(factor), float(stop), inclusive=inclusive) == expected


@pytest.mark.parametrize(("start", "factor", "stop"), [(1.0, 1.0, 0.1), (1.0, 0.5, 2.0), (1.0, -0.5, 0.1)])
def test_a_temperature_that_cannot_fall_is_refused(start: float, factor: float, stop: float) -> None:
    with pytest.raises(ValueError, match="falls from start to stop"):
        levels(start, factor, stop, inclusive=True)


def test_a_plateau_is_reached_after_more_than_the_patience_without_a_relative_fall() -> None:
    plateau = Plateau(patience=2, threshold=0.05)
    # 0.96 is less than 5 % below 1 and no improvement; 0.94 is one and starts the count anew
    values = [1.0, 0.96, 0.96, 0.94, 0.93, 0.92, 0.91, 0.90, 0.93, 0.88]
    assert [plateau.reached(value) for value in values] == [False] * 6 + [True] + [False] * 3


def test_a_quantity_at_zero_or_rounded_below_it_counts_as_a_plateau() -> None:
    plateau = Plateau(patience=1, threshold=0.05)
    assert [plateau.reached(value) for value in (-1e-9, -1e-9, -1e-9, -1e-9)] == [False, False, True, False]


def test_a_restored_plateau_goes_on_where_it_was() -> None:
    values = [1.0, 0.99, 0.5, 0.6, 0.6, 0.6, 0.6]
    whole, first, second = (Plateau(1, 0.1) for _ in range(3))
    expected = [whole.reached(value) for value in values]
    found = [first.reached(value) for value in values[:4]]
    second.load_state_dict(first.state_dict())
    assert found + [second.reached(value) for value in values[4:]] == expected
    assert True in expected[4:]
