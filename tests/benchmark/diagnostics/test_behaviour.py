"""Flips of models that follow one pixel, and the surrogate against its own definition in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.diagnostics.behaviour import Surrogate, biasedness, counterfactual, crossover, estimate, flip_rate
from benchmark.diagnostics.subject import InapplicableError

ONE = (0, 1, 2)


def test_only_the_attribute_that_a_model_follows_flips_it(subject_of: Any, reader: Any) -> None:
    found = counterfactual(subject_of(reader(0, (0,)), reader(2, (2, 1))))
    assert found == {"before": {"left": 0.0, "right": 1.0}, "after": {"left": 0.0, "right": 0.0}}


def test_the_share_of_flips_is_counted() -> None:
    assert flip_rate(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 2, 2, 1])) == 0.5


def test_photographs_are_not_redrawn(subject_of: Any, reader: Any, photographs: Any) -> None:
    with pytest.raises(InapplicableError, match="cannot be redrawn"):
        counterfactual(subject_of(reader(0, (0,)), task=photographs))


def surrogate_counts(phi: float, k: float, aligned: tuple[int, ...], samples: int = 10**9) -> np.ndarray:
    """The expected counts (y, b, prediction) of the surrogate, each (y, b) with as many samples."""
    n = len(aligned)
    p = np.full((n, n, n), (1 - phi) * k / n)
    for y in range(n):
        p[y, :, y] += (1 - phi) * (1 - k)
        for b in range(n):
            p[y, b, aligned.index(b)] += phi
    return np.rint(samples * p).astype(np.int64)


@given(st.floats(0, 0.95), st.floats(0, 1), st.permutations(range(4)) | st.just([1, 0]) | st.just([0, 1, 2]))
def test_phi_and_k_of_the_surrogate_are_found_again(phi: float, k: float, aligned: list[int]) -> None:
    found = estimate(surrogate_counts(phi, k, tuple(aligned)), tuple(aligned))
    assert found == pytest.approx((phi, k), abs=1e-6)


def test_a_fully_biased_model_leaves_k_open() -> None:
    assert estimate(surrogate_counts(1.0, 0.3, ONE), ONE) == (1.0, None)


def test_a_split_without_conflicting_samples_says_nothing() -> None:
    counts = surrogate_counts(0.5, 0.5, ONE) * np.eye(3, dtype=np.int64)[:, :, None]
    assert estimate(counts, ONE) == (None, None)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.999), st.integers(2, 20))
def test_accuracy_and_information_are_those_of_the_joint_distribution(phi: float, k: float, rho: float, n: int) -> None:
    model = Surrogate(phi, k, n)
    expected = sum(
        share * (phi * (c == 0) + (1 - phi) * ((1 - k) + k / n)) for share, c in [(rho, 0), (1 - rho, 1)]
    )  # target 0; the bias points to class 0 on aligned samples
    assert model.accuracy(rho) == pytest.approx(expected)
    joint = np.full((n, n), (1 - expected) / (n - 1) / n)
    np.fill_diagonal(joint, expected / n)
    terms = joint[joint > 0] * np.log(joint[joint > 0] * n * n)
    assert model.information(rho) == pytest.approx(terms.sum() / np.log(n), abs=1e-9)


def test_the_crossover_of_ten_classes_at_nine_tenths() -> None:
    k = crossover(0.9, 10)
    assert k == pytest.approx(1 / 9)
    biased, unbiased = Surrogate(1, k, 10).accuracy(0.9), Surrogate(0, k, 10).accuracy(0.9)
    assert biased == pytest.approx(unbiased)
    assert Surrogate(0, k + 0.01, 10).accuracy(0.9) < biased < Surrogate(0, k - 0.01, 10).accuracy(0.9)


def test_readers_of_bias_and_target_are_told_apart(subject_of: Any, reader: Any) -> None:
    found = biasedness(subject_of(reader(0, (0,)), reader(1, (1,))))
    assert found["definition"].startswith("a surrogate defined by this benchmark")
    assert found["before"]["left"] == {"phi": 1.0, "k": None}
    assert found["after"] == {"left": {"phi": 0.0, "k": 0.0}, "right": {"phi": 0.0, "k": 0.0}}
    assert found["before"]["right"]["phi"] < 0.1
    assert found["crossover_k"] == pytest.approx(0.15)
