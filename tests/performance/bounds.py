"""DeNetDM's step against the sum of its matrix products, and seeds of one cell trained together."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional

from benchmark.protocol import PROTOCOLS
from benchmark.training import cross_entropy, fit, make_optimizer
from methods.denetdm import DenetdmParams
from methods.denetdm.algorithm import Experts, train_target
from methods.denetdm.branches import plan
from tests.performance.measure import Measured, figure, interleaved, ratio
from tests.performance.steps import ADAM, MLP, loaded, make_run, threads

BATCH = 64
STEPS = 50
EPOCHS = 6


def products(network: nn.Module, batch: int) -> list[Callable[[], object]]:
    """The matrix products of a training step: forwards, for the weights, and for the inputs but of the first layer."""
    calls: list[Callable[[], object]] = []
    for number, layer in enumerate(m for m in network.modules() if isinstance(m, nn.Linear)):
        x, slope = torch.randn(batch, layer.in_features), torch.randn(batch, layer.out_features)
        weight = torch.randn(layer.out_features, layer.in_features)
        calls.append(lambda x=x, w=weight: torch.mm(x, w.t()))  # type: ignore[misc]
        calls.append(lambda x=x, s=slope: torch.mm(s.t(), x))  # type: ignore[misc]
        if number:
            calls.append(lambda w=weight, s=slope: torch.mm(s, w))  # type: ignore[misc]
    return calls


@figure(
    "denetdm", "matrix products of DeNetDM's steps alone / its steps (both stages), colored_mnist", 0.6, "x", "more"
)
def denetdm() -> Measured:
    """A step of each stage; the products at the rate at which this machine does exactly these."""
    data = loaded(BATCH * STEPS)
    rare = replace(PROTOCOLS["paper"], candidates=1)
    run = make_run(data, MLP, ADAM, protocol=rare)
    params = DenetdmParams(stage1_epochs=EPOCHS, stage2_epochs=EPOCHS)
    chosen, count = plan(run.problem, params), iter(range(10**9))
    shallow, deep = run.network(chosen.shallow, role="shallow"), run.network(chosen.deep, role="deep")
    experts = Experts(shallow.encoder, deep.encoder, shallow.classifier)
    alone = [*products(shallow.encoder, BATCH), *products(deep.encoder, BATCH), *products(shallow.classifier, BATCH)]
    target = run.network(chosen.target, role="target")
    alone += products(target, BATCH)

    def stage1() -> None:
        fit(run, experts.requires_grad_(True), data, chosen.stage1, phase=f"stage 1 {next(count)}", loss=cross_entropy)

    def stage2() -> None:
        fresh = make_run(data, MLP, ADAM, protocol=rare)
        train_target(fresh, target, copy.deepcopy(experts), chosen.stage2, params, chosen.distillation_weight)

    def only_products() -> None:
        for _ in range(STEPS * EPOCHS):
            for call in alone:
                call()

    with threads(1):
        times = interleaved({"stage 1": stage1, "stage 2": stage2, "products": only_products}, 3)
    steps = [a + b for a, b in zip(times["stage 1"], times["stage 2"], strict=True)]
    each = {f"{name} ms a step": 1e3 * statistics.median(took) / STEPS / EPOCHS for name, took in times.items()}
    return Measured(ratio(times["products"], steps), {**each, "of it Adam ms a step": _adam_ms([experts, target])})


def _adam_ms(networks: list[nn.Module]) -> float:
    """The optimiser's share: it reads and writes seven numbers for each parameter, and multiplies no matrices."""
    took = 0.0
    for network in networks:
        parameters = list(network.parameters())
        for parameter in parameters:
            parameter.requires_grad_(True).grad = torch.zeros_like(parameter)
        optimizer = make_optimizer(parameters, ADAM)
        times = interleaved({"adam": optimizer.step}, 50, warm_up=5)
        took += 1e3 * statistics.median(times["adam"])
    return took


@figure("stacked", "three seeds one by one / stacked in one network, per core: MLP, batch 64", 1.3, "x", "more")
def stacked(seeds: int = 3) -> Measured:
    """Processor time of one thread: where every core has a worker, that is what decides.

    Every seed has its own data and order; parameters are stacked and the forward pass is mapped over them.
    """
    data = loaded(BATCH * STEPS)
    run, count = make_run(data, MLP, ADAM), iter(range(10**9))
    networks = [run.network(role=f"seed {seed}") for seed in range(seeds)]

    def one_by_one() -> None:
        for network in networks:
            fit(run, network, data, ADAM, phase=f"training {next(count)}")

    with threads(1):
        times = interleaved({"one by one": one_by_one, "stacked": _together(seeds)}, 5)
    each = {f"{name} ms a step": 1e3 * statistics.median(took) / STEPS for name, took in times.items()}
    return Measured(ratio(times["one by one"], times["stacked"]), each)


def _together(seeds: int) -> Callable[[], None]:
    data = [loaded(BATCH * STEPS) for _ in range(seeds)]
    run = make_run(data[0], MLP, ADAM)
    networks = [run.network(role=f"seed {seed}") for seed in range(seeds)]
    parameters: dict[str, Any]
    parameters, _ = stack_module_state(networks)
    optimizer = make_optimizer(parameters.values(), ADAM)
    skeleton = copy.deepcopy(networks[0]).to("meta")
    raw, y = torch.stack([one.x for one in data]), torch.stack([one.y for one in data])
    every = torch.arange(seeds).unsqueeze(1)

    def logits(stack: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return functional_call(skeleton, stack, (x,))

    def epoch() -> None:
        order = torch.stack([torch.randperm(len(one)) for one in data])
        for index in order.split(BATCH, 1):
            x = raw[every, index].to(torch.float32).mul_(1 / 255)
            out = torch.func.vmap(logits)(parameters, x)
            loss = functional.cross_entropy(out.flatten(0, 1), y[every, index].flatten()) * seeds
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch
