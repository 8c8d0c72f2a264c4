"""Corrupted CIFAR-10 (Nam et al., Learning from Failure, NeurIPS 2020)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmark.errors import ConfigError
from benchmark.protocol import Protocol
from benchmark.randomness import Dimension, numpy_stream
from benchmark.task import Backbone, Bias, Inputs, Recipe, Setting, Split, SplitName, Task, Work
from tasks.corruptions import TYPE0, TYPE1, corrupt
from tasks.image_cache import ImageCache
from tasks.partition import IntArray, aligned_and_others, by_value, cut, evenly, proportionally, shuffled, sizes
from tasks.photos import PhotoParams
from tasks.sources import cifar10
from tasks.sources.cifar10_layouts import COUNTS, Part, Photos
from tasks.work import macs_of

CLASSES = len(cifar10.CLASSES)
UNBIASED = 1 / CLASSES
HELD_OUT_SIZE = 2_500
TRAIN_SIZE = 45_000
"""Of the validation images, and of the images of the unbiased split."""
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)

RECIPE = Recipe(
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=1e-4,
    batch_size=256,
    epochs=200,
    schedule="cosine",
    augment="crop_flip",
)


@dataclass(frozen=True)
class CorruptedCifar10Params(PhotoParams):
    """Parameters of Corrupted CIFAR-10.

    Attributes:
        kind: Which ten corruptions: 0 or 1.
        severity: Of CIFAR-10-C.
        source: In which layout CIFAR-10 lies under the data root; ``auto`` takes what is there.
    """

    kind: Literal[0, 1] = 0
    severity: Literal[1, 2, 3, 4, 5] = 5
    source: Literal["auto", "torchvision", "binary", "parquet", "parquet_jpeg"] = "auto"


class CorruptedCifar10(Task):
    """Objects under a corruption that goes with the class.

    The official 10,000 test images are test, every corruption equally often in every class, the same for all seeds and
    levels. Of the 50,000 others 45,000 train, 2,500 validate (the same images corrupted twice, for ``val_biased`` and
    ``val_unbiased``) and 2,500 are the ``unbiased`` split, all stratified by class. Of the n images of a class
    round(n rho) get the corruption of the class; the rest is spread evenly over the nine others.

    What an image looks like under a corruption depends on nothing else: seeds and levels choose among the same
    pictures.
    """

    name = "corrupted_cifar10"
    version = 1
    title = "Corrupted CIFAR-10"
    summary = "Objects photographed through a corruption that goes with the class."
    target = "object"
    classes = cifar10.CLASSES
    biases = (Bias("corruption", CLASSES, tuple(range(CLASSES))),)
    rhos = (0.95, 0.98, 0.99, 0.995)
    Params = CorruptedCifar10Params

    @classmethod
    def resolve(cls, params: Any, root: Path, protocol: Protocol) -> Any:
        """Replace ``source: auto`` by the layout that is there; where none is, every cell will say so for itself."""
        del protocol
        if params.source != "auto" or cifar10.Cifar10Source().missing(root):
            return params
        return replace(params, source=cifar10.found(root))

    def split(self, name: SplitName, setting: Setting) -> Split:
        """Choose the images of a split, give out the corruptions, and corrupt what never was before."""
        photos = self._photos(setting)
        index, y, b = self._chosen(name, setting, photos)
        x = self._pictures(photos).images(b * sum(COUNTS.values()) + (COUNTS["train"] if name == "test" else 0) + index)
        return Split(x, y, b[:, None])

    def labels(self, name: SplitName, setting: Setting) -> tuple[IntArray, IntArray]:
        """Of the images of a split; none is corrupted."""
        _, y, b = self._chosen(name, setting, self._photos(setting))
        return y, b[:, None]

    def _photos(self, setting: Setting) -> Photos:
        source = self.params.source
        return cifar10.photos(setting.root, cifar10.found(setting.root) if source == "auto" else source)

    def _chosen(self, name: SplitName, setting: Setting, photos: Photos) -> tuple[IntArray, IntArray, IntArray]:
        """Positions of the images in their official part, their classes, and the corruptions they get (N,)."""
        rho, reason = setting.rho, self.check_rho(setting.rho)
        if rho is None or reason is not None:
            raise ConfigError(f"{self.name}: {reason}")
        part: Part = "test" if name == "test" else "train"
        labels = photos.labels(part)
        cap = setting.protocol.max_train if name == "train" else setting.protocol.max_eval
        index = choose(name, labels, setting.seed, cap)
        y = labels[index]
        biased = name in ("train", "val_biased")
        stream = (self.name, name) if name == "test" else (self.name, name, float(rho), setting.seed)
        return index, y, corruption_of(y, rho if biased else UNBIASED, *stream)

    def _pictures(self, photos: Photos) -> ImageCache:
        """All images under all ten corruptions: row ``60000 * corruption + image``, training images first."""
        names = TYPE1 if self.params.kind else TYPE0
        severity: int = self.params.severity

        train, images = COUNTS["train"], sum(COUNTS.values())

        def make(rows: IntArray) -> npt.NDArray[np.uint8]:
            pictures = np.empty((len(rows), 32, 32, 3), dtype=np.uint8)
            corruption, image = np.divmod(rows, images)
            pictures[image < train] = photos.images("train", image[image < train])
            pictures[image >= train] = photos.images("test", image[image >= train] - train)
            for number in np.unique(corruption):
                chosen = np.flatnonzero(corruption == number)
                pictures[chosen] = corrupt(pictures[chosen], names[number], severity, image[chosen])
            return pictures.transpose(0, 3, 1, 2)

        identity = {"corruptions": names, "severity": severity, "version": self.version, "images": photos.digest}
        return ImageCache(self.name, identity, CLASSES * images, (3, 32, 32), make)

    def inputs(self) -> Inputs:
        """Normalised by CIFAR-10's mean and deviation."""
        return Inputs((3, 32, 32), mean=MEAN, std=STD)

    def backbone(self) -> Backbone:
        """ResNet-18 with the stem for large images."""
        network: Backbone = self.params.network()
        return network

    def work(self) -> Work | None:
        """Of the training images."""
        macs = macs_of(self.backbone(), self.inputs(), CLASSES)
        return None if macs is None else Work(TRAIN_SIZE, macs)

    def recipe(self, rho: float | None) -> Recipe:
        """Adam with a cosine schedule over 200 epochs, random crops and flips."""
        del rho
        return RECIPE


