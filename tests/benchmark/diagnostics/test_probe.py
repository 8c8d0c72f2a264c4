"""The probe against scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmark.diagnostics.probe import decodability


def features(overlap: float, samples: int = 600) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(int(overlap * 10))
    labels = draws.integers(4, size=samples)
    z = draws.normal(size=(4, 12))[labels] + overlap * draws.normal(size=(samples, 12))
    z[:, 3] *= 1000  # an unscaled unit
    z[:, 5] = 0  # a pruned unit
    return z.astype(np.float32), labels


def test_it_scores_as_logistic_regression_on_standardised_features() -> None:
    for overlap in (0.1, 1.5, 4.0):
        z, labels = features(overlap)
        scaler = StandardScaler().fit(z[:400])
        reference = LogisticRegression(C=1.0, max_iter=2000).fit(scaler.transform(z[:400]), labels[:400])
        expected = reference.score(scaler.transform(z[400:]), labels[400:])
        x, b = torch.tensor(z), torch.tensor(labels)
        assert abs(decodability(x[:400], b[:400], x[400:], b[400:], 4) - expected) <= 0.01
        assert expected > 0.25


def test_features_without_the_attribute_give_chance() -> None:
    z, _ = features(1.0, samples=4000)
    b = torch.tensor(np.random.default_rng(5).integers(4, size=4000))
    x = torch.tensor(z)
    assert abs(decodability(x[:2000], b[:2000], x[2000:], b[2000:], 4) - 0.25) < 0.05
