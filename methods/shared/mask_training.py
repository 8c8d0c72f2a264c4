"""One epoch of gates and bias head together (FFW and BISE)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmark.augment import augment
from benchmark.data import Batch, Data
from benchmark.run import Run
from benchmark.training import Loss, Stepper, finite
from methods.shared.bias_head import BiasHead
from methods.shared.gated import Gated

Penalty = Callable[[torch.Tensor, Batch], torch.Tensor]
"""Features z (B, dim) and their batch to gamma * I, a scalar."""


def train_masks(
    run: Run,
    gated: Gated,
    optimizer: torch.optim.Optimizer,
    data: Data,
    tau: float,
    order: torch.Generator,
    *,
    loss: Loss,
    bias: tuple[BiasHead, torch.Tensor, Penalty] | None,
    batch_size: int | None = None,
) -> float:
    """Descend ``loss + gamma * I`` in the gates and the bias head's own cross-entropy in the head.

    The two share no parameter (I treats the head as constant, the head sees detached features), so one backward pass
    of their sum gives both gradients; then the gates step, then the head.

    Args:
        run: The cell.
        gated: The frozen network with its gates.
        optimizer: Of the gates.
        data: What to learn from.
        tau: Temperature.
        order: Draws batch order and augmentation.
        loss: Task loss of logits and batch.
        bias: Head, bias labels (N, attributes) of ``data`` and penalty; ``None`` learns without the penalty.
        batch_size: Samples per step; ``None`` takes the recipe's.

    Returns:
        The mean over batches of what was descended, the head's cross-entropy included.

    Raises:
        DivergedError: The sum of an epoch's losses is not finite.
    """
    recipe = run.problem.recipe
    total, batches, step = torch.zeros((), device=run.device), 0, Stepper(optimizer)
    for batch in data.shuffled(batch_size or recipe.batch_size, order):
        with run.autocast():
            z, logits = gated(augment(batch.x, recipe.augment, order), tau)
            value = loss(logits, batch)
            if bias is not None:
                head, labels, penalty = bias
                value = value + penalty(z, batch) + head.loss(z, labels.index_select(0, batch.index))
                head.optimizer.zero_grad(set_to_none=True)
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        step()
        if bias is not None:
            head.step()
        total += value.detach()
        batches += 1
    return finite(total, f"loss of the masks at temperature {tau:g}") / batches
