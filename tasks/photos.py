"""What the tasks on photographs share: the choice of network, and folders of files read through the image cache."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from benchmark.errors import ConfigError, DataCorruptError
from benchmark.notes import NOTES
from benchmark.task import Backbone, Inputs, Recipe, Setting, Split, SplitName, Task, Work
from tasks.image_cache import ImageCache
from tasks.partition import IntArray, capped, grouped
from tasks.sources.folders import ManualSource, image_names, labels_of
from tasks.work import macs_of

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAMPLED_FILES = 64
"""How many files' sizes tell one copy of a data set from another."""
DECODING = 1
"""Raise it whenever :func:`decoded` would give other pixels."""


@dataclass(frozen=True)
class PhotoParams:
    """Parameters of every task on photographs.

    Attributes:
        backbone: ``resnet18``, the network of the literature, or ``efficientnet_lite0``, a smaller one whose ImageNet
            weights come as an installable package, for machines without network.
        weights: Where training starts: ``imagenet``, ``none`` (at random), or the path of a state dict.
    """

    backbone: Literal["resnet18", "efficientnet_lite0"] = "resnet18"
    weights: str = "imagenet"

    def network(self) -> Backbone:
        """The chosen network."""
        options = {} if self.weights == "none" else {"weights": self.weights}
        module = "resnet" if self.backbone == "resnet18" else "efficientnet"
        return Backbone(f"tasks.backbones.{module}:{self.backbone}", options, layout="channels_last")


@dataclass(frozen=True)
class FolderParams(PhotoParams):
    """Parameters of tasks whose images lie in folders.

    Attributes:
        size: Height and width in pixels to which images are resized, whatever their shape.
    """

    size: int = 224


@dataclass(frozen=True)
class Listing:
    """The images of a raw data set and what is known of them.

    Attributes:
        folder: Where they are.
        files: Their paths in ``folder``, in an order that depends on nothing but their names.
        y: Targets (N,).
        b: Bias attributes (N, biases).
        part: Which of the owner's parts each belongs to (N,), as the source numbers them.
    """

    folder: Path
    files: Sequence[str]
    y: IntArray
    b: IntArray
    part: IntArray

    def groups(self, rows: IntArray) -> list[IntArray]:
        """``rows`` (M,) by their (y, b), in the order of these values; only groups that have any."""
        return grouped(np.column_stack([self.y, self.b]), rows)


class FolderTask(Task):
    """A task on images in folders. Subclasses list the images, and say which of them make a split."""

    Params = FolderParams
    parts: ClassVar[tuple[str, ...]] = ()
    """What the owner calls the parts that :attr:`Listing.part` numbers."""

    train_size: ClassVar[int]
    """About how many training images there are."""

    @abstractmethod
    def listing(self, setting: Setting) -> Listing:
        """All images of the data set."""

    @abstractmethod
    def rows(self, name: SplitName, setting: Setting, listing: Listing) -> IntArray:
        """The images of a split, as positions in ``listing``."""

    def split(self, name: SplitName, setting: Setting) -> Split:
        """Choose the images of a split; a protocol's cap keeps the share of every group (y, b)."""
        listing, rows = self._chosen(name, setting)
        return Split(self.pictures(listing).images(rows), listing.y[rows], listing.b[rows])

    def labels(self, name: SplitName, setting: Setting) -> tuple[IntArray, IntArray]:
        """Of the images of a split; none is opened."""
        listing, rows = self._chosen(name, setting)
        return listing.y[rows], listing.b[rows]

    def _chosen(self, name: SplitName, setting: Setting) -> tuple[Listing, IntArray]:
        if (reason := self.check_rho(setting.rho)) is not None:
            raise ConfigError(f"{self.name}: {reason}")
        if name not in self.splits:
            raise ConfigError(f"{self.name} has no split {name!r}; it has {', '.join(self.splits)}")
        listing = self.listing(setting)
        rows = self.rows(name, setting, listing)
        if not len(rows):
            raise DataCorruptError(f"{listing.folder}: no image is left for {name}; is the data set complete?")
        cap = setting.protocol.max_train if name == "train" else setting.protocol.max_eval
        return listing, capped(rows, listing.groups, cap, self.name, "cap", name, seed_of(name, setting))

    def work(self) -> Work | None:
        """Of the training images."""
        macs = macs_of(self.backbone(), self.inputs(), len(self.classes))
        return None if macs is None else Work(self.train_size, macs)

    def pictures(self, listing: Listing) -> ImageCache:
        """All images of ``listing``, decoded and resized."""
        size: int = self.params.size

        def make(rows: IntArray) -> npt.NDArray[np.uint8]:
            return np.stack([decoded(listing.folder / listing.files[row], size) for row in rows.tolist()])

        identity = {"files": fingerprint(listing), "decoding": DECODING}
        return ImageCache(type(self).__module__.split(".")[-1], identity, len(listing.files), (3, size, size), make)

    def inputs(self) -> Inputs:
        """Normalised by ImageNet's mean and deviation."""
        return Inputs((3, self.params.size, self.params.size), mean=IMAGENET_MEAN, std=IMAGENET_STD)

    def backbone(self) -> Backbone:
        """ResNet-18 with the stem for large images."""
        network: Backbone = self.params.network()
        return network

    def recipe(self, rho: float | None) -> Recipe:
        """Adam over 50 epochs with random flips: BISE's on CelebA, and ours on the faces and actions that have none."""
        del rho
        return Recipe(
            optimizer="adam", learning_rate=1e-4, weight_decay=1e-4, batch_size=256, epochs=50, augment="flip"
        )


