"""Layers that backbones are built of and that structured pruning knows how to shrink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional


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
    """A shortcut without weights: every output channel is one of the input's channels, or zero. Channels are ``dim``.

    With ``sources`` of zeros, the input's channels and zeros again, and stride 2, it is option A of He et al. (2016),
    section 3.3; other ``sources`` let a pruned block add its input to the channels that are left.
    """

    taken: torch.Tensor
    targets: torch.Tensor

    def __init__(self, sources: Sequence[int], stride: int = 1, dim: int = 1) -> None:
        """Output channel i is input channel ``sources[i]``, zero where that is -1; ``stride`` thins out pixels."""
        super().__init__()
        self.sources = tuple(sources)
        self.stride = stride
        self.dim = dim
        targets = [i for i, source in enumerate(self.sources) if source >= 0]
        self.register_buffer("targets", torch.tensor(targets, dtype=torch.int64), persistent=False)
        taken = [self.sources[i] for i in targets]
        self.register_buffer("taken", torch.tensor(taken, dtype=torch.int64), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, len(sources), H / stride, W / stride); with ``dim`` -1 (…, C) to (…, len(sources))."""
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        shape = list(x.shape)
        shape[self.dim] = len(self.sources)
        return x.new_zeros(shape).index_copy(self.dim, self.targets, x.index_select(self.dim, self.taken))


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017), with a linear layer each for query, key, value and output."""

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, output: nn.Linear, heads: int, dropout: float
    ) -> None:
        """``dropout`` is that of the attention's weights."""
        super().__init__()
        self.query, self.key, self.value, self.output = query, key, value, output
        self.heads = heads
        self.dropout = dropout

    def forward(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Tokens (B, length, C) to (B, length, C'); only ``attended`` ones, bool (B, length), are looked at."""
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        heads = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attended[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return cast(torch.Tensor, self.output(heads.transpose(1, 2).flatten(2)))


class TransformerBlock(nn.Module):
    """A block of BERT (Devlin et al., 2019): attention, then two linear layers, each added to its input and normalised.

    Attributes:
        entry: How the block's input is added to the attention's output.
        passage: How what the feed-forward layers read is added to what they make.
    """

    def __init__(
        self,
        attention: SelfAttention,
        attention_norm: nn.LayerNorm,
        widen: nn.Linear,
        activation: nn.Module,
        narrow: nn.Linear,
        norm: nn.LayerNorm,
        dropout: float,
    ) -> None:
        """Keep the parts; ``dropout`` is that of both branches before they are added."""
        super().__init__()
        self.attention, self.attention_norm = attention, attention_norm
        self.widen, self.activation, self.narrow = widen, activation, narrow
        self.norm = norm
        self.entry: nn.Module = nn.Identity()
        self.passage: nn.Module = nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Tokens (B, length, C) to (B, length, C')."""
        x = self.attention_norm(self.dropout(self.attention(x, attended)) + self.entry(x))
        made = self.dropout(self.narrow(self.activation(self.widen(x))))
        return cast(torch.Tensor, self.norm(made + self.passage(x)))


class TokenEncoder(nn.Module):
    """Embeddings, blocks, and a pooler on the first token's features."""

    def __init__(self, embeddings: nn.Module, blocks: nn.ModuleList, pooler: nn.Sequential, padding: int) -> None:
        """``embeddings`` maps token numbers to (B, length, C); it is given ``padding`` for negative ones."""
        super().__init__()
        self.embeddings, self.blocks, self.pooler = embeddings, blocks, pooler
        self.padding = padding

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, length), negative where there is none, to features (B, C)."""
        attended = tokens >= 0
        x = self.embeddings(tokens.long().masked_fill(~attended, self.padding))
        for block in self.blocks:
            x = block(x, attended)
        return cast(torch.Tensor, self.pooler(x[:, 0]))
