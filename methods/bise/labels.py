"""What BISE takes for the bias of each training sample, and the sample weights that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from benchmark.evaluate import flat_bias, predictions
from benchmark.run import Run
from benchmark.task import Bias
from benchmark.training import fit


@dataclass(frozen=True)
class BiasLabels:
    """Bias labels of the training set.

    Attributes:
        biases: The attributes.
        b: Labels (N, attributes).
        conflicting: Whether a sample's attribute differs from the one paired with its class, bool (N, attributes).
        weights: r of each sample (N,), float.
    """

    biases: tuple[Bias, ...]
    b: torch.Tensor
    conflicting: torch.Tensor
    weights: torch.Tensor


def given_labels(run: Run, noise: float) -> BiasLabels:
    """The declared bias labels; a share ``noise`` of each attribute's, drawn at random, takes another value.

    Raises:
        ValueError: The training set came without bias labels.
    """
    if run.train.b is None:
        raise ValueError("BISE needs the bias labels of the training set and was given none; declare `bias_labels`")
    problem = run.problem
    b = run.train.b
    if noise:
        b = flipped(b.cpu(), problem.biases, noise, run.stream("bias label noise")).to(run.device)
    conflicting = conflicts(run.train.y, b, problem.biases)
    if problem.rho is None:
        weights = group_weights(run.train.y, b, problem.biases, problem.classes)
    else:
        known = problem.rho if len(problem.biases) == 1 and problem.rho < 1 else None
        weights = pair_weights(conflicting, problem.biases, known)
    return BiasLabels(problem.biases, b, conflicting, weights)


def guessed_labels(run: Run, epochs: int) -> BiasLabels:
    """The classes that a network of the task's backbone predicts after ``epochs`` epochs, as a bias with K = C values.

    A sample is taken for bias-aligned where that network is right.
    """
    problem = run.problem
    network = run.network(role="bias model")
    recipe = replace(problem.recipe, epochs=problem.protocol.epochs(epochs), schedule="constant", milestones=())
    fit(run, network, run.train, recipe, phase="bias model")
    biases = (Bias("guessed by a briefly trained network", problem.classes, tuple(range(problem.classes))),)
    b = predictions(network, run.train).clone().unsqueeze(1)
    weights = group_weights(run.train.y, b, biases, problem.classes)
    return BiasLabels(biases, b, conflicts(run.train.y, b, biases), weights)


def conflicts(y: torch.Tensor, b: torch.Tensor, biases: tuple[Bias, ...]) -> torch.Tensor:
    """Whether each attribute is bias-conflicting, bool (N, attributes)."""
    paired = torch.tensor([bias.aligned for bias in biases], device=y.device)
    return b != paired[:, y].t()


def pair_weights(conflicting: torch.Tensor, biases: tuple[Bias, ...], rho: float | None) -> torch.Tensor:
    """Weights r for a set made at a level rho: what makes every pair of class and bias count the same.

    One attribute with K values: aligned 1 / (K rho), conflicting (K - 1) / (K (1 - rho)). Several: the product over
    attributes of 1 / rho where aligned and 1 / (1 - rho) where conflicting.

    Args:
        conflicting: bool (N, attributes).
        biases: The attributes.
        rho: The known level, in (0, 1); ``None`` takes each attribute's share of aligned samples.
    """
    if rho is None:
        one = 1 / len(conflicting)  # where a kind has no sample at all its weight is never used, and must be finite
        shares = conflicting.double().mean(0).clamp(one, 1 - one)
    else:
        shares = torch.tensor([1 - rho], dtype=torch.double, device=conflicting.device)
    weights = torch.where(conflicting, 1 / shares, 1 / (1 - shares))
    if len(biases) == 1:
        values = biases[0].values
        weights = weights * torch.where(conflicting, (values - 1) / values, 1 / values)
    return weights.prod(1).float()


def group_weights(y: torch.Tensor, b: torch.Tensor, biases: tuple[Bias, ...], classes: int) -> torch.Tensor:
    """Weights r at a natural level: 1 / (G p(y, b)) over the G groups of class and biases; counts of at least 1."""
    values = tuple(bias.values for bias in biases)
    groups = flat_bias(torch.cat((y.unsqueeze(1), b), 1), (classes, *values))
    total = classes
    for count in values:
        total *= count
    sizes = torch.bincount(groups, minlength=total).clamp(min=1)
    return (len(y) / (total * sizes.double()))[groups].float()


def flipped(b: torch.Tensor, biases: tuple[Bias, ...], share: float, draws: torch.Generator) -> torch.Tensor:
    """A copy of labels (N, attributes) of which ``round(share * N)`` per attribute have another, uniform value."""
    noisy = b.clone()
    for column, bias in enumerate(biases):
        chosen = torch.randperm(len(b), generator=draws)[: round(share * len(b))]
        step = torch.randint(1, bias.values, (len(chosen),), generator=draws)
        noisy[chosen, column] = (b[chosen, column] + step) % bias.values
    return noisy