def seed_of(name: SplitName, setting: Setting) -> int:
    """What a split's draws depend on: test is the same for all seeds."""
    return 0 if name == "test" else setting.seed


def note_other_sizes(source: ManualSource, names: Mapping[str, Sequence[str]]) -> None:
    """Say which folders hold other numbers of images than the published ones: files may be missing."""
    for problem in source.other_sizes(names):
        NOTES.warning("%s; `debias-bench data verify %s` says more", problem, source.name)


def labelled_files(source: ManualSource, folder: Path, parts: Sequence[str], values: int) -> Listing:
    """The images called ``<id>_<target>_<bias>.png`` in the subfolders ``parts``, part 0, part 1 and so on.

    Args:
        source: Whose files they are.
        folder: Of the data set.
        parts: Its subfolders; their own subfolders are searched too.
        values: How many values target and bias have.

    Raises:
        DataCorruptError: A name is of another form, or has a label out of range; or a subfolder holds no image.
    """
    names = [[f"{part}/{name}" for name in image_names(folder / part)] for part in parts]
    if empty := [part for part, of_part in zip(parts, names, strict=True) if not of_part]:
        raise DataCorruptError(f"{folder / empty[0]} holds no image; copy it again")
    note_other_sizes(source, {f"{folder.name}/{part}": of_part for part, of_part in zip(parts, names, strict=True)})
    files = [name for of_part in names for name in of_part]
    labels = np.array([labels_of(name, folder, values, values) for name in files], dtype=np.int64).reshape(-1, 2)
    part = np.repeat(np.arange(len(parts)), [len(of_part) for of_part in names])
    return Listing(folder, files, labels[:, 0], labels[:, 1:], part)


def decoded(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """An image file as uint8 (3, size, size): RGB, resized bilinearly without keeping its shape.

    Raises:
        DataCorruptError: It is not there, is truncated, or is no image.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataCorruptError(f"{path} cannot be read as an image: {error}; copy the file again") from error
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def fingerprint(listing: Listing) -> str:
    """Tells a data set from another: by the names of its files, and the sizes of some of them.

    Where it lies does not count, so that a copy on a node's own disk shares the cache. All sizes would cost a minute on
    a slow file system. Images edited in place are not noticed: delete the cache.
    """
    content = hashlib.sha256("\n".join(listing.files).encode())
    for place in np.linspace(0, len(listing.files) - 1, SAMPLED_FILES).astype(int):
        path = listing.folder / listing.files[place]
        try:
            content.update(f"{listing.files[place]} {path.stat().st_size}".encode())
        except OSError as error:
            raise DataCorruptError(f"{path} is listed and cannot be found: {error}; copy the data set again") from error
    return content.hexdigest()
