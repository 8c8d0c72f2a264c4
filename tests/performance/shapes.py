"""Compact networks: whether fewer multiply-accumulates are less time."""

from __future__ import annotations

import copy
import statistics

import torch

from benchmark.cost import measure_cost
from benchmark.data import MEMORY_FORMATS
from benchmark.network import build_network
from benchmark.task import Inputs
from methods.shared.masks import MaskedNetwork
from tests.performance.measure import CPU, Measured, figure
from tests.performance.steps import CONVNET, MLP, RESNET, threads

SHARES = {"half": 0.5, "a quarter": 0.25}
"""Of the units that are kept at every site."""


@figure("compact", "latency gain / multiply-accumulate gain: ResNet-18, half of the units kept", 0.8, "x", "more")
def compact() -> Measured:
    """Batch 128. Other networks and shares are among the parts."""
    parts: dict[str, float] = {}
    for name, backbone, size, batch in (
        ("ResNet-18", RESNET, 32, 128),
        ("conv net", CONVNET, 28, 8),
        ("MLP", MLP, 28, 128),
    ):
        layout = MEMORY_FORMATS[backbone.layout]
        network = build_network(backbone, Inputs((3, size, size)), 10, "performance").eval().to(memory_format=layout)
        x = torch.rand(batch, 3, size, size).contiguous(memory_format=layout)
        for kept, share in SHARES.items():
            draws = torch.Generator().manual_seed(0)
            masks = {
                site: torch.randperm(site.units, generator=draws) < round(site.units * share) for site in network.sites
            }
            smaller = MaskedNetwork(copy.deepcopy(network), masks).eval().compact().to(memory_format=layout)
            fewer = measure_cost(network, x[:1]).macs / measure_cost(smaller, x[:1]).macs
            with threads(1):
                faster = _gain(network, smaller, x)
            parts[f"{name}, {kept} kept: latency gain"] = faster
            parts[f"{name}, {kept} kept: multiply-accumulate gain"] = fewer
            parts[f"{name}, {kept} kept: x"] = faster / fewer
    return Measured(parts["ResNet-18, half kept: x"], parts)


@torch.inference_mode()
def _gain(dense: torch.nn.Module, smaller: torch.nn.Module, x: torch.Tensor) -> float:
    """Ratio of processor times of a forward pass, in turns."""
    ratios = []
    for repeat in range(5):
        times = []
        for model in (dense, smaller):
            runs = 1
            while True:
                began = CPU()
                for _ in range(runs):
                    model(x)
                took = CPU() - began
                if took > 0.05:
                    break
                runs *= 4
            times.append(took / runs)
        if repeat:
            ratios.append(times[0] / times[1])
    return statistics.median(ratios)
