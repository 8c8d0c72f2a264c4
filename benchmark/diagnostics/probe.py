"""Linear probes: how well a fresh linear classifier reads an attribute from frozen features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

ITERATIONS = 200


@dataclass(frozen=True)
class Probe:
    """Multinomial logistic regression on standardised features.

    Attributes:
        mean: Of the features it was fitted on, (dim,).
        spread: Their standard deviation, (dim,).
        weight: (values, dim).
        bias: (values,).
    """

    mean: torch.Tensor
    spread: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def logits(self, z: torch.Tensor) -> torch.Tensor:
        """Features (N, dim) to logits (N, values)."""
        return functional.linear((z - self.mean) / self.spread, self.weight, self.bias)

    def accuracy(self, z: torch.Tensor, labels: torch.Tensor) -> float:
        """Share of samples whose attribute it predicts."""
        return float((self.logits(z).argmax(1) == labels).double().mean())


def fit_probe(z: torch.Tensor, labels: torch.Tensor, values: int, penalty: float = 1.0) -> Probe:
    """Fit a probe.

    The fit minimises the summed cross-entropy plus ``penalty / 2 * |W|^2`` by L-BFGS from 0: convex, so that no seed,
    step size or number of epochs enters.

    Args:
        z: Features (N, dim).
        labels: Attribute, int64 (N,).
        values: How many values the attribute takes.
        penalty: Strength of the L2 penalty on the weights; biases have none.
    """
    mean, spread = z.mean(0), z.std(0, correction=0).clamp(min=1e-6)
    x = (z - mean) / spread
    weight = x.new_zeros(values, x.shape[1]).requires_grad_()
    bias = x.new_zeros(values).requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        fit = functional.cross_entropy(functional.linear(x, weight, bias), labels)
        value = fit + penalty / (2 * len(x)) * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    return Probe(mean, spread, weight.detach(), bias.detach())


def decodability(
    train_z: torch.Tensor, train_labels: torch.Tensor, test_z: torch.Tensor, test_labels: torch.Tensor, values: int
) -> float:
    """Accuracy of a probe that is fitted on one split's features (N, dim) and scored on another's (M, dim)."""
    return fit_probe(train_z, train_labels, values).accuracy(test_z, test_labels)
