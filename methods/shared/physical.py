"""Physical pruning: a network with masked units becomes a smaller dense one that computes the same.

The mask multiplies after the activation, so a masked unit is exactly 0: the layer that makes it loses a filter, every
layer that reads it loses an input. In a residual stream a unit may be masked after one block and not after the next;
then the blocks carry different channels, and the shortcut between them places its channels by index
(:class:`benchmark.layers.ChannelMap`). So it is in a transformer: where a block's last layer norm runs over kept units
only, the next block reads fewer; its attention, which is not masked, makes all of them again.

torch-pruning (1.6.1) does not fit: its dependency graph ties all block outputs of a ResNet stage, and the stem to the
first stage, into one group from which a channel can only be removed everywhere or nowhere.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from benchmark.errors import ConfigError
from benchmark.layers import ChannelMap, Residual, TokenEncoder, TransformerBlock
from benchmark.network import Network

PLACEHOLDER = -1
"""Where all units of a site are masked one is left, whose weights are 0: layers without any channel do not run."""
UNCHANGED = (
    nn.ReLU,
    nn.ReLU6,
    nn.GELU,
    nn.Tanh,
    nn.Dropout,
    nn.Identity,
    nn.Flatten,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)
"""Layers that treat every channel alike and leave 0 as it is."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Channels:
    """The channels that a tensor has left.

    Attributes:
        index: Their positions in the dense network, or ``PLACEHOLDER``.
        total: How many there are in the dense network.
        masked: Whether the others are 0 here in the masked network; before the mask they are whatever they are.
    """

    index: tuple[int, ...]
    total: int
    masked: bool = False

    @property
    def complete(self) -> bool:
        """Whether none is gone."""
        return self.index == tuple(range(self.total))


Wanted = tuple[int, ...] | None
"""Positions of the output channels that are read later on; ``None`` for all."""


def compact(network: Network, keep: Mapping[str, torch.Tensor]) -> Network:
    """Remove masked units for good.

    Args:
        network: The dense network; left as it is.
        keep: Bool (units,) for each masked site, by the name of its module. Outputs of a masked ``classifier`` stay,
            as zeros.

    Returns:
        A network of its own whose outputs are those of ``network`` with its units at the sites times ``keep``.

    Raises:
        ConfigError: A site is not in the network, or its units go through layers that cannot be shrunk.
    """
    masks = {name: mask.tolist() for name, mask in keep.items()}
    shrinking = _Shrinking(masks)
    encoder, channels = shrinking.module(copy.deepcopy(network.encoder), "encoder", None, None)
    missed = set(masks) - shrinking.reached - {"classifier"}
    if missed:
        raise ConfigError(
            f"units of {', '.join(sorted(missed))} cannot be removed: no layer that can be shrunk has them"
        )
    outputs = _narrowed(None, masks.get("classifier"), placeholders=True)
    classifier, _ = _linear(copy.deepcopy(network.classifier), channels, outputs)
    left = {name: max(1, sum(mask)) for name, mask in masks.items() if name != "classifier"}
    sites = tuple(replace(site, units=left.get(site.module, site.units)) for site in network.sites)
    smaller = Network(encoder, classifier, sites)
    smaller.training = network.training
    return smaller


