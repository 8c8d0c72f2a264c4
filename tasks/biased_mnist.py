"""Biased-MNIST (Bahng et al., Learning De-biased Representations with Biased Representations, ICML 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmark.task import Backbone, Bias, Inputs, Recipe
from tasks.digits import CLASSES, DigitParams, DigitTask
from tasks.partition import IntArray

PALETTE = np.array(
    [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (225, 225, 0),
        (225, 0, 225),
        (0, 255, 255),
        (255, 128, 0),
        (255, 0, 128),
        (128, 0, 255),
        (128, 128, 128),
    ],
    dtype=np.uint8,
)
"""Background colour of bias value 0 to 9, RGB."""


@dataclass(frozen=True)
class BiasedMnistParams(DigitParams):
    """Parameters of Biased-MNIST.

    Attributes:
        activation: After the last block of the network: ``tanh`` (FFW, BISE) or ``relu`` (ReBias).
    """

    activation: Literal["tanh", "relu"] = "tanh"


class BiasedMnist(DigitTask):
    """Digits on a coloured background: every pixel above 0 is white, every pixel at 0 takes the colour.

    Of the n images of a class, int(n rho) get the colour of the class; the rest is cut into chunks of ceil(rest / 9)
    over the nine other colours in random order, so that the last colour may get fewer images, or none.
    """

    name = "biased_mnist"
    version = 1
    title = "Biased-MNIST"
    summary = "Digits whose background colour goes with the class."
    biases = (Bias("background colour", CLASSES, tuple(range(CLASSES))),)
    rhos = (0.99, 0.995, 0.997, 0.999, 0.1)
    Params = BiasedMnistParams

    def bias_counts(self, digit: int, n: int, rhos: tuple[float, ...], draws: np.random.Generator) -> IntArray:
        """int(n rho) aligned, chunks of ceil(rest / 9) of the rest."""
        counts = np.zeros(CLASSES, dtype=np.int64)
        counts[digit] = int(n * rhos[0])
        rest = n - int(counts[digit])
        chunk = -(-rest // (CLASSES - 1))
        for colour in draws.permutation(np.delete(np.arange(CLASSES), digit)):
            counts[colour] = min(chunk, rest)
            rest -= int(counts[colour])
        return counts

    def colours(self, b: IntArray, draws: np.random.Generator) -> npt.NDArray[Any]:
        """Background colours (N, 3), uint8; nothing is drawn."""
        del draws
        return PALETTE[b[:, 0]]

    def paint(self, gray: npt.NDArray[np.uint8], colours: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """White digits on the colours; no value is rounded."""
        return np.where(gray[:, None] > 0, np.uint8(255), colours[:, :, None, None])

    def inputs(self) -> Inputs:
        """Mean and standard deviation .5, as ReBias."""
        return Inputs((3, 28, 28), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    def backbone(self) -> Backbone:
        """Four 7x7 convolutions without pooling."""
        return Backbone("tasks.backbones.convnet:simple_convnet", {"last_activation": self.params.activation})

    def recipe(self, rho: float | None) -> Recipe:
        """SGD as published by FFW and BISE, which moves both milestones back where rho is above .995."""
        return Recipe(
            optimizer="sgd",
            learning_rate=0.1,
            momentum=0.9,
            weight_decay=1e-4,
            batch_size=100,
            epochs=80,
            schedule="step",
            milestones=(80, 90) if rho is not None and rho > 0.995 else (40, 60),
        )
