"""Colored-MNIST (Nam et al., Learning from Failure, NeurIPS 2020), as used by DeNetDM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmark.task import Backbone, Bias, Inputs, Recipe
from tasks.digits import CLASSES, DigitParams, DigitTask
from tasks.partition import IntArray, aligned_and_others

MEAN_COLOURS = np.array(
    [
        (0.9837, 0.3125, 0.1686),
        (0.9905, 0.9156, 0.3515),
        (0.6730, 0.4611, 0.5798),
        (0.7833, 0.8316, 0.6013),
        (0.0880, 0.7780, 0.9818),
        (0.3214, 0.9611, 0.4464),
        (0.0246, 0.2357, 0.7587),
        (0.5552, 0.1016, 0.7618),
        (0.2077, 0.3929, 0.0187),
        (0.8337, 0.2024, 0.2669),
    ],
    dtype=np.float32,
)
"""Colour of bias value 0 to 9, RGB in 0..1."""
SIGMAS = (0.05, 0.02, 0.01, 0.005, 0.002)
"""Standard deviation of the colour's jitter at severity 1 to 5."""


def jittered(mean: npt.NDArray[np.float32], sigma: float, draws: np.random.Generator) -> npt.NDArray[np.float32]:
    """Colours (N, 3) with independent normal noise, one draw per image and channel, clamped to 0..1."""
    noise = draws.normal(0.0, sigma, mean.shape).astype(np.float32)
    clamped: npt.NDArray[np.float32] = np.clip(mean + noise, 0, 1)
    return clamped


@dataclass(frozen=True)
class ColoredMnistParams(DigitParams):
    """Parameters of Colored-MNIST.

    Attributes:
        severity: Index into ``SIGMAS``: the higher, the purer the colours.
    """

    severity: Literal[1, 2, 3, 4, 5] = 4


class ColoredMnist(DigitTask):
    """Coloured digits on black: clamp(colour[b] + N(0, sigma), 0, 1) * gray, one draw of the colour per image.

    Of the n images of a class, round(n rho) get the colour of the class; the rest is spread evenly over the nine
    other colours, the odd ones at random. Values are rounded to uint8 (the authors' released code truncates them).
    """

    name = "colored_mnist"
    version = 1
    title = "Colored-MNIST"
    summary = "Digits whose own colour goes with the class."
    biases = (Bias("digit colour", CLASSES, tuple(range(CLASSES))),)
    rhos = (0.95, 0.98, 0.99, 0.995)
    Params = ColoredMnistParams

    def bias_counts(self, digit: int, n: int, rhos: tuple[float, ...], draws: np.random.Generator) -> IntArray:
        """round(n rho) aligned, the others equal or one apart."""
        return aligned_and_others(n, rhos[0], digit, CLASSES, draws)

    def colours(self, b: IntArray, draws: np.random.Generator) -> npt.NDArray[Any]:
        """Digit colours (N, 3), float32 in 0..1."""
        return jittered(MEAN_COLOURS[b[:, 0]], SIGMAS[self.params.severity - 1], draws)

    def paint(self, gray: npt.NDArray[np.uint8], colours: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """The colour times the grey value, rounded."""
        values: npt.NDArray[np.float32] = gray[:, None] * colours[:, :, None, None]
        return np.rint(values).astype(np.uint8)

    def inputs(self) -> Inputs:
        """In 0..1, not centred."""
        return Inputs((3, 28, 28))

    def backbone(self) -> Backbone:
        """DeNetDM's target network: five layers of width 100."""
        return Backbone("tasks.backbones.mlp:mlp", {"widths": [100, 100, 100, 100]})

    def recipe(self, rho: float | None) -> Recipe:
        """Adam; the weight decay of 1e-3 comes closest to the published vanilla rows, which do not state it."""
        del rho
        return Recipe(optimizer="adam", learning_rate=1e-3, weight_decay=1e-3, batch_size=64, epochs=100)
