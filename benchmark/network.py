"""Networks as every method sees them: an encoder to the bottleneck z, and a linear classifier on z."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from benchmark.randomness import Dimension, isolated
from benchmark.task import Backbone, Inputs


@dataclass(frozen=True)
class Site:
    """A place where units (filters, neurons) can be masked: the output of one submodule.

    Attributes:
        module: Its name in the network (``get_submodule``).
        units: How many units it has.
        dim: Which dimension of its output counts them: 1 for feature maps and flat features, -1 for token features.
        norm: Name of the ``nn.LayerNorm`` over these units that they enter next, on a residual branch: masked units
            are left out of its statistics and are 0 in its output. ``None`` where there is none.
    """

    module: str
    units: int
    dim: int = 1
    norm: str | None = None


class Network(nn.Module):
    """``classifier(encoder(x))``.

    Attributes:
        encoder: Inputs to bottleneck features z, (B, feature_dim).
        classifier: z to logits, (B, classes).
        sites: Where structured methods may mask units, from input to output; set by the backbone.
        backbone: What it was built from, if :func:`build_network` built it.
    """

    backbone: Backbone | None = None

    def __init__(self, encoder: nn.Module, classifier: nn.Linear, sites: tuple[Site, ...] = ()) -> None:
        """Keep the two parts; ``sites`` names submodules of the whole network (``"encoder.…"``)."""
        super().__init__()
        self.encoder = encoder
        self.classifier = classifier
        self.sites = sites

    @property
    def feature_dim(self) -> int:
        """Width of the bottleneck z."""
        return self.classifier.in_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes)."""
        return cast(torch.Tensor, self.classifier(self.encoder(x)))


def import_path(path: str) -> Callable[..., object]:
    """The object at ``"package.module:name"``."""
    module, _, name = path.partition(":")
    if not name:
        raise ValueError(f"a backbone's factory is written 'package.module:callable', got {path!r}")
    return cast(Callable[..., object], getattr(importlib.import_module(module), name))


def build_network(backbone: Backbone, inputs: Inputs, classes: int, *stream: Dimension) -> Network:
    """A freshly initialised network; its weights depend on ``stream`` alone, global random state is untouched."""
    factory = import_path(backbone.factory)
    with isolated(*stream):
        network = factory(inputs, classes, **backbone.options)
    if not isinstance(network, Network):
        raise TypeError(f"{backbone.factory} must return a benchmark.network.Network, got {type(network).__name__}")
    network.backbone = backbone
    return network
