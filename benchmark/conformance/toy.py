"""A toy task for checking methods: striped patches whose colour gives the class away; a cell takes a second.

It can be built with parts of its data exchanged, to find out what a method looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.randomness import numpy_stream
from benchmark.task import Backbone, Bias, Inputs, Recipe, Setting, Split, SplitName, Task

CLASSES = 3
SIZES: dict[SplitName, int] = {"train": 240, "unbiased": 120, "val_biased": 60, "val_unbiased": 60, "test": 90}
Exchanged = Literal["", "train_bias", "unbiased", "evaluation"]


@dataclass(frozen=True)
class ToyParams:
    """What is exchanged for other data.

    Attributes:
        exchanged: ``train_bias``: the bias labels of train are shuffled, its images stay; ``unbiased``: the unbiased
            split holds other samples; ``evaluation``: validation and test do.
    """

    exchanged: Exchanged = ""


class ToyTask(Task):
    """Three orientations of noisy stripes, in three colours."""

    name = "conformance_toy"
    version = 1
    title = "Toy"
    summary = "Striped patches whose colour goes with the orientation."
    target = "orientation"
    classes = ("horizontal", "vertical", "diagonal")
    biases = (Bias("colour", CLASSES, (0, 1, 2)),)
    rhos = (0.9,)
    Params = ToyParams

    def split(self, name: SplitName, setting: Setting) -> Split:
        """Draw the samples of a split."""
        exchanged = self.params.exchanged
        other = (exchanged == "unbiased" and name == "unbiased") or (
            exchanged == "evaluation" and name not in ("train", "unbiased")
        )
        draws = numpy_stream("toy", name, setting.rho, setting.seed, other)
        n = SIZES[name]
        y = draws.integers(0, CLASSES, n)
        share = setting.rho if name in ("train", "val_biased") and setting.rho is not None else 1 / CLASSES
        b = np.where(draws.random(n) < share, y, (y + draws.integers(1, CLASSES, n)) % CLASSES)
        rows, columns = np.mgrid[:6, :6]
        stripes = np.stack([rows % 2, columns % 2, (rows + columns) % 2])[y]
        x = 20 + 60 * draws.random((n, CLASSES, 6, 6)) + 60 * stripes[:, None]
        x[np.arange(n), b] += 100 * stripes
        if exchanged == "train_bias" and name == "train":
            b = draws.permutation(b)
        return Split(x.astype(np.uint8), y, b[:, None])

    def inputs(self) -> Inputs:
        """Three channels in 0..1."""
        return Inputs((CLASSES, 6, 6))

    def backbone(self) -> Backbone:
        """An MLP with two maskable layers."""
        return Backbone("tasks.backbones.mlp:mlp", {"widths": [16, 16]})

    def recipe(self, rho: float | None) -> Recipe:
        """Adam for up to 40 epochs."""
        del rho
        return Recipe("adam", learning_rate=3e-3, batch_size=40, epochs=40)
