"""The mutual-information term against its definition, computed sample by sample in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from benchmark.diagnostics.information import mutual_information


def by_definition(logits: np.ndarray, labels: np.ndarray, counted: np.ndarray) -> float:
    """The formula with loops, over the counted samples only."""
    values = logits.shape[1]
    joint = np.zeros((values, values))
    for row, b, counts in zip(logits.astype(np.float64), labels, counted, strict=True):
        if counts:
            exponentials = np.exp(row - row.max())
            joint[b] += exponentials / exponentials.sum()
    joint = np.maximum(joint, 1e-15) / max(1, counted.sum())
    total = 0.0
    for i in range(values):
        for j in range(values):
            marginals = max(joint[i, :].sum() * joint[:, j].sum(), 1e-15)
            total += joint[i, j] * math.log(joint[i, j] / marginals)
    return total / math.log(values)


@settings(deadline=None)
@given(
    values=st.integers(2, 12),
    size=st.integers(1, 40),
    scale=st.sampled_from([0.01, 1.0, 20.0]),
    seed=st.integers(0, 999),
)
def test_it_equals_the_definition_on_random_logits(values: int, size: int, scale: float, seed: int) -> None:
    draws = np.random.default_rng(seed)
    logits = draws.normal(size=(size, values)).astype(np.float32) * scale
    labels, counted = draws.integers(values, size=size), draws.random(size) < 0.5
    given_all = mutual_information(torch.tensor(logits), torch.tensor(labels))
    given_some = mutual_information(torch.tensor(logits), torch.tensor(labels), torch.tensor(counted))
    assert float(given_all) == pytest.approx(by_definition(logits, labels, np.ones(size, bool)), abs=2e-6)
    assert float(given_some) == pytest.approx(by_definition(logits, labels, counted), abs=2e-6)


def test_for_certain_predictions_it_is_the_discrete_information_over_ln_k() -> None:
    draws = np.random.default_rng(0)
    labels, predicted = draws.integers(5, size=300), draws.integers(5, size=300)
    predicted[:100] = labels[:100]
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), 5) * 200.0
    expected = mutual_info_score(labels, predicted) / math.log(5)
    assert float(mutual_information(logits, torch.tensor(labels))) == pytest.approx(expected, abs=1e-6)


def test_a_perfect_head_on_uniform_labels_scores_one_and_an_uninformative_one_zero() -> None:
    labels = torch.arange(10).repeat(7)
    perfect = torch.nn.functional.one_hot(labels, 10) * 200.0
    assert float(mutual_information(perfect, labels)) == pytest.approx(1.0, abs=1e-6)
    assert float(mutual_information(torch.zeros(70, 10), labels)) == pytest.approx(0.0, abs=1e-6)


def test_without_a_counted_sample_it_is_exactly_zero_and_so_is_its_gradient() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    value = mutual_information(logits, torch.tensor([0, 1, 2, 0, 1, 2]), torch.zeros(6, dtype=torch.bool))
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_its_gradient_is_that_of_finite_differences() -> None:
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, generator=draws, dtype=torch.float64, requires_grad=True)
    labels, counted = torch.tensor([0, 1, 2, 0, 1, 2, 1, 1]), torch.tensor([1, 0, 1, 1, 1, 1, 0, 1], dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda z: mutual_information(z, labels, counted), logits)


def test_autocast_does_not_lower_its_precision() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(50) % 4
    with torch.autocast("cpu", torch.bfloat16):
        value = mutual_information(logits, labels)
    assert value.dtype == torch.float32
    assert float(value) == float(mutual_information(logits.float(), labels))
