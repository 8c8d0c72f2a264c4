"""Mask-learning cells against direct transcriptions of their loops.

A direct transcription, as one would write it from the papers and as their code does it, passes every image through the
network for every epoch of the bias head, and scores every split after every epoch. Epochs, batches and random numbers
are the same on both sides, and so are the masks that come out: the figure fails if they are not. For that the direct
side has to write down the head's gradient as ours does; the same with the head going through autograd, as in the
authors' code, is among the parts. It sums in another order, and a few units of the mask differ.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Checkpoint
from benchmark.data import Data
from benchmark.evaluate import predictions
from benchmark.protocol import Protocol
from benchmark.registry import METHODS, TASKS
from benchmark.run import Problem, Run
from benchmark.task import EVALUATED, Backbone, Setting, SplitName, Task
from benchmark.training import fit
from methods.bise import BiseParams
from methods.bise.algorithm import information_penalty as bise_penalty
from methods.bise.algorithm import reweighted
from methods.bise.labels import given_labels
from methods.ffw import FfwParams
from methods.ffw.algorithm import Temperature, halves, labels_of
from methods.ffw.algorithm import information_penalty as ffw_penalty
from methods.shared.bias_head import BiasHead, HeadSettings
from methods.shared.gated import Gated, GatedUnits
from methods.shared.gates import hard, saturated
from methods.shared.mask_training import Penalty
from methods.shared.schedules import Plateau, levels
from tests.performance.measure import Measured, figure, interleaved, ratio
from tests.performance.steps import RESNET, WORK, threads

TENTH = Protocol("a tenth", 0.1, None, None, None, candidates=2)
"""Of the authors' epochs; head and mask epochs keep their proportion."""
FEW = Protocol("a tenth of few", 0.1, None, 50, 20, candidates=2)
"""The same for a network that takes long."""


@dataclass(frozen=True, eq=False)  # hashed by identity
class Case:
    """What is compared on colored_mnist at rho .95 with the embedded digits; ``None``: the task's MLP."""

    protocol: Protocol = TENTH
    backbone: Backbone | None = None


MLP_CASE, RESNET_CASE = Case(), Case(FEW, RESNET)
CPU_DEVICE = torch.device("cpu")
Counter = Callable[[], object]


def _task() -> Task:
    kind = TASKS.get("colored_mnist")
    return kind(kind.Params(source="embedded"))


@cache
def _data(name: SplitName, case: Case) -> Data:
    task = _task()
    split, layout = task.split(name, Setting(0.95, 0, case.protocol, Path("unused"))), _backbone(case).layout
    return Data(split, task.inputs(), CPU_DEVICE, layout, with_bias=True)


def _backbone(case: Case) -> Backbone:
    return case.backbone or _task().backbone()


def _run(case: Case, upstream: dict[str, Artifact]) -> Run:
    task = _task()
    problem = Problem(10, task.biases, 0.95, task.inputs(), _backbone(case), task.recipe(0.95), case.protocol)
    return Run(
        problem=problem,
        train=_data("train", case),
        unbiased=_data("unbiased", case),
        upstream=upstream,
        checkpoint=Checkpoint(Path(WORK.name) / "checkpoint.pt", every=1e9),
        spool=Path(WORK.name) / "candidates",
        streams=("performance",),
        device=CPU_DEVICE,
        precision="fp32",
        report=lambda phase, done, total: None,
    )


@cache
def _vanilla(case: Case) -> Artifact:
    run = _run(case, {})
    network = run.network()
    fit(run, network, run.train, run.problem.recipe)
    return Artifact("vanilla", network.state_dict(), run.problem.backbone)


def _score(model: nn.Module, case: Case) -> None:
    for name in EVALUATED:
        predictions(model, _data(name, case))


def _cell(case: Case, method: str, params: Any) -> dict[str, torch.Tensor]:
    """Run a method and score its candidates as the runner does; the masks that it ends with."""
    run = _run(case, {"vanilla": _vanilla(case)})
    METHODS.get(method)(params).run(run)
    final: Any = None
    for offer in run.offers.values():
        final = offer.load("cpu")
        _score(final, case)
    masks: dict[str, torch.Tensor] = final.unit_masks()
    return masks


