"""The bias head: one linear layer per bias attribute, which tells the masks how much of the bias z still carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmark.data import Data
from benchmark.diagnostics.information import mutual_information
from benchmark.run import Run
from benchmark.training import Stepper, finite
from methods.shared.schedules import Plateau

FEATURE_BATCH = 1000
Forward = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class HeadSettings:
    """SGD settings of the head.

    Attributes:
        learning_rate: Step size.
        momentum: Momentum.
        weight_decay: L2 penalty.
    """

    learning_rate: float
    momentum: float
    weight_decay: float


class BiasHead:
    """The heads of all attributes as blocks of one linear layer, with their optimiser; trained on detached features.

    Attributes:
        linear: z (B, dim) to the logits of all attributes side by side.
        optimizer: SGD.
        step: Takes its steps.
    """

    def __init__(
        self, dim: int, values: tuple[int, ...], settings: HeadSettings, draws: torch.Generator, device: torch.device
    ) -> None:
        """``values`` gives K of each attribute; ``draws`` (CPU) the initial weights, uniform as torch's default."""
        self.values = values
        self.linear = nn.Linear(dim, sum(values), device="meta").to_empty(device="cpu")  # its own draws would be global
        for parameter in self.linear.parameters():
            nn.init.uniform_(parameter, -(dim**-0.5), dim**-0.5, generator=draws)
        self.linear.to(device)
        self.optimizer = torch.optim.SGD(
            self.linear.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.step = Stepper(self.optimizer)

    def loss(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sum over attributes of the mean cross-entropy; never reaches what made ``z``.

        Args:
            z: Features (B, dim).
            labels: Bias labels (B, attributes).
        """
        blocks = torch.split(self.linear(z.detach()), list(self.values), 1)
        losses = [functional.cross_entropy(block, b) for block, b in zip(blocks, labels.unbind(1), strict=True)]
        return torch.stack(losses).sum()

    def information(self, z: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor | None = None) -> torch.Tensor:
        """Mutual information of each attribute (attributes,), differentiable in ``z`` and never in the head.

        Args:
            z: Features (B, dim).
            labels: Bias labels (B, attributes).
            counted: Which samples take part, for each attribute, bool (B, attributes); all by default.
        """
        weight, bias = self.linear.weight.detach(), self.linear.bias.detach()
        blocks = torch.split(functional.linear(z, weight, bias), list(self.values), 1)
        columns = [None] * len(blocks) if counted is None else list(counted.unbind(1))
        return torch.stack([mutual_information(*of) for of in zip(blocks, labels.unbind(1), columns, strict=True)])

    @torch.no_grad()
    def train_epoch(
        self, z: torch.Tensor, labels: torch.Tensor, batch_size: int, order: torch.Generator
    ) -> torch.Tensor:
        """One epoch on cached features (N, dim); returns the mean loss, still on the device.

        The slope of :meth:`loss` in the logits is softmax minus target; written down, it takes half of autograd's time.
        """
        permutation = torch.randperm(len(z), generator=order).to(z.device)
        targets = torch.split(self.targets(labels, z.dtype).index_select(0, permutation), batch_size)
        total = torch.zeros((), device=z.device)
        for features, wanted in zip(torch.split(z.index_select(0, permutation), batch_size), targets, strict=True):
            total += self.train_step(features, wanted)
        return total / max(1, len(z))

    def targets(self, labels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Bias labels (N, attributes) as ones and zeros under the logits (N, sum of values)."""
        members = [functional.one_hot(b, k) for b, k in zip(labels.unbind(1), self.values, strict=True)]
        return torch.cat(members, 1).to(dtype)

    @torch.no_grad()
    def train_step(self, z: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """One step on features (B, dim) and :meth:`targets` (B, sum of values); returns the sum of the losses."""
        weight, bias = self.linear.weight, self.linear.bias
        if weight.grad is None or bias.grad is None:
            weight.grad, bias.grad = torch.empty_like(weight), torch.empty_like(bias)
        blocks = torch.split(torch.addmm(bias, z, weight.t()), list(self.values), 1)
        log_q = [torch.log_softmax(block, 1) for block in blocks]
        joined = log_q[0] if len(log_q) == 1 else torch.cat(log_q, 1)
        loss = -(joined * targets).sum()
        slope = joined.exp_().sub_(targets).div_(len(z))
        torch.mm(slope.t(), z, out=weight.grad)
        torch.sum(slope, 0, out=bias.grad)
        self.step()
        return loss

    def refine(
        self,
        z: torch.Tensor,
        labels: torch.Tensor,
        batch_size: int,
        order: torch.Generator,
        *,
        epochs: int,
        plateau: Plateau | None = None,
    ) -> None:
        """Train on the cached features of a fixed network for ``epochs``, or until ``plateau`` is reached.

        A call is short beside one pass of the network over its data, so it is not a resumable phase of its own.
        """
        for epoch in range(1, epochs + 1):
            loss = self.train_epoch(z, labels, batch_size, order)
            what = f"loss of the bias head in epoch {epoch} of a refinement"
            if plateau is not None and plateau.reached(finite(loss, what)):
                return

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"linear": self.linear.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of :meth:`state_dict`."""
        self.linear.load_state_dict(state["linear"])
        self.optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def cache(run: Run, forward: Forward, data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (N, feature_dim) in single precision and predictions (N,) of a whole split, computed once.

    Args:
        run: The cell.
        forward: Inputs (B, …) to features and logits.
        data: The split.
    """
    features, predicted = [], []
    for batch in data.ordered(FEATURE_BATCH):
        with run.autocast():
            z, logits = forward(batch.x)
        features.append(z.float())
        predicted.append(logits.argmax(1))
    return torch.cat(features), torch.cat(predicted)
