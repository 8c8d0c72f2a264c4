"""Counts per (y, b, prediction): what is stored of a scored split, and from which every metric is computed."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """The axes of a count table.

    Attributes:
        classes: Number of targets C, and of predictions.
        bias_names: Names of the bias attributes.
        bias_values: How many values each takes; the b axis is their row-major product, 1 if there are none.
        aligned: For each attribute, for each class, the aligned value.
        overlapping: The attributes are marks, 0 or 1, of which a sample may carry several. Accuracies are then those of
            samples without any and of samples with some (:attr:`cells`); those of each mark stand beside them.
    """

    classes: int
    bias_names: tuple[str, ...] = ()
    bias_values: tuple[int, ...] = ()
    aligned: tuple[tuple[int, ...], ...] = ()
    overlapping: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(y, b, prediction)."""
        return self.classes, math.prod(self.bias_values), self.classes

    @property
    def cells(self) -> Groups:
        """The groups by which accuracies are taken: these, or without and with any of the marks that may overlap."""
        if not self.overlapping:
            return self
        return Groups(self.classes, ("any mark",), (2,), self.aligned[:1])

    def alignment(self) -> npt.NDArray[np.bool_]:
        """Whether each attribute is aligned in each (y, b): (attributes, C, B)."""
        _, combinations, _ = self.shape
        values = np.array(np.unravel_index(np.arange(combinations), self.bias_values or (1,)))
        aligned = np.array(self.aligned, dtype=np.int64).reshape(len(self.bias_values), self.classes)
        return np.asarray(values[: len(aligned), None, :] == aligned[:, :, None], dtype=np.bool_)


@dataclass(frozen=True)
class PackedCounts:
    """Count tables of all candidates of a split, compressed.

    Attributes:
        shape: (candidates, C, B, C).
        data: zlib-compressed little-endian uint32 values, row-major.
    """

    shape: tuple[int, int, int, int]
    data: bytes

    @classmethod
    def pack(cls, counts: IntArray) -> PackedCounts:
        """Compress tables (candidates, C, B, C)."""
        if counts.ndim != 4:
            raise ValueError(f"counts are (candidates, y, b, prediction), got shape {counts.shape}")
        first, second, third, fourth = counts.shape
        return cls((first, second, third, fourth), zlib.compress(counts.astype("<u4").tobytes(), 6))

    def unpack(self) -> IntArray:
        """The tables (candidates, C, B, C).

        Raises:
            ValueError: The data are not the size that the shape says.
        """
        expected = 4 * math.prod(self.shape)
        stream = zlib.decompressobj()
        raw = stream.decompress(self.data, expected + 1)  # a bound: packed data may come from a stranger
        if len(raw) != expected:
            raise ValueError(f"counts of shape {self.shape} need {expected} bytes, found {len(raw)}")
        return np.frombuffer(raw, dtype="<u4").astype(np.int64).reshape(self.shape)