class _Direct:
    """What both transcriptions do: no feature is kept, and every split is scored after every epoch."""

    def __init__(
        self, case: Case, gated: Gated, head: BiasHead, data: Data, labels: torch.Tensor, *, autograd: bool
    ) -> None:
        self.autograd = autograd
        self.others = [_data(name, case) for name in EVALUATED]
        self.gated, self.head, self.data, self.labels = gated, head, data, labels
        self.targets = head.targets(labels, torch.float32)

    def batches(self, size: int, order: torch.Generator) -> Iterator[torch.Tensor]:
        yield from torch.randperm(len(self.data), generator=order).split(size)

    @torch.no_grad()
    def score(self, tau: float) -> None:
        for data in (self.data, *self.others):
            for batch in data.ordered(1000):
                z, logits = self.gated(batch.x, tau)
                logits.argmax(1), self.head.linear(z).argmax(1)

    def head_epoch(self, size: int, order: torch.Generator, tau: float) -> float:
        total = torch.zeros(())
        for index in self.batches(size, order):
            with torch.no_grad():
                z, _ = self.gated(self.data.batch(index).x, tau)
            total += self.head_step(z, index)
        self.score(tau)
        return float(total) / len(self.data)

    def head_step(self, z: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        if not self.autograd:
            return self.head.train_step(z, self.targets[index])
        loss = self.head.loss(z, self.labels[index])
        self.head.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.head.optimizer.step()
        return loss.detach() * len(index)

    def mask_epoch(
        self,
        optimizer: torch.optim.Optimizer,
        loss: Callable[..., torch.Tensor],
        penalty: Penalty,
        size: int,
        order: torch.Generator,
        tau: float,
    ) -> None:
        for index in self.batches(size, order):
            batch = self.data.batch(index)
            z, logits = self.gated(batch.x, tau)
            value = loss(logits, batch) + penalty(z, batch) + self.head.loss(z, self.labels[index])
            optimizer.zero_grad()
            self.head.optimizer.zero_grad()
            value.backward()
            optimizer.step()
            self.head.optimizer.step()
        self.score(tau)


def _masks(gated: GatedUnits) -> dict[str, torch.Tensor]:
    return {site.module: m >= 0 for site, m in zip(gated.sites, gated.m, strict=True)}


def _direct_bise(case: Case, params: BiseParams, *, autograd: bool = False) -> dict[str, torch.Tensor]:
    run = _run(case, {"vanilla": _vanilla(case)})
    gated, labels = GatedUnits(run.network(start=_vanilla(case)), hard), given_labels(run, 0.0)
    settings = HeadSettings(params.head_learning_rate, params.head_momentum, params.head_weight_decay)
    head = BiasHead(gated.network.feature_dim, (10,), settings, run.stream("initialisation", "bias head"), CPU_DEVICE)
    direct, size = _Direct(case, gated, head, run.train, labels.b, autograd=autograd), run.problem.recipe.batch_size
    order = run.stream("order", "bias head")
    for _ in range(case.protocol.epochs(params.pretrain_epochs)):
        direct.head_epoch(size, order, params.tau_start)
    optimizer = torch.optim.SGD(
        gated.m.parameters(),
        lr=params.gate_learning_rate,
        momentum=params.gate_momentum,
        weight_decay=params.gate_weight_decay,
        fused=True,
    )
    order, period = run.stream("order", "masks"), case.protocol.epochs(params.period)
    count = levels(params.tau_start, params.tau_factor, params.tau_stop, inclusive=True)
    for level in range(count):
        tau = params.tau_start * params.tau_factor**level
        for _ in range(period):
            penalty = bise_penalty(head, labels, params.gamma)
            direct.mask_epoch(optimizer, reweighted(labels.weights), penalty, size, order, tau)
        for _ in range(case.protocol.epochs(params.refine_epochs) if level < count - 1 else 0):
            direct.head_epoch(size, order, tau)
    return _masks(gated)


def _direct_ffw(case: Case, params: FfwParams, *, autograd: bool = False) -> dict[str, torch.Tensor]:
    run = _run(case, {"vanilla": _vanilla(case)})
    gated = GatedUnits(run.network(start=_vanilla(case)), saturated)
    data, held_out = halves(run)
    settings = HeadSettings(params.head_learning_rate, params.head_momentum, params.head_weight_decay)
    head = BiasHead(gated.network.feature_dim, (10,), settings, run.stream("initialisation", "bias head"), CPU_DEVICE)
    direct, size = _Direct(case, gated, head, data, labels_of(data), autograd=autograd), params.batch_size
    optimizer = torch.optim.Adam(
        gated.m.parameters(), lr=params.gate_learning_rate, weight_decay=params.gate_weight_decay, fused=True
    )
    temperature, order = Temperature(params, case.protocol), run.stream("order", "masks")
    penalty = ffw_penalty(head, labels_of(data), params.gamma)
    for epoch in range(1, case.protocol.epochs(params.epochs) + 1):
        tau = temperature.tau
        direct.mask_epoch(
            optimizer, lambda logits, batch: functional.cross_entropy(logits, batch.y), penalty, size, order, tau
        )
        plateau = Plateau(case.protocol.epochs(params.head_patience), params.head_threshold)
        for _ in range(case.protocol.epochs(params.head_epochs)):
            if plateau.reached(direct.head_epoch(size, order, tau)):
                break
        with torch.no_grad():
            z = torch.cat([gated(batch.x, tau)[0] for batch in held_out.ordered(1000)])
            information = float(head.information(z, labels_of(held_out)).mean())
        if temperature.step(epoch, information) and temperature.finished:
            break
    return _masks(gated)


def _kept(
    masks: dict[str, dict[str, torch.Tensor]], side: str, work: Callable[[Case], dict[str, torch.Tensor]], case: Case
) -> None:
    masks[side] = work(case)


def _compare(
    ours: Callable[[Case], dict[str, torch.Tensor]], direct: Callable[..., dict[str, torch.Tensor]]
) -> Measured:
    """On the MLP; with ResNet-18, whose steps are less cheap beside what surrounds them, among the parts."""
    found: dict[str, Measured] = {}
    for name, case, repeats in (("MLP", MLP_CASE, 2), ("ResNet-18", RESNET_CASE, 1)):
        _vanilla(case)
        masks: dict[str, dict[str, torch.Tensor]] = {}
        sides: dict[str, Callable[[], object]] = {
            "direct": partial(_kept, masks, "direct", direct, case),
            "cell": partial(_kept, masks, "cell", ours, case),
        }
        if case is MLP_CASE:
            sides["direct, head through autograd"] = partial(direct, case, autograd=True)
        with threads(1):
            times = interleaved(sides, repeats, warm_up=0)
        first, second = masks["cell"], masks["direct"]
        if any(not torch.equal(first[site], second[site]) for site in second):
            raise RuntimeError(f"{name}: the transcription ends with another mask")
        pruned = 1 - sum(float(m.sum()) for m in second.values()) / sum(m.numel() for m in second.values())
        each = {f"{name} {side} s": statistics.median(took) for side, took in times.items()}
        for side in times.keys() - {"direct", "cell"}:
            each[f"{name} {side} x"] = ratio(times[side], times["cell"])
        found[name] = Measured(ratio(times["direct"], times["cell"]), {**each, f"{name} share of units pruned": pruned})
    small, large = found["MLP"], found["ResNet-18"]
    return Measured(small.value, {**small.parts, **large.parts, "ResNet-18 x": large.value})


@figure("bise", "direct transcription / BISE cell: equal epochs, identical final mask; MLP", 6, "x", "more")
def bise() -> Measured:
    """3,000 images (ResNet-18: 50), a tenth of the authors' epochs."""
    params = BiseParams()
    return _compare(lambda case: _cell(case, "bise", params), partial(_direct_bise, params=params))


@figure("ffw", "direct transcription / structured FFW cell: equal epochs, identical final mask; MLP", 6, "x", "more")
def ffw() -> Measured:
    """250 + 250 unbiased images (ResNet-18: 10 + 10), a tenth of the authors' epochs."""
    params = FfwParams(gamma=1.0)
    return _compare(lambda case: _cell(case, "ffw_structured", params), partial(_direct_ffw, params=params))
