"""Residual networks (He et al., 2016): ResNet-18 as torchvision builds it, and the ResNet-20 for small images."""

from __future__ import annotations

from collections import OrderedDict
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn

from benchmark.errors import ConfigError, DataMissingError
from benchmark.layers import ChannelMap, Residual
from benchmark.network import Network, Site
from benchmark.task import Inputs


def resnet18(
    inputs: Inputs,
    classes: int,
    stem: Literal["7x7", "3x3"] = "7x7",
    weights: str | None = None,
    bottleneck: int | None = None,
) -> Network:
    """The ResNet-18 of torchvision, rearranged so that every activation is a module of its own.

    Units can be masked before the second convolution of every block and after every block's output: 16 sites, 3,840
    channels; neither the stem nor the classifier is one.

    Args:
        inputs: Images with 3 channels.
        classes: Number of logits.
        stem: ``7x7`` with stride 2 and max-pooling, or ``3x3`` with stride 1 and none, for small images.
        weights: ``imagenet`` for torchvision's IMAGENET1K_V1, or the path of a state dict with its names (``.pth``,
            ``.safetensors``); the classifier is always new.
        bottleneck: Width of a further linear layer that ends the encoder.

    Raises:
        ConfigError: Weights were asked for with a stem that they do not have.
        DataMissingError: The weights are not there.
    """
    from torchvision import models

    if inputs.shape[0] != 3:
        raise ConfigError(f"ResNet-18 takes images with 3 channels, the task has inputs of shape {inputs.shape}")
    model = models.resnet18()
    if weights is not None:
        if stem != "7x7":
            raise ConfigError(f"weights {weights!r} belong to the 7x7 stem, got stem {stem!r}; leave one of them out")
        model.load_state_dict(_imagenet_state() if weights == "imagenet" else _state_from(Path(weights)))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if stem == "7x7":
        layers.update(conv1=model.conv1, bn1=model.bn1, relu1=nn.ReLU(), maxpool=model.maxpool)
    else:
        layers.update(conv1=_conv3x3(3, 64, mode="fan_out"), bn1=model.bn1, relu1=nn.ReLU())
    for name in ("layer1", "layer2", "layer3", "layer4"):
        layers[name] = nn.Sequential(*(_rearranged(block) for block in getattr(model, name)))
    return _network(layers, 512, classes, bottleneck)


def resnet20(inputs: Inputs, classes: int, bottleneck: int | None = None) -> Network:
    """ResNet-20 for small images (He et al., 2016, section 4.2): weightless shortcuts, 64 features.

    Args:
        inputs: Images.
        classes: Number of logits.
        bottleneck: Width of a further linear layer that ends the encoder.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers.update(conv1=_conv3x3(inputs.shape[0], 16), bn1=nn.BatchNorm2d(16), relu1=nn.ReLU())
    channels = 16
    for stage, width in enumerate((16, 32, 64), start=1):
        blocks = []
        for block in range(3):
            stride = 2 if block == 0 and stage > 1 else 1
            body = _body(
                _conv3x3(channels, width, stride), nn.BatchNorm2d(width), _conv3x3(width, width), nn.BatchNorm2d(width)
            )
            blocks.append(Residual(body, _padded(channels, width, stride), nn.ReLU()))
            channels = width
        layers[f"layer{stage}"] = nn.Sequential(*blocks)
    network = _network(layers, channels, classes, bottleneck)
    nn.init.kaiming_normal_(network.classifier.weight)
    return network


def _network(layers: OrderedDict[str, nn.Module], channels: int, classes: int, bottleneck: int | None) -> Network:
    """Close the encoder with a global average (and a linear layer), and list its sites."""
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    if bottleneck is not None:
        layers["bottleneck"] = nn.Linear(channels, bottleneck)
    encoder = nn.Sequential(layers)
    sites = []
    for name, block in encoder.named_modules():
        if isinstance(block, Residual):
            units = cast(nn.Conv2d, block.body.conv2)
            sites.append(Site(f"encoder.{name}.body.relu1", units.in_channels))
            sites.append(Site(f"encoder.{name}.activation", units.out_channels))
    return Network(encoder, nn.Linear(bottleneck or channels, classes), tuple(sites))


def _body(conv1: nn.Module, bn1: nn.Module, conv2: nn.Module, bn2: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv1=conv1, bn1=bn1, relu1=nn.ReLU(), conv2=conv2, bn2=bn2))


def _rearranged(block: Any) -> Residual:
    """A basic block of torchvision, which calls one ReLU module twice, with a ReLU for each place."""
    body = _body(block.conv1, block.bn1, block.conv2, block.bn2)
    return Residual(body, nn.Identity() if block.downsample is None else block.downsample, nn.ReLU())


def _conv3x3(channels: int, width: int, stride: int = 1, mode: Literal["fan_in", "fan_out"] = "fan_in") -> nn.Conv2d:
    convolution = nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode=mode, nonlinearity="relu")
    return convolution


def _padded(channels: int, width: int, stride: int) -> nn.Module:
    """The shortcut of option A: every other pixel, new channels zero, half of them before and half after."""
    if channels == width:
        return nn.Identity()
    before = (width - channels) // 2
    return ChannelMap([-1] * before + list(range(channels)) + [-1] * (width - channels - before), stride)


def _imagenet_state() -> dict[str, torch.Tensor]:
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.IMAGENET1K_V1
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (OSError, RuntimeError, HTTPException) as error:  # no network; a wrong checksum; cut off
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise DataMissingError(
            f"ImageNet weights of ResNet-18 could not be fetched ({error}); put {weights.url} into {folder}, or give "
            "as the task's parameter 'weights' the path of a copy, or none to start at random; the backbone "
            "efficientnet_lite0 has weights that need no download"
        ) from error


def _state_from(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise DataMissingError(
            f"no weights at {path}; give 'imagenet', or the path of a state dict with torchvision's names"
        )
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return cast(dict[str, torch.Tensor], torch.load(path, map_location="cpu", weights_only=True))
