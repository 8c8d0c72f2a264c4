"""Layers that backbones are built of and that structured pruning knows how to shrink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn


class Residual(nn.Module):
    """``activation(body(x) + shortcut(x))``, each part a module, so that its output can be masked."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module, activation: nn.Module) -> None:
        """Keep the three parts; ``shortcut`` is ``nn.Identity()`` where the input is added as it is."""
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (B, C, H, W) to (B, C', H', W')."""
        return cast(torch.Tensor, self.activation(self.body(x) + self.shortcut(x)))


class ChannelMap(nn.Module):
    """A shortcut without weights: every output channel is one of the input's channels, or zero.

    With ``sources`` of zeros, the input's channels and zeros again, and stride 2, it is option A of He et al. (2016),
    section 3.3; other ``sources`` let a pruned block add its input to the channels that are left.
    """

    taken: torch.Tensor
    targets: torch.Tensor

    def __init__(self, sources: Sequence[int], stride: int = 1) -> None:
        """Output channel i is input channel ``sources[i]``, zero where that is -1; ``stride`` thins out pixels."""
        super().__init__()
        self.sources = tuple(sources)
        self.stride = stride
        targets = [i for i, source in enumerate(self.sources) if source >= 0]
        self.register_buffer("targets", torch.tensor(targets, dtype=torch.int64), persistent=False)
        taken = [self.sources[i] for i in targets]
        self.register_buffer("taken", torch.tensor(taken, dtype=torch.int64), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, len(sources), H / stride, W / stride)."""
        x = x[:, :, :: self.stride, :: self.stride]
        zeros = x.new_zeros(x.shape[0], len(self.sources), *x.shape[2:])
        return zeros.index_copy(1, self.targets, x.index_select(1, self.taken))
