"""The training loop that methods share: fit a network with a recipe, without a host synchronisation inside an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.optim.adam import adam
from torch.optim.sgd import sgd

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


class Stepper:
    """``optimizer.step()`` of torch's fused SGD, Adam or AdamW with one group of parameters, bit for bit.

    ``step`` looks up every parameter and its state again each time, which on small networks takes longer than the
    kernel. Here the state of all parameters is remembered, and torch's own function is called with it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        """Steps that it cannot take itself, the first one for example, are the optimiser's own."""
        (self._group,) = optimizer.param_groups
        self._optimizer = optimizer
        self._names = ("momentum_buffer",) if isinstance(optimizer, torch.optim.SGD) else _ADAM_STATE
        self._state: list[list[torch.Tensor]] | None = None

    @torch.no_grad()
    def __call__(self) -> None:
        """Take a step."""
        parameters = self._group["params"]
        grads = [parameter.grad for parameter in parameters]
        if self._state is None or not self._is_current() or any(grad is None for grad in grads):
            self._optimizer.step()
            self._remember()
        elif len(self._state) == 1:
            buffers: list[torch.Tensor | None] = [*self._state[0]]
            sgd(parameters, grads, buffers, fused=True, **self._settings(_SGD_SETTINGS))
        else:
            first, second, steps = self._state
            beta1, beta2 = self._group["betas"]
            settings = self._settings(_ADAM_SETTINGS)
            adam(parameters, grads, first, second, [], steps, fused=True, beta1=beta1, beta2=beta2, **settings)

    def _settings(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self._group[name] for name in names}

    def _is_current(self) -> bool:
        """A checkpoint that was loaded since has put other tensors in place of all of the state."""
        assert self._state is not None
        known = self._optimizer.state[self._group["params"][0]]
        return all(known.get(name) is one[0] for name, one in zip(self._names, self._state, strict=True))

    def _remember(self) -> None:
        states = [self._optimizer.state.get(parameter, {}) for parameter in self._group["params"]]
        whole = all(isinstance(state.get(name), torch.Tensor) for state in states for name in self._names)
        self._state = [[state[name] for state in states] for name in self._names] if whole else None


_ADAM_STATE = ("exp_avg", "exp_avg_sq", "step")
_ADAM_SETTINGS = ("lr", "weight_decay", "eps", "amsgrad", "maximize", "capturable", "decoupled_weight_decay")
_SGD_SETTINGS = ("lr", "weight_decay", "momentum", "dampening", "nesterov", "maximize")


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
    schedule, step = make_schedule(optimizer, recipe), Stepper(optimizer)
    order = run.stream("order", phase)
    state: State = {"network": network, "optimizer": optimizer, "schedule": schedule, "order": order}
    for epoch in run.epochs(phase, recipe.epochs, state):
        network.train()
        total, batches = torch.zeros((), device=run.device), 0
        for batch in data.shuffled(recipe.batch_size, order):
            with run.autocast():
                value = loss(network(augment(batch.x, recipe.augment, order)), batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            step()
            total += value.detach()
            batches += 1
        schedule.step()
        run.log(phase, loss=finite(total, f"loss in epoch {epoch} of {phase}") / batches)
        if on_epoch is not None:
            on_epoch(epoch)


def finite(value: torch.Tensor, what: str) -> float:
    """A scalar as a number, unless the run cannot recover.

    Raises:
        DivergedError: ``value`` is NaN or infinite.
    """
    number = float(value)
    if not math.isfinite(number):
        raise DivergedError(f"{what} is {number}; a smaller learning rate or gamma may help")
    return number
