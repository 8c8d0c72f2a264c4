"""The simple convolutional network of ReBias (Bahng et al., ICML 2020), which FFW and BISE use on Biased-MNIST."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from benchmark.errors import ConfigError
from benchmark.network import Network, Site
from benchmark.task import Inputs

WIDTHS = (16, 32, 64, 128)


def simple_convnet(
    inputs: Inputs,
    classes: int,
    last_activation: Literal["tanh", "relu"] = "tanh",
    bottleneck: int | None = None,
) -> Network:
    """Four blocks of 7x7 convolution, batch norm and activation without pooling, then a global average.

    The convolutions have a bias although batch norm follows, as in the authors' code; without biases and batch norm,
    for 3 channels and 10 classes, there are 530,480 weights.

    Args:
        inputs: Images of any size.
        classes: Number of logits.
        last_activation: ReLU after the last block in ReBias, Tanh in FFW and BISE; the other three are ReLU.
        bottleneck: Width of a further linear layer that ends the encoder.

    Raises:
        ConfigError: There is no such activation.
    """
    last = {"tanh": nn.Tanh, "relu": nn.ReLU}.get(last_activation)
    if last is None:
        raise ConfigError(f"last_activation of the simple conv net is 'tanh' or 'relu', got {last_activation!r}")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = inputs.shape[0]
    for depth, width in enumerate(WIDTHS, start=1):
        convolution = nn.Conv2d(channels, width, kernel_size=7, padding=3)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        layers[f"conv{depth}"] = convolution
        layers[f"bn{depth}"] = nn.BatchNorm2d(width)
        layers[f"act{depth}"] = last() if depth == len(WIDTHS) else nn.ReLU()
        channels = width
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    if bottleneck is not None:
        layers["bottleneck"] = nn.Linear(channels, bottleneck)
    sites = tuple(Site(f"encoder.act{depth}", width) for depth, width in enumerate(WIDTHS, start=1))
    return Network(nn.Sequential(layers), nn.Linear(bottleneck or channels, classes), sites)
