"""Frozen networks under learned gates: on single weights, or on the outputs of whole units."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import nn
from torch.func import functional_call

from benchmark.data import Data
from benchmark.network import Network, Site
from benchmark.run import Run
from methods.shared.gates import Gate
from methods.shared.masks import MaskedNetwork, scaled_units

FEATURE_BATCH = 1000
Scope = Literal["encoder", "network"]
"""What gates may remove: parts of the encoder only, or of the classifier too."""


class Gated(ABC):
    """A frozen network in eval mode whose only learned parameters are its gates, all 0 at the start.

    Attributes:
        network: The vanilla network; nothing here ever changes its state.
        m: One tensor of gates per gated weight or site.
    """

    def __init__(self, network: Network, gate: Gate, shapes: list[torch.Tensor]) -> None:
        """Freeze ``network``; gates get the shape and memory layout of ``shapes``."""
        self.network = network.eval().requires_grad_(False)
        self.m = nn.ParameterList(nn.Parameter(torch.zeros_like(like)) for like in shapes)
        self._gate = gate

    @abstractmethod
    def __call__(self, x: torch.Tensor, tau: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Bottleneck z (B, feature_dim) and logits (B, classes) under the gates at this temperature."""

    @abstractmethod
    def pruned(self) -> Network:
        """A network of its own in which everything with m < 0 is removed for good."""

    def split(self) -> tuple[nn.Module, Gated] | None:
        """The frozen layers before the first gate, and what follows them under the same gates; ``None``: no such."""
        return None

    def pruned_share(self) -> float:
        """Share of the gated weights or units with m < 0."""
        removed = torch.cat([(m < 0).flatten() for m in self.m])
        return float(removed.double().mean())


class GatedWeights(Gated):
    """One gate per weight of every linear and convolutional layer; biases and normalisation are never gated."""

    def __init__(self, network: Network, gate: Gate, scope: Scope) -> None:
        """Gate the encoder, or the whole network."""
        self._names = [
            f"{name}.weight"
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and (scope == "network" or name.startswith("encoder"))
        ]
        super().__init__(network, gate, [network.get_parameter(name) for name in self._names])

    def __call__(self, x: torch.Tensor, tau: float) -> tuple[torch.Tensor, torch.Tensor]:
        """One forward pass with every gated weight multiplied by its gate."""
        encoder: dict[str, torch.Tensor] = {}
        classifier: dict[str, torch.Tensor] = {}
        for name, m in zip(self._names, self.m, strict=True):
            part, _, rest = name.partition(".")
            weights = encoder if part == "encoder" else classifier
            weights[rest] = self.network.get_parameter(name) * self._gate(m, tau)
        z = functional_call(self.network.encoder, encoder, (x,))
        return z, functional_call(self.network.classifier, classifier, (z,))

    def pruned(self) -> Network:
        """A copy of the network with the removed weights at 0."""
        network = copy.deepcopy(self.network).requires_grad_(True)
        with torch.no_grad():
            for name, m in zip(self._names, self.m, strict=True):
                network.get_parameter(name).masked_fill_(m < 0, 0)
        return network


class GatedUnits(Gated):
    """One gate per unit at the backbone's sites, multiplying the unit's output."""

    def __init__(self, network: Network, gate: Gate, scope: Scope = "encoder") -> None:
        """Gate the network's sites; the scope ``network`` adds the classifier's outputs to them.

        Raises:
            ValueError: The network declares no sites.
        """
        if not network.sites:
            raise ValueError("structured masks need a network that lists where its units can be masked, in `sites`")
        self._scope: Scope = scope
        outputs = Site("classifier", network.classifier.out_features)
        self.sites = network.sites if scope == "encoder" else (*network.sites, outputs)
        like = network.classifier.weight
        super().__init__(network, gate, [like.new_empty(site.units) for site in self.sites])

    def __call__(self, x: torch.Tensor, tau: float) -> tuple[torch.Tensor, torch.Tensor]:
        """One forward pass with every unit's output multiplied by its gate."""
        multipliers = {site.module: self._gate(m, tau) for site, m in zip(self.sites, self.m, strict=True)}
        with scaled_units(self.network, self.sites, multipliers):
            z = self.network.encoder(x)
            return z, self.network.classifier(z)

    def split(self) -> tuple[nn.Module, Gated] | None:
        """Where the encoder is a sequence and the first site one of its modules."""
        encoder, first = self.network.encoder, self.sites[0].module.removeprefix("encoder.")
        names = [name for name, _ in encoder.named_children()]
        if not isinstance(encoder, nn.Sequential) or first not in names[1:]:
            return None
        start = names.index(first)
        rest = GatedUnits(
            Network(encoder[start:], self.network.classifier, self.network.sites), self._gate, self._scope
        )
        rest.m = self.m
        return encoder[:start], rest

    def pruned(self) -> MaskedNetwork:
        """A copy of the network that carries the masks in its state."""
        kept = {site: m >= 0 for site, m in zip(self.sites, self.m, strict=True)}
        return MaskedNetwork(copy.deepcopy(self.network).requires_grad_(True), kept).eval()


@torch.no_grad()
def behind_frozen_layers(run: Run, gated: Gated, batch_size: int, *splits: Data) -> tuple[Gated, tuple[Data, ...]]:
    """Pass splits through the layers before the first gate once, instead of in every step.

    Only where images always enter as they are stored, where what comes out is not larger (an MLP, whose first layer has
    most of its weights), and where batches of the sizes that will be trained on come out bit for bit as in larger ones:
    matrix products may sum in another order for a few samples.

    Args:
        run: The cell.
        gated: At the start of its training.
        batch_size: That ``splits`` will be trained with.
        splits: Training and held-out data.

    Returns:
        What to train in place of ``gated``, under the same gates, and the splits that it reads.
    """
    parts = gated.split()
    if parts is None or run.problem.recipe.augment != "none":
        return gated, splits
    layers, rest = parts
    with run.autocast():
        sample = layers(splits[0].batch(torch.arange(1, device=run.device)).x)
    if sample.nbytes > splits[0].x[:1].nbytes:
        return gated, splits
    passed = []
    for split in splits:
        with run.autocast():
            x = torch.cat([layers(batch.x) for batch in split.ordered(FEATURE_BATCH)])
            for size in {batch_size, len(split) % batch_size} - {0}:
                first = next(split.ordered(size)).x
                if not torch.equal(layers(first), x[: len(first)]):
                    return gated, splits
        passed.append(x)
    return rest, tuple(split.with_inputs(x) for split, x in zip(splits, passed, strict=True))
