"""Features of a frozen network, computed once: the bottleneck z, and the units of every site."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmark.data import PADDING, Data
from benchmark.evaluate import EVALUATION_BATCH
from benchmark.network import Network, Site

BOTTLENECK = "z"


@torch.no_grad()
def features(network: Network, data: Data) -> dict[str, torch.Tensor]:
    """The features of all samples in eval mode, by the name of their site, in single precision.

    Units of feature maps and of tokens are averaged over positions: (N, units) for every site. The last entry, ``z``,
    is the bottleneck (N, feature_dim).
    """
    collected: dict[str, list[torch.Tensor]] = defaultdict(list)
    for batch in data.ordered(EVALUATION_BATCH):
        with evaluating(network), outputs_of(network, network.sites) as outputs:
            z = network.encoder(batch.x)
        for site in network.sites:
            collected[site.module].append(pooled(outputs[site.module], site, batch.x).float())
        collected[BOTTLENECK].append(z.float())
    return {name: torch.cat(parts) for name, parts in collected.items()}


def pooled(output: torch.Tensor, site: Site, x: torch.Tensor) -> torch.Tensor:
    """A site's output for inputs ``x`` with the mean over all positions taken, paddings left out: (N, units)."""
    if output.ndim == 2:
        return output
    positions = output.movedim(site.dim, -1).flatten(1, -2)
    if x.shape != positions.shape[:2]:
        return positions.mean(1)
    there = (x != PADDING).to(positions.dtype).unsqueeze(-1)
    return (positions * there).sum(1) / there.sum(1)


@contextmanager
def outputs_of(network: Network, sites: tuple[Site, ...]) -> Iterator[dict[str, torch.Tensor]]:
    """Inside, forward passes leave the outputs of the sites, masked where they are masked, by name of the module."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _module, _inputs, output: outputs.__setitem__(name, output)

    handles = [network.get_submodule(site.module).register_forward_hook(keep(site.module)) for site in sites]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Eval mode inside; the mode is restored."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
