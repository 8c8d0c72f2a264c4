"""Handwritten digits in a frame; a bright mark in the frame stands, mostly, where it always stands for this digit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from benchmark.errors import ConfigError
from benchmark.randomness import numpy_stream
from benchmark.registry import TASKS
from benchmark.task import Backbone, Bias, Inputs, Recipe, Setting, Split, SplitName, Task

IntArray = npt.NDArray[np.int64]

PLACES = 10
SIDE = 10
"""Of an image: 8 pixels and a frame of one pixel."""
SHARES: dict[str, tuple[float, float]] = {"unbiased": (0.0, 0.2), "validation": (0.2, 0.4), "train": (0.4, 1.0)}
"""What part of the digits outside of test each split takes, in an order that the seed draws."""
TEST = 0.2


@dataclass(frozen=True)
class WatermarkParams:
    """Parameters of the task.

    Attributes:
        brightness: Of the mark.
    """

    brightness: Annotated[int, Meta(ge=1, le=255)] = 255


@TASKS.register
class WatermarkedDigits(Task):
    """A tenth of the frame is bright: with digit d, in a share rho of training, the tenth numbered d."""

    name = "watermarked_digits"
    version = 1
    title = "Watermarked digits"
    summary = "Small handwritten digits; in training, a mark in the frame gives them away."
    target = "digit"
    classes = tuple("0123456789")
    biases = (Bias("place of the mark", PLACES, tuple(range(PLACES))),)
    rhos = (0.9, 0.95, 0.98)
    Params = WatermarkParams

    def split(self, name: SplitName, setting: Setting) -> Split:
        """Choose the digits, draw the places of their marks, and paint these."""
        return self._painted(name, setting, None)

    def redraw(self, name: SplitName, setting: Setting, b: IntArray) -> Split:
        """The same digits with their marks at other places: what counterfactual diagnostics ask for."""
        return self._painted(name, setting, b)

    def inputs(self) -> Inputs:
        """Grey images in 0..1."""
        return Inputs((1, SIDE, SIDE))

    def backbone(self) -> Backbone:
        """An MLP with two hidden layers."""
        return Backbone("tasks.backbones.mlp:mlp", {"widths": [64, 64]})

    def recipe(self, rho: float | None) -> Recipe:
        """Adam for 60 epochs."""
        del rho
        return Recipe(optimizer="adam", learning_rate=1e-3, batch_size=32, epochs=60)

    def _painted(self, name: SplitName, setting: Setting, b: IntArray | None) -> Split:
        rho = setting.rho
        if rho is None or self.check_rho(rho):
            raise ConfigError(f"{self.name}: {self.check_rho(rho)}")
        images, digits = _digits()
        rows = _rows(name, setting, digits)
        if b is None:
            share = rho if name in ("train", "val_biased") else 1 / PLACES
            b = _places(digits[rows], share, name, "" if name == "test" else f"{rho} {setting.seed}")
        x = np.zeros((len(rows), 1, SIDE, SIDE), dtype=np.uint8)
        x[:, 0, 1:-1, 1:-1] = images[rows]
        frame = _frame()
        for place in range(PLACES):
            marked = frame[place * len(frame) // PLACES : (place + 1) * len(frame) // PLACES]
            of_place = np.flatnonzero(b[:, 0] == place)
            x[of_place[:, None], 0, marked[:, 0], marked[:, 1]] = self.params.brightness
        return Split(x, digits[rows], b)


def _rows(name: SplitName, setting: Setting, digits: IntArray) -> IntArray:
    """The digits of a split: test is the same for all seeds; both validation splits take the same ones."""
    everything = numpy_stream("watermark", "test").permutation(len(digits))
    cut = round(TEST * len(digits))
    if name == "test":
        rows = everything[:cut]
    else:
        rest = numpy_stream("watermark", "seed", setting.seed).permutation(everything[cut:])
        first, last = SHARES.get(name, SHARES["validation"])
        rows = rest[round(first * len(rest)) : round(last * len(rest))]
    cap = setting.protocol.max_train if name == "train" else setting.protocol.max_eval
    return rows[:cap]


def _places(digits: IntArray, rho: float, *stream: Any) -> IntArray:
    """A place for each digit (N, 1): exactly a share rho of each class, rounded, gets its own, the rest the others."""
    places = np.empty((len(digits), 1), dtype=np.int64)
    for digit in range(10):
        draws = numpy_stream("watermark", "places", digit, *stream)
        of_digit = draws.permutation(np.flatnonzero(digits == digit))
        aligned = round(rho * len(of_digit))
        others = draws.permutation(np.delete(np.arange(PLACES), digit))
        places[of_digit[:aligned]] = digit
        places[of_digit[aligned:], 0] = np.resize(others, len(of_digit) - aligned)
    return places


def _frame() -> IntArray:
    """The frame's pixels (36, 2), clockwise."""
    last = SIDE - 1
    top = [(0, column) for column in range(last)]
    right = [(row, last) for row in range(last)]
    bottom = [(last, last - column) for column in range(last)]
    left = [(last - row, 0) for row in range(last)]
    return np.array(top + right + bottom + left)


@lru_cache(maxsize=1)
def _digits() -> tuple[npt.NDArray[np.uint8], IntArray]:
    """Images (1797, 8, 8) and their digits (1797,)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return np.round(data.images * (255 / 16)).astype(np.uint8), data.target.astype(np.int64)
