"""A task whose pixels are its labels: pixel 0 the target, pixels 1 and 2 two bias attributes, pixel 3 noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from benchmark.diagnostics.subject import Subject
from benchmark.network import Network
from benchmark.protocol import PROTOCOLS
from benchmark.randomness import numpy_stream
from benchmark.runner import groups_of
from benchmark.task import Backbone, Bias, Inputs, NoParams, Recipe, Setting, Split, SplitName, Task

CLASSES = 3
SAMPLES = 300
SETTING = Setting(0.9, 0, PROTOCOLS["smoke"], Path("nowhere"))


class PixelTask(Task):
    name = "pixels"
    version = 1
    title = "Pixels"
    summary = "Labels as pixels."
    target = "first pixel"
    classes = ("0", "1", "2")
    biases = (Bias("left", CLASSES, (0, 1, 2)), Bias("right", CLASSES, (1, 2, 0)))
    rhos = (0.9,)

    def split(self, name: SplitName, setting: Setting) -> Split:
        draws = numpy_stream(name)
        y, b = draws.integers(CLASSES, size=SAMPLES), draws.integers(CLASSES, size=(SAMPLES, 2))
        return self._split(name, y, b)

    def redraw(self, name: SplitName, setting: Setting, b: npt.NDArray[np.int64]) -> Split:
        return self._split(name, self.split(name, setting).y, b)

    def _split(self, name: SplitName, y: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Split:
        noise = numpy_stream(name, "noise").integers(0, 200, len(y))
        x = np.stack([100 * y, 100 * b[:, 0], 100 * b[:, 1], noise], 1).astype(np.uint8)
        return Split(x.reshape(-1, 1, 2, 2), y, b)

    def inputs(self) -> Inputs:
        return Inputs((1, 2, 2), divide=100.0)

    def backbone(self) -> Backbone:
        return Backbone("tasks.backbones.mlp:mlp", {"widths": [6, 5]})

    def recipe(self, rho: float | None) -> Recipe:
        return Recipe("sgd", 0.1, 10, 1)


class Photographs(PixelTask):
    """The same without a way to redraw."""

    def redraw(self, name: SplitName, setting: Setting, b: npt.NDArray[np.int64]) -> None:
        return None


class Reader(Network):
    """Predicts one pixel's label; z shows some pixels as one-hot labels and hides the others."""

    def __init__(self, pixel: int, shown: tuple[int, ...]) -> None:
        super().__init__(Shown(shown), nn.Linear(CLASSES * len(shown), CLASSES, bias=False))
        with torch.no_grad():
            self.classifier.weight.zero_()
            at = CLASSES * shown.index(pixel)
            self.classifier.weight[:, at : at + CLASSES] = torch.eye(CLASSES)


class Shown(nn.Module):
    def __init__(self, pixels: tuple[int, ...]) -> None:
        super().__init__()
        self.pixels = list(pixels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        labels = x.flatten(1)[:, self.pixels].round().long()
        return nn.functional.one_hot(labels, CLASSES).flatten(1).float()


MakeSubject = Callable[..., Subject]


@pytest.fixture
def subject_of() -> MakeSubject:
    """``subject_of(after, before=None, task=PixelTask)``."""

    def make(after: nn.Module, before: Network | None = None, task: type[Task] = PixelTask) -> Subject:
        chosen = task(NoParams())
        return Subject(chosen, SETTING, groups_of(chosen), after, before, torch.device("cpu"))

    return make


@pytest.fixture
def reader() -> type[Reader]:
    """``reader(pixel, shown)``: a network that predicts a pixel (0 target, 1 left, 2 right) and shows some in z."""
    return Reader


@pytest.fixture
def photographs() -> type[Task]:
    """The task whose images cannot be redrawn."""
    return Photographs
