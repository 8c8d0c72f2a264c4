"""Bias decodability: how well a fresh linear probe reads an attribute from frozen features."""

from __future__ import annotations

import torch
from torch.nn import functional

ITERATIONS = 200


def decodability(
    train_z: torch.Tensor,
    train_labels: torch.Tensor,
    test_z: torch.Tensor,
    test_labels: torch.Tensor,
    values: int,
    penalty: float = 1.0,
) -> float:
    """Accuracy of multinomial logistic regression fitted on one split's features and scored on another's.

    Features are standardised by the training split. The fit minimises the summed cross-entropy plus
    ``penalty / 2 * |W|^2`` by L-BFGS from 0: convex, so that no seed, step size or number of epochs enters.

    Args:
        train_z: Features (N, dim).
        train_labels: Attribute, int64 (N,).
        test_z: Features (M, dim).
        test_labels: Attribute, int64 (M,).
        values: How many values the attribute takes.
        penalty: Strength of the L2 penalty on the weights; biases have none.
    """
    mean, spread = train_z.mean(0), train_z.std(0, correction=0).clamp(min=1e-6)
    x = (train_z - mean) / spread
    weight = x.new_zeros(values, x.shape[1]).requires_grad_()
    bias = x.new_zeros(values).requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        fit = functional.cross_entropy(functional.linear(x, weight, bias), train_labels)
        value = fit + penalty / (2 * len(x)) * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    predicted = functional.linear((test_z - mean) / spread, weight, bias).argmax(1)
    return float((predicted == test_labels).double().mean())
