"""Splits on the device: uint8 tensors, a batch is an index gather and a fused normalisation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch

from benchmark.task import Inputs, Layout, Split

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Batch:
    """One training or evaluation batch.

    Attributes:
        x: Network inputs, float (B, channels, height, width) or tokens (B, length).
        y: Targets (B,).
        b: Bias labels (B, biases), or ``None`` where the method has not declared that it needs them.
        index: Positions of the samples in their split (B,).
    """

    x: torch.Tensor
    y: torch.Tensor
    b: torch.Tensor | None
    index: torch.Tensor


class Data:
    """A split on a device, with or without its bias labels.

    Attributes:
        x: Raw inputs, uint8 or tokens.
        y: Targets, int64 (N,).
        b: Bias labels, int64 (N, biases), or ``None``.
    """

    def __init__(
        self,
        split: Split,
        inputs: Inputs,
        device: torch.device,
        layout: Layout = "contiguous",
        *,
        with_bias: bool,
    ) -> None:
        """Move a split to ``device``; without ``with_bias`` its bias labels are left behind."""
        self.x = torch.as_tensor(split.x).to(device)
        self.y = torch.as_tensor(split.y).to(device)
        self.b = torch.as_tensor(split.b).to(device) if with_bias else None
        self.inputs = inputs
        self.device = device
        self._memory_format = MEMORY_FORMATS[layout]
        self._scale, self._shift = _normalisation(inputs, device)

    def __len__(self) -> int:
        """How many samples."""
        return len(self.y)

    def subset(self, index: torch.Tensor) -> Data:
        """A split of its own with the samples at ``index`` (M,)."""
        part = copy.copy(self)
        part.x, part.y = self.x.index_select(0, index), self.y.index_select(0, index)
        part.b = None if self.b is None else self.b.index_select(0, index)
        return part

    def batch(self, index: torch.Tensor) -> Batch:
        """The samples at ``index`` (B,), normalised."""
        return Batch(
            x=self.normalise(self.x.index_select(0, index)),
            y=self.y.index_select(0, index),
            b=None if self.b is None else self.b.index_select(0, index),
            index=index,
        )

    def normalise(self, raw: torch.Tensor) -> torch.Tensor:
        """uint8 images (B, C, H, W) to network inputs; tokens are returned as they are."""
        if self._scale is None:
            return raw
        x = raw.to(torch.float32).mul_(self._scale)
        if self._shift is not None:
            x.add_(self._shift)
        return x.contiguous(memory_format=self._memory_format) if x.ndim == 4 else x

    def shuffled(self, batch_size: int, order: torch.Generator) -> Iterator[Batch]:
        """One epoch in an order drawn from ``order`` (a CPU generator).

        The last, smaller batch is kept, but for a single sample: batch norm cannot be trained on one.
        """
        permutation = torch.randperm(len(self), generator=order).to(self.device)
        for index in torch.split(permutation, batch_size):
            if len(index) > 1 or len(self) == 1:
                yield self.batch(index)

    def ordered(self, batch_size: int) -> Iterator[Batch]:
        """Every sample once, in stored order."""
        for start in range(0, len(self), batch_size):
            stop = min(start + batch_size, len(self))
            yield self.batch(torch.arange(start, stop, device=self.device))


@lru_cache(maxsize=8)
def _normalisation(inputs: Inputs, device: torch.device) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """``(x / divide - mean) / std`` as ``x * scale + shift``, each shaped (1, C, 1, 1); the shift may be absent.

    Shared by all splits of a task: nothing writes into them.
    """
    if len(inputs.shape) != 3:
        return None, None
    std = torch.tensor(inputs.std or (1.0,), dtype=torch.float64).view(1, -1, 1, 1)
    scale = (1 / inputs.divide / std).to(device, torch.float32)
    if not inputs.mean:
        return scale, None
    mean = torch.tensor(inputs.mean, dtype=torch.float64).view(1, -1, 1, 1)
    return scale, (-mean / std).to(device, torch.float32)
