"""Splits on the device: uint8 tensors, a batch is an index gather and a fused normalisation.

Images in a memory-mapped file that would take too much of the device stay where they are, as all do on a CPU: a thread
reads the next batches while one is trained on.

Token sequences are stored as long as the longest may be, filled up with ``PADDING``. Samples of like length share a
batch, and a batch is cut to a multiple of ``BUCKET`` tokens.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from benchmark.prefetch import ahead
from benchmark.task import Inputs, Layout, Split

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PADDING = -1
"""What fills up token sequences, whatever a tokenizer calls it; networks ignore it."""
BUCKET = 8
"""Batches of tokens are a multiple of so many long."""
SORTED_BATCHES = 50
"""Samples of so many batches are sorted by length before they are divided into batches."""
DEVICE_SHARE = 0.5
"""Of a device's free memory: a memory-mapped split that is larger stays in its file."""
ORDERED_TOKENS = 2**14
"""At most so many tokens in a batch that is not trained on: bounds the memory of activations."""


@dataclass(frozen=True)
class Batch:
    """One training or evaluation batch.

    Attributes:
        x: Network inputs, float (B, channels, height, width) or tokens (B, length of the longest, at least).
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
        x: Raw inputs, uint8 or tokens; on the device, or in their file.
        y: Targets, int64 (N,).
        b: Bias labels, int64 (N, biases), or ``None``.
        in_file: Whether ``x`` stays in a memory-mapped file, from which batches are read ahead.
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
        x = torch.as_tensor(split.x)
        self.in_file = isinstance(split.x, np.memmap) and x.nbytes > DEVICE_SHARE * _free_bytes(device)
        self.x = x if self.in_file else x.to(device)
        self.y = torch.as_tensor(split.y).to(device)
        self.b = torch.as_tensor(split.b).to(device) if with_bias else None
        self.inputs = inputs
        self.device = device
        self._lengths = (torch.as_tensor(split.x) != PADDING).sum(1) if len(inputs.shape) == 1 else None
        self._memory_format = MEMORY_FORMATS[layout]
        self._scale, self._shift = _normalisation(inputs, device)

    def __len__(self) -> int:
        """How many samples."""
        return len(self.y)

    def subset(self, index: torch.Tensor) -> Data:
        """A split of its own with the samples at ``index`` (M,)."""
        part = copy.copy(self)
        part.x, part.y, part.in_file = self._raw(index), self.y.index_select(0, index), False
        part.b = None if self.b is None else self.b.index_select(0, index)
        part._lengths = None if self._lengths is None else self._lengths.index_select(0, index.cpu())
        return part

    def with_inputs(self, x: torch.Tensor) -> Data:
        """The same samples with network inputs ``x`` (N, …) that are used as they are."""
        other = copy.copy(self)
        other.x, other._scale, other.in_file = x, None, False
        return other

    def batch(self, index: torch.Tensor) -> Batch:
        """The samples at ``index`` (B,), normalised."""
        width = None if self._lengths is None else self._width(self._lengths[index.cpu()])
        return self._batch(self._raw(index), index, width)

    def _raw(self, index: torch.Tensor) -> torch.Tensor:
        """Stored inputs at ``index`` (B,), on the device."""
        if not self.in_file:
            return self.x.index_select(0, index)
        read = self.x.index_select(0, index.cpu())
        return read if self.device.type == "cpu" else read.pin_memory().to(self.device, non_blocking=True)

    def _batches(self, indices: Iterable[torch.Tensor], widths: Iterable[int | None]) -> Iterator[Batch]:
        """The samples at each of ``indices`` (B,), tokens cut to each of ``widths``."""
        read = ahead(indices, self._raw) if self.in_file else ((index, self._raw(index)) for index in indices)
        for (index, raw), width in zip(read, widths, strict=False):
            yield self._batch(raw, index.to(self.device, non_blocking=True), width)

    def _batch(self, x: torch.Tensor, index: torch.Tensor, width: int | None) -> Batch:
        """Samples from their raw inputs ``x`` (B, …) and their positions, tokens cut to ``width``."""
        return Batch(
            x=self.normalise(x) if width is None else x[:, :width],
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
        permutation = torch.randperm(len(self), generator=order)
        if self._lengths is not None:
            permutation = _by_length(permutation, self._lengths, batch_size, order)
        widths = self._widths(permutation, batch_size)  # before it is on the device: an epoch never waits for it
        indices = torch.split(permutation if self.in_file else permutation.to(self.device), batch_size)
        yield from self._batches((index for index in indices if len(index) > 1 or len(self) == 1), widths)

    def ordered(self, batch_size: int) -> Iterator[Batch]:
        """Every sample once, in stored order, at most ``batch_size`` at a time."""
        where = torch.device("cpu") if self.in_file else self.device
        ranges, start = [], 0
        while start < len(self):
            stop, width = min(start + batch_size, len(self)), None
            if self._lengths is not None:
                stop = min(stop, start + max(1, ORDERED_TOKENS // self._width(self._lengths[start:stop])))
                width = self._width(self._lengths[start:stop])
            ranges.append((start, stop, width))
            start = stop
        indices = (torch.arange(start, stop, device=where) for start, stop, _ in ranges)
        yield from self._batches(indices, [width for _, _, width in ranges])

    def _widths(self, order: torch.Tensor, batch_size: int) -> Iterator[int | None]:
        """To how many tokens each batch of an epoch is cut; ``None`` for images."""
        if self._lengths is None:
            return itertools.repeat(None)
        return (self._width(lengths) for lengths in torch.split(self._lengths[order], batch_size))

    def _width(self, lengths: torch.Tensor) -> int:
        """To how many tokens samples of these lengths are cut."""
        return min(self.x.shape[1], -(-int(lengths.max()) // BUCKET) * BUCKET)


def _free_bytes(device: torch.device) -> int:
    """What a device could still hold; on the CPU nothing but what is in the file anyway."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def _by_length(
    permutation: torch.Tensor, lengths: torch.Tensor, batch_size: int, order: torch.Generator
) -> torch.Tensor:
    """A permutation (N,) rearranged so that batches cut from it hold like lengths, in random order.

    Runs of ``SORTED_BATCHES`` batches are sorted by length, then all full batches are shuffled; a smaller one, the
    last, stays.
    """
    runs = torch.split(permutation, SORTED_BATCHES * batch_size)
    permutation = torch.cat([run[lengths[run].argsort(stable=True)] for run in runs])
    full = len(permutation) // batch_size * batch_size
    batches = permutation[:full].view(-1, batch_size)
    shuffled = batches[torch.randperm(len(batches), generator=order)].flatten()
    return torch.cat((shuffled, permutation[full:]))


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
