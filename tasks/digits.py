"""What the tasks on coloured MNIST digits share: which images belong to which split, and who gets which colour.

The partition of the images depends on (source, seed), the test images on the source alone; colours depend on (task,
split, rho, seed), those of the test split on (task) alone. So a task has one test set, whatever is trained on.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmark.errors import ConfigError
from benchmark.protocol import Protocol
from benchmark.randomness import numpy_stream
from benchmark.task import Setting, Split, SplitName, Task, Work
from tasks.partition import IntArray, by_value, cut, evenly, proportionally, shuffled, sizes
from tasks.sources import mnist
from tasks.work import macs_of

DigitSource = Literal["auto", "complete", "embedded"]

CLASSES = 10
UNBIASED = 0.1
"""The rho at which every colour is equally likely."""
TEST_SIZE = {"complete": 10_000, "embedded": 1_000}
HELD_OUT_SIZE = {"complete": 5_000, "embedded": 500}
"""Of the validation images, and of the images of the unbiased split."""
TRAIN_SIZE = {"complete": 50_000, "embedded": 3_000, "auto": 50_000}
CHUNK = 2048
"""Images painted at a time: bounds the memory of floating-point intermediates to some 20 MB."""


@dataclass(frozen=True)
class DigitParams:
    """Parameters of every task on MNIST digits.

    Attributes:
        source: ``complete`` MNIST from the data root, the 5,000 ``embedded`` digits, or ``auto``: the complete ones if
            they are there.
    """

    source: DigitSource = "auto"


class DigitTask(Task):
    """A task that colours MNIST digits. Subclasses say how many get which colour, and how they are painted.

    Complete MNIST: the official 10,000 test images are test; of the 60,000 others 50,000 train, 5,000 validate (the
    same images coloured twice, for ``val_biased`` and ``val_unbiased``) and 5,000 are the ``unbiased`` split, all
    stratified by class. The embedded digits: 100 of each class test, 50 validate, 50 unbiased, 300 train.

    A protocol's cap takes the images evenly over the classes before they are coloured, so that the share of aligned
    samples is the asked one under every cap.
    """

    target = "digit"
    classes = tuple("0123456789")
    Params = DigitParams

    @abstractmethod
    def bias_counts(self, digit: int, n: int, rhos: tuple[float, ...], draws: np.random.Generator) -> IntArray:
        """How many of the ``n`` images of a digit get each combination of bias values.

        Args:
            digit: The class.
            n: Its images in this split.
            rhos: The share of aligned samples per bias attribute.
            draws: For what the counts leave open.

        Returns:
            Counts (combinations,), row-major over the bias attributes, with the sum ``n``.
        """

    @abstractmethod
    def colours(self, b: IntArray, draws: np.random.Generator) -> npt.NDArray[Any]:
        """The colours of images with bias values ``b`` (N, biases), as :meth:`paint` takes them: (N, …)."""

    @abstractmethod
    def paint(self, gray: npt.NDArray[np.uint8], colours: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Colour ``gray`` images (N, 28, 28): (N, 3, 28, 28)."""

    def work(self) -> Work | None:
        """Of what is left of the images when validation, test and the unbiased split are set aside."""
        macs = macs_of(self.backbone(), self.inputs(), len(self.classes))
        return None if macs is None else Work(TRAIN_SIZE[self.params.source], macs)

    def rhos_per_bias(self, rho: float) -> tuple[float, ...]:
        """The share of aligned samples per bias attribute at the task's level ``rho``."""
        return (rho,)

    @classmethod
    def resolve(cls, params: Any, root: Path, protocol: Protocol) -> Any:
        """Replace ``source: auto`` by what is there."""
        del protocol
        return replace(params, source=resolve_source(params.source, root))

    def split(self, name: SplitName, setting: Setting) -> Split:
        """Choose the images of a split, give out the bias values, and paint."""
        return self._drawn(name, setting, None)

    def redraw(self, name: SplitName, setting: Setting, b: IntArray) -> Split:
        """Paint the images of a split in other colours, with the same jitter."""
        return self._drawn(name, setting, b)

    def _drawn(self, name: SplitName, setting: Setting, b: IntArray | None) -> Split:
        """A split with the bias values ``b``, or with its own."""
        rho, reason = setting.rho, self.check_rho(setting.rho)
        if rho is None or reason is not None:
            raise ConfigError(f"{self.name}: {reason}")
        cap = setting.protocol.max_train if name == "train" else setting.protocol.max_eval
        images, y = choose(name, resolve_source(self.params.source, setting.root), setting.seed, setting.root, cap)
        biased = name in ("train", "val_biased")
        rhos = self.rhos_per_bias(rho) if biased else (UNBIASED,) * len(self.biases)
        stream = (self.name, name) if name == "test" else (self.name, name, float(rho), setting.seed)
        if b is None:
            b = self._bias_values(y, rhos, numpy_stream("colour", *stream))
        colours = self.colours(b, numpy_stream("jitter", *stream))
        x = np.empty((len(b), 3, *images.shape[1:]), dtype=np.uint8)
        for start in range(0, len(b), CHUNK):
            part = slice(start, start + CHUNK)
            x[part] = self.paint(images[part], colours[part])
        return Split(x, y, b)

    def _bias_values(self, y: IntArray, rhos: tuple[float, ...], draws: np.random.Generator) -> IntArray:
        """Bias values (N, biases) with exactly the wanted counts per class, in random order."""
        combination = np.empty(len(y), dtype=np.int64)
        for digit in range(CLASSES):
            of_digit = np.flatnonzero(y == digit)
            counts = self.bias_counts(digit, len(of_digit), rhos, draws)
            combination[of_digit] = draws.permutation(np.repeat(np.arange(len(counts)), counts))
        values = np.unravel_index(combination, tuple(bias.values for bias in self.biases))
        return np.stack(values, axis=1).astype(np.int64)


