"""Gate values and slopes against hand values and finite differences in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.shared.gates import Gate, hard, saturated

TAUS = [1.0, 0.1, 1e-3, 1e-8]


def slope(gate: Gate, m: np.ndarray, tau: float) -> np.ndarray:
    parameters = torch.tensor(m, requires_grad=True)
    gate(parameters, tau).sum().backward()
    return parameters.grad.numpy()


def finite_difference(m: np.ndarray, tau: float, scale: float) -> np.ndarray:
    """Of ``scale * sigmoid(m / tau)``, central, with a step in units of tau."""
    step = 1e-5 * tau

    def value(at: np.ndarray) -> np.ndarray:
        return scale / (1 + np.exp(-at / tau))

    return (value(m + step) - value(m - step)) / (2 * step)


def test_the_saturated_gate_has_its_values_by_hand() -> None:
    m = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], dtype=torch.float64)
    expected = [2 / (1 + math.exp(2)), 2 / (1 + math.exp(0.5)), 1, 1, 1]
    assert saturated(m, 1.0).tolist() == pytest.approx(expected, rel=1e-12)
    expected = [2 / (1 + math.exp(20)), 2 / (1 + math.exp(5)), 1, 1, 1]
    assert saturated(m, 0.1).tolist() == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(m=st.floats(0, 2.0**100, width=32), tau=st.sampled_from(TAUS))
def test_the_saturated_gate_is_exactly_one_wherever_the_weight_is_kept(m: float, tau: float) -> None:
    assert float(saturated(torch.tensor([m]), tau)) == 1.0


@pytest.mark.parametrize("tau", TAUS)
def test_the_saturated_gate_has_the_slope_of_the_unsaturated_function_on_both_sides(tau: float) -> None:
    m = np.array([-3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0]) * tau
    assert slope(saturated, m, tau) == pytest.approx(finite_difference(m, tau, 2.0), rel=1e-6)
    assert slope(saturated, np.zeros(1), tau) == pytest.approx([0.5 / tau], rel=1e-12)


@pytest.mark.parametrize("tau", TAUS)
def test_the_hard_gate_steps_at_zero_and_has_the_slope_of_the_sigmoid(tau: float) -> None:
    m = np.array([-3.0, -1e-7, 0.0, 1e-7, 3.0]) * tau
    assert hard(torch.tensor(m), tau).tolist() == [0, 0, 1, 1, 1]
    assert slope(hard, m, tau) == pytest.approx(finite_difference(m, tau, 1.0), rel=1e-6)
    assert slope(hard, np.zeros(1), tau) == pytest.approx([0.25 / tau], rel=1e-12)


@pytest.mark.parametrize("gate", [saturated, hard])
def test_slopes_stay_finite_far_from_zero_at_the_last_temperatures(gate: Gate) -> None:
    far = slope(gate, np.array([-5.0, 5.0], dtype=np.float32), 1e-8)
    assert far.tolist() == [0.0, 0.0]


@settings(deadline=None)
@given(m=st.floats(-1e3, 1e3, width=32), tau=st.sampled_from(TAUS))
def test_both_gates_agree_on_what_is_kept_at_the_end(m: float, tau: float) -> None:
    kept = bool(hard(torch.tensor(m), tau))
    assert kept == (m >= 0)
    assert kept or float(saturated(torch.tensor(m), tau)) <= 1.0
