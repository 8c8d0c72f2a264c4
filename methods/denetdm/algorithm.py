"""DeNetDM's two stages (section 3 of the paper).

Stage 1 trains a deep branch phi_b and a shallow branch phi_d under one linear head f: cross-entropy on
f(phi_b(x) + phi_d(x)), a product of experts. Stage 2 freezes both and trains a target phi_t with a head f_t, which
starts from f.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from benchmark.augment import augment
from benchmark.data import Batch
from benchmark.network import Network
from benchmark.run import Run
from benchmark.task import Recipe
from benchmark.training import Stepper, cross_entropy, finite, fit, make_optimizer
from methods.denetdm import DenetdmParams
from methods.denetdm.branches import plan

CACHE_BATCH = 1000


class Experts(nn.Module):
    """A product of experts: one linear head on the sum of two branches' features.

    Attributes:
        shallow: phi_d.
        deep: phi_b.
        head: f.
    """

    def __init__(self, shallow: nn.Module, deep: nn.Module, head: nn.Linear) -> None:
        """Keep the parts."""
        super().__init__()
        self.shallow = shallow
        self.deep = deep
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, C)."""
        return cast(torch.Tensor, self.head(self.deep(x) + self.shallow(x)))


class Teachers:
    """What stage 2 takes from the frozen branches, per sample.

    Where images are not augmented, it is computed once for the whole training set; else for every batch.
    """

    def __init__(self, run: Run, experts: Experts, temperature: float, *, fixed: bool) -> None:
        """``fixed`` says that a sample always enters as it is stored."""
        self._run = run
        self._experts = experts.eval().requires_grad_(False)
        self._temperature = temperature
        self._cache: tuple[torch.Tensor, torch.Tensor] | None = None
        if fixed:
            parts = [self._of(batch.x) for batch in run.train.ordered(CACHE_BATCH)]
            self._cache = torch.cat([z for z, _ in parts]), torch.cat([p for _, p in parts])

    def __call__(self, x: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """phi_b (B, dim) and softmax(f(phi_d) / T) (B, C) of a batch that enters the target as ``x``."""
        if self._cache is None:
            return self._of(x)
        z, soft = self._cache
        return z.index_select(0, batch.index), soft.index_select(0, batch.index)

    @torch.no_grad()
    def _of(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with self._run.autocast():
            deep = self._experts.deep(x)
            logits = self._experts.head(self._experts.shallow(x))
        return deep.float(), (logits.float() / self._temperature).softmax(1)


def train(run: Run, params: DenetdmParams) -> None:
    """Run both stages.

    Offers the target at the protocol's cadence of stage 2 and, not selectable, the two branches of stage 1.
    """
    chosen = plan(run.problem, params)
    shallow = run.network(chosen.shallow, role="shallow branch")
    deep = run.network(chosen.deep, role="deep branch")
    experts = Experts(shallow.encoder, deep.encoder, shallow.classifier)
    if params.ce_weight > 0:
        fit(
            run,
            experts,
            run.train,
            chosen.stage1,
            phase="stage 1",
            loss=lambda logits, batch: params.ce_weight * cross_entropy(logits, batch),
        )
    alone = params.task_weight == chosen.distillation_weight == 0
    run.offer(Network(experts.deep, experts.head), "deep branch", selectable=False)
    run.offer(Network(experts.shallow, experts.head), "shallow branch", selectable=alone)
    if not alone:
        target = run.network(chosen.target, role="target")
        target.classifier.load_state_dict(experts.head.state_dict())
        train_target(run, target, experts, chosen.stage2, params, chosen.distillation_weight)


def train_target(
    run: Run, target: Network, experts: Experts, recipe: Recipe, params: DenetdmParams, distillation_weight: float
) -> None:
    """Stage 2: train ``target`` in place against the frozen ``experts``.

    Raises:
        DivergedError: The loss of an epoch is not finite.
    """
    teachers = Teachers(run, experts, params.temperature, fixed=recipe.augment == "none")
    optimizer = make_optimizer(target.parameters(), recipe)
    step = Stepper(optimizer)
    order = run.stream("order", "stage 2")
    for epoch in run.epochs("stage 2", recipe.epochs, {"target": target, "optimizer": optimizer, "order": order}):
        target.train()
        total, batches = torch.zeros((), device=run.device), 0
        for batch in run.train.shuffled(recipe.batch_size, order):
            x = augment(batch.x, recipe.augment, order)
            deep, soft = teachers(x, batch)
            with run.autocast():
                logits = target(x)
                value = stage2_loss(
                    logits,
                    functional.linear(deep, target.classifier.weight),
                    soft,
                    batch.y,
                    params.temperature,
                    params.task_weight,
                    distillation_weight,
                )
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            step()
            total += value.detach()
            batches += 1
        run.log("stage 2", loss=finite(total, f"loss in epoch {epoch} of stage 2") / batches)
        if run.is_candidate(epoch, recipe.epochs):
            run.offer(target, f"epoch {epoch}", epoch=epoch)


def stage2_loss(
    logits: torch.Tensor,
    deep_logits: torch.Tensor,
    soft: torch.Tensor,
    y: torch.Tensor,
    temperature: float,
    task_weight: float,
    distillation_weight: float,
) -> torch.Tensor:
    """``w_t CE(f_t(phi_b + phi_t), y) + w_dist T^2 CE(softmax(f(phi_d) / T), softmax(f_t(phi_t) / T))``, batch means.

    Args:
        logits: f_t(phi_t), (B, C).
        deep_logits: phi_b times the weight of f_t, without its bias: f_t is linear, so that f_t(phi_b + phi_t) is the
            sum of the two, (B, C).
        soft: softmax(f(phi_d) / T), (B, C).
        y: Targets (B,).
        temperature: T.
        task_weight: w_t.
        distillation_weight: w_dist.
    """
    value = logits.new_zeros(())
    if task_weight:
        value = value + task_weight * functional.cross_entropy(logits + deep_logits, y)
    if distillation_weight:
        distillation = functional.cross_entropy(logits / temperature, soft)
        value = value + distillation_weight * temperature**2 * distillation
    return value
