"""Multi-Color MNIST (Li et al., Discover and Mitigate Unknown Biases with Debiasing Alternate Networks, ECCV 2022)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmark.protocol import Protocol
from benchmark.task import Backbone, Bias, Inputs, Recipe
from tasks.colored_mnist import MEAN_COLOURS, jittered
from tasks.digits import CLASSES, DigitParams, DigitTask
from tasks.partition import IntArray

LEFT = MEAN_COLOURS
RIGHT = np.float32(1) - MEAN_COLOURS
SIGMA = 0.005
HALF = 14
"""Columns of the left half."""


@dataclass(frozen=True)
class MultiColorMnistParams(DigitParams):
    """Parameters of Multi-Color MNIST.

    Attributes:
        rho_right: Share of samples whose right colour is aligned; the task's ``rho`` is that of the left colour.
        input_scaling: ``single`` divides the stored values by 255, ``double`` twice, as the authors' code does: only so
            can published numbers be compared. ``auto`` is ``double`` under the protocol ``paper`` and ``single`` under
            all others; where it has not been resolved, ``single``.
    """

    rho_right: float = 0.95
    input_scaling: Literal["auto", "single", "double"] = "auto"

    def __post_init__(self) -> None:
        """Refuse a level that is none."""
        if not 0 < self.rho_right <= 1:
            raise ValueError(f"rho_right is the share of right-aligned samples, in (0, 1]; got {self.rho_right}")


class MultiColorMnist(DigitTask):
    """Digits on two coloured halves: clamp(gray + 255 colour, 0, 255) wherever the pixel is not 255.

    The colours are clamp(mean + N(0, .005), 0, 1), drawn per image, one for the left 14 columns and one for the right
    14; the mean of a right colour is the complement of the left one. The (left, right) pairs of a class follow the
    outer product of the two rows of ratios (rho for the aligned value, the rest spread evenly), rounded on the
    cumulative sum. Values are rounded to uint8 (the authors' released code truncates them).
    """

    name = "multi_color_mnist"
    version = 1
    title = "Multi-Color MNIST"
    summary = "Digits on two coloured halves, both of which go with the class, one more strongly."
    biases = (
        Bias("left colour", CLASSES, tuple(range(CLASSES))),
        Bias("right colour", CLASSES, tuple(range(CLASSES))),
    )
    rhos = (0.99,)
    headline = "alignment_group_mean"
    Params = MultiColorMnistParams

    @classmethod
    def resolve(cls, params: Any, root: Path, protocol: Protocol) -> Any:
        """Replace ``source: auto`` by what is there, ``input_scaling: auto`` by what the protocol compares with."""
        params = super().resolve(params, root, protocol)
        if params.input_scaling != "auto":
            return params
        return replace(params, input_scaling="double" if protocol.name == "paper" else "single")

    def rhos_per_bias(self, rho: float) -> tuple[float, ...]:
        """``rho`` on the left, ``rho_right`` on the right."""
        return rho, self.params.rho_right

    def bias_counts(self, digit: int, n: int, rhos: tuple[float, ...], draws: np.random.Generator) -> IntArray:
        """Counts (100,) of the pairs, row-major (left, right); nothing is drawn."""
        del draws
        left, right = (_ratios(digit, rho) for rho in rhos)
        bounds = np.rint(n * np.cumsum(np.outer(left, right))).astype(np.int64)
        return np.diff(bounds, prepend=0)

    def colours(self, b: IntArray, draws: np.random.Generator) -> npt.NDArray[Any]:
        """Left and right colours (N, 2, 3), float32 in 0..1."""
        return np.stack([jittered(LEFT[b[:, 0]], SIGMA, draws), jittered(RIGHT[b[:, 1]], SIGMA, draws)], axis=1)

    def paint(self, gray: npt.NDArray[np.uint8], colours: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Colour both halves behind the digit."""
        background = 255 * np.repeat(colours.transpose(0, 2, 1)[:, :, None], HALF, axis=3)
        painted = gray[:, None] + np.where(gray[:, None] != 255, background, np.float32(0))
        return np.rint(np.minimum(painted, 255)).astype(np.uint8)

    def inputs(self) -> Inputs:
        """Divided by 255 once or twice, not centred."""
        return Inputs((3, 28, 28), divide=255.0 * 255.0 if self.params.input_scaling == "double" else 255.0)

    def backbone(self) -> Backbone:
        """An MLP 2352-100-100-100-10."""
        return Backbone("tasks.backbones.mlp:mlp", {"widths": [100, 100, 100]})

    def recipe(self, rho: float | None) -> Recipe:
        """Adam, as DebiAN."""
        del rho
        return Recipe(optimizer="adam", learning_rate=1e-3, weight_decay=1e-4, batch_size=256, epochs=100)


def _ratios(digit: int, rho: float) -> npt.NDArray[np.float64]:
    """``rho`` for the aligned value, the rest spread evenly: (10,)."""
    row = np.full(CLASSES, (1 - rho) / (CLASSES - 1))
    row[digit] = rho
    return row
