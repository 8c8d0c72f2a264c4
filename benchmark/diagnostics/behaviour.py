"""How predictions follow the bias: counterfactual flips, and biasedness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmark.counts import IntArray
from benchmark.diagnostics.subject import InapplicableError, Subject
from benchmark.evaluate import predictions
from benchmark.randomness import numpy_stream

DEFINITION = "a surrogate defined by this benchmark; not the equations of FFW (ECCV 2024)"


def counterfactual(subject: Subject) -> dict[str, Any]:
    """For every bias attribute: the share of test predictions that change when the image is redrawn with another value.

    Every image gets one other value of the attribute, all equally likely, the same for every model; its other bias
    attributes, its target and everything else about it stay.
    """
    task, b = subject.task, subject.test.b
    if b is None or not task.biases:
        raise InapplicableError(f"{task.name} has no bias labels")
    result: dict[str, Any] = {model: {} for model in subject.models}
    for column, bias in enumerate(task.biases):
        other = b.cpu().numpy().copy()
        step = numpy_stream("counterfactual", task.name, column).integers(1, bias.values, len(other))
        other[:, column] = (other[:, column] + step) % bias.values
        redrawn = task.redraw("test", subject.setting, other)
        if redrawn is None:
            raise InapplicableError(f"images of {task.name} cannot be redrawn with another bias value")
        data = subject.data(redrawn)
        for name, model in subject.models.items():
            result[name][bias.name] = flip_rate(subject.predicted[name], predictions(model, data))
    return result


def flip_rate(first: torch.Tensor, second: torch.Tensor) -> float:
    """Share of predictions (N,) that differ."""
    return float((first != second).double().mean())


@dataclass(frozen=True)
class Surrogate:
    """A model of a biased classifier, OURS; FFW's own equations for phi and K_bia are not used.

    With probability ``phi`` the prediction is the class that the bias is paired with. Otherwise it does not look at the
    bias: with probability ``1 - k`` it is right, with probability ``k`` it is any class, each equally likely.

    Attributes:
        phi: Biasedness of the model, 0 to 1.
        k: Task biasedness K_bia: how hard the target is to tell without the bias, 0 to 1.
        classes: Number of classes N.
    """

    phi: float
    k: float
    classes: int

    def accuracy(self, rho: float) -> float:
        """P(y_hat = y) = phi rho + (1 - phi) ((1 - k) + k / N) where a share ``rho`` is aligned."""
        return self.phi * rho + (1 - self.phi) * ((1 - self.k) + self.k / self.classes)

    def information(self, rho: float) -> float:
        """I(y, y_hat) / ln N where the accuracy is A and errors are spread evenly over the other classes."""
        a, n = self.accuracy(rho), self.classes
        right = a * math.log(a) if a > 0 else 0.0
        wrong = (1 - a) * math.log((1 - a) / (n - 1)) if a < 1 else 0.0
        return 1 + (right + wrong) / math.log(n)


def crossover(rho: float, classes: int) -> float:
    """K*: with a larger task biasedness the accuracy falls as phi goes to 0, with a smaller one it rises."""
    return (1 - rho) * classes / (classes - 1)


def biasedness(subject: Subject) -> dict[str, Any]:
    """Estimates of phi and k of the surrogate for every bias attribute, from test counts, before and after."""
    aligned = subject.groups.aligned
    if not aligned:
        raise InapplicableError(f"{subject.task.name} has no bias labels")
    if any(len(set(values)) < len(values) for values in aligned):
        raise InapplicableError("several classes are paired with one bias value")
    result: dict[str, Any] = {"definition": DEFINITION}
    rho, classes = subject.setting.rho, subject.groups.classes
    for model in subject.models:
        result[model] = {}
        for column, name in enumerate(subject.groups.bias_names):
            phi, k = estimate(_counts_of(subject, model, column), aligned[column])
            result[model][name] = {"phi": phi, "k": k}
    result["crossover_k"] = None if rho is None else crossover(rho, classes)
    return result


def estimate(counts: IntArray, aligned: tuple[int, ...]) -> tuple[float | None, float | None]:
    """Estimates of phi and k from counts (C, K, C) of one bias attribute; ``None`` where they are not defined.

    An unbiased error hits any one wrong class with probability (1 - phi) k / N: its rate is that of errors on aligned
    samples, over N - 1. phi is the excess over this of the paired class's share among predictions on bias-conflicting
    samples, clipped to 0..1. Each (y, b) has the same weight, so that the split's own groups do not matter.

    Args:
        counts: (y, b, prediction).
        aligned: The bias value that every class is paired with; all different.
    """
    classes = len(aligned)
    totals = counts.sum(2)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = counts / totals[:, :, None]
    aligned_errors = [1 - shares[y, aligned[y], y] for y in range(classes)]
    followed = [shares[y, b, c] for y in range(classes) for c, b in enumerate(aligned) if c != y]
    aligned_errors, followed = ([v for v in values if not np.isnan(v)] for values in (aligned_errors, followed))
    if not aligned_errors or not followed:
        return None, None
    chance = float(np.mean(aligned_errors)) / (classes - 1)
    phi = min(1.0, max(0.0, float(np.mean(followed)) - chance))
    k = None if phi == 1 else min(1.0, chance * classes / (1 - phi))
    return phi, k


def _counts_of(subject: Subject, model: str, column: int) -> IntArray:
    """Test counts (C, K, C) of one bias attribute, summed over the others."""
    classes, _, _ = subject.groups.shape
    values = subject.groups.bias_values
    table = subject.counts(model).reshape(classes, *values, classes)
    others = tuple(axis + 1 for axis in range(len(values)) if axis != column)
    return np.asarray(table.sum(axis=others), dtype=np.int64)