class _Shrinking:
    """One pass over a network, from input to output, that knows which units are masked where."""

    def __init__(self, masks: Mapping[str, list[bool]]) -> None:
        self._masks = masks
        self.reached: set[str] = set()

    def module(
        self, module: nn.Module, name: str, channels: Channels | None, wanted: Wanted
    ) -> tuple[nn.Module, Channels | None]:
        """A smaller ``module`` that reads ``channels`` (``None``: all) and makes the wanted ones, and what it makes."""
        self.reached.add(name)
        smaller, made = self._shrunk(module, name, channels, wanted)
        return smaller, replace(made, masked=True) if made is not None and name in self._masks else made

    def _shrunk(
        self, module: nn.Module, name: str, channels: Channels | None, wanted: Wanted
    ) -> tuple[nn.Module, Channels | None]:
        if isinstance(module, nn.Sequential):
            return self._sequential(module, name, channels, wanted)
        if isinstance(module, Residual):
            return self._residual(module, name, channels, wanted)
        if isinstance(module, TokenEncoder):
            for number, block in enumerate(module.blocks):
                channels = self._block(cast(TransformerBlock, block), f"{name}.blocks.{number}", channels)
            pooler, made = self.module(module.pooler, f"{name}.pooler", channels, wanted)
            module.pooler = cast(nn.Sequential, pooler)
            return module, made
        if isinstance(module, nn.Conv2d) and module.groups == 1:
            return _convolution(module, channels, wanted)
        if _is_depthwise(module) and channels is not None:
            return _depthwise(cast(nn.Conv2d, module), channels), channels
        if isinstance(module, nn.Linear):
            return _linear(module, channels, wanted)
        if isinstance(module, UNCHANGED):
            return module, channels
        whole = channels is None or channels.complete
        if isinstance(module, NORMS) and channels is not None and (whole or not channels.masked):
            return _batch_norm(module, channels), channels
        if whole and wanted is None:
            return module, None
        raise ConfigError(
            f"{name}, a {type(module).__name__}, cannot be shrunk; units can be removed that go through activations, "
            "pooling and depthwise nn.Conv2d to nn.Conv2d (not grouped) or nn.Linear, in nn.Sequential and "
            "benchmark.layers.Residual"
        )

    def _sequential(
        self, module: nn.Sequential, name: str, channels: Channels | None, wanted: Wanted
    ) -> tuple[nn.Module, Channels | None]:
        children = list(module.named_children())
        wants = []
        for child_name, child in reversed(children):
            wanted = _narrowed(wanted, self._masks.get(f"{name}.{child_name}"))
            wants.append(wanted)
            if not isinstance(child, (*UNCHANGED, *NORMS)) and not _is_depthwise(child):
                wanted = None  # this layer makes its channels, whatever it reads
        if wanted is not None:
            raise ConfigError(f"masked units of {name} cannot be removed: no layer in it makes them")
        for (child_name, child), want in zip(children, reversed(wants), strict=True):
            smaller, channels = self.module(child, f"{name}.{child_name}", channels, want)
            setattr(module, child_name, smaller)
        return module, channels

    def _residual(
        self, block: Residual, name: str, channels: Channels | None, wanted: Wanted
    ) -> tuple[nn.Module, Channels | None]:
        output = f"{name}.activation"
        wanted = _narrowed(wanted, self._masks.get(output))
        body, made = self.module(block.body, f"{name}.body", channels, wanted)
        shortcut: nn.Module
        if isinstance(block.shortcut, nn.Identity | ChannelMap):
            shortcut = _shortcut(block.shortcut, channels, made).to(next(body.parameters()).device)
        else:
            shortcut, _ = self.module(block.shortcut, f"{name}.shortcut", channels, wanted)
        block.body, block.shortcut = cast(nn.Sequential, body), shortcut.train(block.training)
        _, made = self.module(block.activation, output, made, wanted)
        return block, made

    def _block(self, block: TransformerBlock, name: str, channels: Channels | None) -> Channels | None:
        """Shrink the feed-forward layers of a block in place; what attention makes stays as wide as it is."""
        inner, outer = (_narrowed(None, self._masks.get(f"{name}.{part}")) for part in ("activation", "narrow"))
        self.reached |= {f"{name}.activation", f"{name}.narrow"}
        attention = block.attention
        for layer in (attention.query, attention.key, attention.value):
            _linear(layer, channels, None)
        whole = Channels(tuple(range(attention.output.out_features)), attention.output.out_features)
        _, widened = _linear(block.widen, None, inner)
        _, made = _linear(block.narrow, widened, outer)
        device = block.narrow.weight.device
        block.entry = _shortcut(block.entry, channels, whole, dim=-1).to(device).train(block.training)
        block.passage = _shortcut(block.passage, None, made, dim=-1).to(device).train(block.training)
        if outer is None:
            return None
        _layer_norm(block.norm, made)
        return replace(made, masked=True)


def _narrowed(wanted: Wanted, mask: list[bool] | None, *, placeholders: bool = False) -> Wanted:
    """Of the wanted channels those that the mask keeps; with ``placeholders`` the others stay as such."""
    if mask is None:
        return wanted
    read = range(len(mask)) if wanted is None else set(wanted)
    positions = [i if kept and i in read else PLACEHOLDER for i, kept in enumerate(mask)]
    if placeholders:
        return tuple(positions)
    return tuple(i for i in positions if i != PLACEHOLDER) or (PLACEHOLDER,)


