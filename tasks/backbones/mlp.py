"""Multi-layer perceptrons on flattened images."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from benchmark.network import Network, Site
from benchmark.task import Inputs


def mlp(inputs: Inputs, classes: int, widths: Sequence[int]) -> Network:
    """Linear layers with ReLU; the features z are the last hidden activation.

    Args:
        inputs: Of any shape; flattened.
        classes: Number of logits.
        widths: Units of each hidden layer; ``len(widths) + 1`` linear layers in all.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = math.prod(inputs.shape)
    for depth, units in enumerate(widths, start=1):
        layers[f"linear{depth}"] = nn.Linear(width, units)
        layers[f"relu{depth}"] = nn.ReLU()
        width = units
    sites = tuple(Site(f"encoder.relu{depth}", units) for depth, units in enumerate(widths, start=1))
    return Network(nn.Sequential(layers), nn.Linear(width, classes), sites)