def choose(name: SplitName, labels: IntArray, seed: int, cap: int | None) -> IntArray:
    """The images of a split, as positions in ``labels`` (N,) of their official part, in random order.

    Args:
        name: The split; both validation splits get the same images.
        labels: Of the official test images for ``test``, of the official training images for all others.
        seed: Of the partition; the test images do not depend on it.
        cap: At most so many images, evenly over the classes.
    """
    held_out = ("test",) if name == "test" else ("held out" if name.startswith("val_") else name, seed)
    queues = by_value(labels, CLASSES)
    if name == "test":
        queues = shuffled(queues, "partition", "cifar10", "test")
    else:
        queues = shuffled(queues, "partition", "cifar10", seed)
        validation, queues = cut(queues, proportionally(sizes(queues), HELD_OUT_SIZE))
        unbiased, train = cut(queues, proportionally(sizes(queues), HELD_OUT_SIZE))
        queues = {"train": train, "unbiased": unbiased}.get(name, validation)
    if cap is not None:
        queues, _ = cut(queues, evenly(sizes(queues), cap))
    return numpy_stream("order", "cifar10", *held_out).permutation(np.concatenate(queues))


def corruption_of(y: IntArray, rho: float, *stream: Dimension) -> IntArray:
    """A corruption (N,) for each image of class ``y`` (N,), with the exact share ``rho`` of aligned ones per class."""
    draws = numpy_stream("corruption", *stream)
    b = np.empty_like(y)
    for label, members in enumerate(by_value(y, CLASSES)):
        counts = aligned_and_others(len(members), rho, label, CLASSES, draws)
        b[members] = draws.permutation(np.repeat(np.arange(CLASSES), counts))
    return b
