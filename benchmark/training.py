"""The training loop that methods share: fit a network with a recipe, without a host synchronisation inside an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmark.augment import augment
from benchmark.checkpoint import State
from benchmark.data import Batch, Data
from benchmark.errors import DivergedError
from benchmark.run import Run
from benchmark.task import Recipe

Loss = Callable[[torch.Tensor, Batch], torch.Tensor]
"""Logits (B, C) and their batch to a scalar."""


def cross_entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy to the target."""
    return functional.cross_entropy(logits, batch.y)


def make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser, in torch's fused implementation."""
    settings: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "fused": True,
    }
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **settings)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, **settings)


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> torch.optim.lr_scheduler.LRScheduler:
    """The recipe's learning-rate schedule, stepped once an epoch."""
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=recipe.epochs)
    milestones = recipe.milestones if recipe.schedule == "step" else ()
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=recipe.decay)


def fit(
    run: Run,
    network: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    phase: str = "training",
    loss: Loss = cross_entropy,
    on_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train ``network`` in place for ``recipe.epochs`` epochs, resumably.

    Args:
        run: The cell.
        network: Maps inputs to logits.
        data: What to train on.
        recipe: Already scaled to the protocol (``run.problem.recipe`` is).
        phase: Unique within the cell.
        loss: Of logits and batch.
        on_epoch: Called after each epoch (counted from 1), to offer candidates for example.

    Raises:
        DivergedError: The loss of an epoch is not finite.
    """
    optimizer = make_optimizer((p for p in network.parameters() if p.requires_grad), recipe)
    schedule = make_schedule(optimizer, recipe)
    order = run.stream("order", phase)
    state: State = {"network": network, "optimizer": optimizer, "schedule": schedule, "order": order}
    for epoch in run.epochs(phase, recipe.epochs, state):
        network.train()
        total = torch.zeros((), device=run.device)
        for batch in data.shuffled(recipe.batch_size, order):
            with run.autocast():
                value = loss(network(augment(batch.x, recipe.augment, order)), batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += value.detach()
        schedule.step()
        require_finite(total, f"loss in epoch {epoch} of {phase}")
        if on_epoch is not None:
            on_epoch(epoch)


def require_finite(value: torch.Tensor, what: str) -> None:
    """Stop a run that cannot recover.

    Raises:
        DivergedError: ``value`` is NaN or infinite.
    """
    if not bool(torch.isfinite(value).all()):
        raise DivergedError(f"{what} is {value.flatten()[0].item()}; a smaller learning rate or gamma may help")