def resolve_source(source: DigitSource, root: Path) -> DigitSource:
    """What ``auto`` means under ``root``.

    A folder with only some of the files counts as complete MNIST: reading it then says what is missing, where a silent
    step down to the embedded digits would change every number.
    """
    if source != "auto":
        return source
    return "complete" if mnist.started(root) else "embedded"


def choose(
    name: SplitName, source: DigitSource, seed: int, root: Path, cap: int | None
) -> tuple[npt.NDArray[np.uint8], IntArray]:
    """The grey images (N, 28, 28) of a split and their labels (N,), in a fixed random order.

    Args:
        name: The split; both validation splits get the same images.
        source: ``complete`` or ``embedded``.
        seed: Of the partition; the test images do not depend on it.
        root: Of the complete data.
        cap: At most so many images, evenly over the classes.
    """
    pool = mnist.embedded() if source == "embedded" else mnist.complete(root, "t10k" if name == "test" else "train")
    queues = partition(name, source, pool.labels, seed)
    if cap is not None:
        queues, _ = cut(queues, evenly(sizes(queues), cap))
    part = ("test",) if name == "test" else ("held out" if name.startswith("val_") else name, seed)
    index = numpy_stream("order", source, *part).permutation(np.concatenate(queues))
    return pool.images[index], pool.labels[index]


def partition(name: SplitName, source: DigitSource, labels: IntArray, seed: int) -> list[IntArray]:
    """The images of a split: for each class, their indices in the pool, shuffled.

    Args:
        name: The split.
        source: ``complete``: the pool is MNIST's test file for the test split and its training file for all others;
            ``embedded``: the pool is always the same.
        labels: Of the pool (N,).
        seed: Which of the images outside the test split train.
    """
    rest = by_value(labels, CLASSES)
    if source == "embedded" or name == "test":
        rest = shuffled(rest, "partition", source, "test")
        test, rest = cut(rest, proportionally(sizes(rest), TEST_SIZE[source]))
        if name == "test":
            return test
    rest = shuffled(rest, "partition", source, seed)
    validation, rest = cut(rest, proportionally(sizes(rest), HELD_OUT_SIZE[source]))
    unbiased, train = cut(rest, proportionally(sizes(rest), HELD_OUT_SIZE[source]))
    return {"train": train, "unbiased": unbiased}.get(name, validation)