def _shortcut(
    shortcut: nn.Module, channels: Channels | None, made: Channels | None, *, dim: int = 1
) -> nn.Identity | ChannelMap:
    """The shortcut without weights from the channels that are left to those that the block makes."""
    assert made is not None, "the body of a residual block makes its channels"
    stride, sources = 1, list(made.index)
    if isinstance(shortcut, ChannelMap):
        stride, sources = shortcut.stride, [i if i == PLACEHOLDER else shortcut.sources[i] for i in made.index]
    if channels is not None:
        place = {channel: i for i, channel in enumerate(channels.index)}
        sources = [PLACEHOLDER if source == PLACEHOLDER else place.get(source, PLACEHOLDER) for source in sources]
    width = made.total if channels is None else len(channels.index)
    return nn.Identity() if stride == 1 and sources == list(range(width)) else ChannelMap(sources, stride, dim)


def _convolution(layer: nn.Conv2d, channels: Channels | None, wanted: Wanted) -> tuple[nn.Conv2d, Channels]:
    made = Channels(wanted or tuple(range(layer.out_channels)), layer.out_channels)
    if channels is not None:
        layer.weight = _taken(layer.weight, 1, channels.index)
        layer.in_channels = len(channels.index)
    _shrink_outputs(layer, wanted)
    layer.out_channels = len(made.index)
    return layer, made


def _is_depthwise(module: nn.Module) -> bool:
    """Whether every output channel is made of the input channel of the same number."""
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels == module.out_channels > 1


def _depthwise(layer: nn.Conv2d, channels: Channels) -> nn.Conv2d:
    _shrink_outputs(layer, channels.index)
    layer.groups = layer.in_channels = layer.out_channels = len(channels.index)
    return layer


def _linear(layer: nn.Linear, channels: Channels | None, wanted: Wanted) -> tuple[nn.Linear, Channels]:
    made = Channels(wanted or tuple(range(layer.out_features)), layer.out_features)
    if channels is not None:
        pixels = layer.in_features // channels.total  # a flattened map has so many features of each channel
        index = [PLACEHOLDER if c < 0 else c * pixels + pixel for c in channels.index for pixel in range(pixels)]
        layer.weight = _taken(layer.weight, 1, index)
        layer.in_features = len(index)
    _shrink_outputs(layer, wanted)
    layer.out_features = len(made.index)
    return layer, made


def _shrink_outputs(layer: nn.Conv2d | nn.Linear, wanted: Wanted) -> None:
    if wanted is not None:
        layer.weight = _taken(layer.weight, 0, wanted)
        if layer.bias is not None:
            layer.bias = _taken(layer.bias, 0, wanted)


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, channels: Channels) -> nn.Module:
    layer.num_features = len(channels.index)
    if layer.affine:
        layer.weight, layer.bias = _taken(layer.weight, 0, channels.index), _taken(layer.bias, 0, channels.index)
    if layer.running_mean is not None and layer.running_var is not None:
        layer.running_mean = _taken(layer.running_mean, 0, channels.index).data
        layer.running_var = _taken(layer.running_var, 0, channels.index).data
    return layer


def _layer_norm(layer: nn.LayerNorm, channels: Channels) -> None:
    """Statistics over the kept units are what a masked layer norm takes; a placeholder's scale and shift are 0."""
    layer.normalized_shape = (len(channels.index),)
    layer.weight, layer.bias = _taken(layer.weight, 0, channels.index), _taken(layer.bias, 0, channels.index)


def _taken(values: torch.Tensor, dim: int, index: list[int] | tuple[int, ...]) -> nn.Parameter:
    """The entries at ``index`` along ``dim``; zeros where it is a placeholder."""
    positions = torch.tensor(index, device=values.device)
    taken = values.detach().index_select(dim, positions.clamp(min=0))
    taken.index_fill_(dim, (positions < 0).nonzero().flatten(), 0)
    return nn.Parameter(taken, requires_grad=values.requires_grad)
