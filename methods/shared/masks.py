"""Hard masks of units: how they act on a network, and the self-contained network that carries them in its state.

A mask is applied where the backbone says so (:class:`benchmark.network.Site`). Where the units of a site go through a
layer norm, its statistics are taken over the kept units only and the outputs of masked units are 0 (BISE on BERT).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from benchmark.network import Network, Site
from methods.shared.physical import compact

PREFIX = "mask."


class Multipliers(Protocol):
    """Looks up the multipliers of a site's units (units,) by the name of its module."""

    def __getitem__(self, module: str, /) -> torch.Tensor:
        """Multipliers (units,), any numeric type or bool."""


@dataclass(frozen=True)
class _ScaleUnits:
    """A forward hook; an object rather than a closure, so that a deep copy of a network refers to its own masks."""

    site: Site
    multipliers: Multipliers

    def __call__(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        del module, inputs
        shape = [1] * output.ndim
        shape[self.site.dim] = -1
        return output * self.multipliers[self.site.module].to(output.dtype).view(shape)


@dataclass(frozen=True)
class _NormKept:
    """A forward hook of a layer norm after a masked site."""

    site: Site
    multipliers: Multipliers

    def __call__(self, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        kept = self.multipliers[self.site.module].to(inputs[0].dtype)
        return layer_norm_of_kept(cast(nn.LayerNorm, module), inputs[0], kept, output)


def layer_norm_of_kept(norm: nn.LayerNorm, x: torch.Tensor, kept: torch.Tensor, unmasked: torch.Tensor) -> torch.Tensor:
    """Layer norm whose mean and variance weigh each unit by its multiplier, times the multiplier.

    Args:
        norm: Gives epsilon, scale and shift.
        x: Its input (…, units).
        kept: Multipliers in [0, 1], (units,).
        unmasked: The plain ``norm(x)``. Where every unit is kept in full its values are returned, so that nothing
            changes by rounding; gradients are those of the weighted form.
    """
    share = kept / kept.sum().clamp(min=torch.finfo(kept.dtype).tiny)
    centred = x - (x * share).sum(-1, keepdim=True)
    variance = (centred.square() * share).sum(-1, keepdim=True)
    normed = centred * torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        normed = normed * norm.weight
    if norm.bias is not None:
        normed = normed + norm.bias
    masked = normed * kept
    rounding = torch.where((kept == 1).all(), unmasked - masked, 0.0)
    return masked + rounding.detach()


def _attach(network: nn.Module, site: Site, multipliers: Multipliers) -> list[RemovableHandle]:
    handles = [network.get_submodule(site.module).register_forward_hook(_ScaleUnits(site, multipliers))]
    if site.norm is not None:
        handles.append(network.get_submodule(site.norm).register_forward_hook(_NormKept(site, multipliers)))
    return handles


@contextmanager
def scaled_units(network: Network, sites: tuple[Site, ...], multipliers: Multipliers) -> Iterator[None]:
    """Inside, the units of ``sites`` are multiplied; gradients reach the multipliers."""
    handles = [handle for site in sites for handle in _attach(network, site, multipliers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class UnitMasks(nn.Module):
    """Bool masks by site as buffers; a buffer's name may hold no dot, so module names are spelled with slashes."""

    def __init__(self, kept: Mapping[Site, torch.Tensor]) -> None:
        """``kept`` gives one bool per unit."""
        super().__init__()
        for site, mask in kept.items():
            if mask.shape != (site.units,):
                raise ValueError(f"site {site.module} has {site.units} units, its mask has shape {tuple(mask.shape)}")
            self.register_buffer(site.module.replace(".", "/"), mask.detach().to(torch.bool).clone())

    def __getitem__(self, module: str) -> torch.Tensor:
        """The mask of the site at this module."""
        return self.get_buffer(module.replace(".", "/"))


class MaskedNetwork(Network):
    """A network with some of its units fixed at 0.

    Its state is that of the network plus one bool tensor per site, ``mask.<module, dots as slashes>``;
    :func:`read_masks` finds them in a stored state.

    Attributes:
        mask: The masks.
    """

    def __init__(self, network: Network, kept: Mapping[Site, torch.Tensor]) -> None:
        """Take over the modules of ``network`` (hand in a copy to keep it unmasked); ``kept`` masks its units."""
        super().__init__(network.encoder, network.classifier, tuple(kept))
        self.backbone = network.backbone
        self.mask = UnitMasks(kept)
        for site in kept:
            _attach(self, site, self.mask)

    def unit_masks(self) -> dict[str, torch.Tensor]:
        """Which units are kept, bool (units,), by the name of the site's module."""
        return {site.module: self.mask[site.module] for site in self.sites}

    def compact(self) -> Network:
        """A smaller network of its own, without the masked units, that computes the same.

        Raises:
            ConfigError: Masked units go through layers that cannot be shrunk.
        """
        plain = copy.deepcopy(self)
        for module in plain.modules():
            hooks = module._forward_hooks
            for key in [key for key, hook in hooks.items() if isinstance(hook, _ScaleUnits | _NormKept)]:
                del hooks[key]
        return compact(plain, self.unit_masks())


def read_masks(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The unit masks in the state of a :class:`MaskedNetwork`: bool (units,) by the name of the site's module."""
    return {
        name.removeprefix(PREFIX).replace("/", "."): mask for name, mask in state.items() if name.startswith(PREFIX)
    }
