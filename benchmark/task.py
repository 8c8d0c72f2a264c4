"""What a task is: a named biased data set at a level rho, with its backbone and reference recipe.

Nothing here imports torch: tasks give NumPy arrays, and name their backbone by an import path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from benchmark.counts import Groups
from benchmark.protocol import Protocol

Layout = Literal["contiguous", "channels_last"]
SplitName = Literal["train", "unbiased", "val_biased", "val_unbiased", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "unbiased", "val_biased", "val_unbiased", "test")
EVALUATED: tuple[SplitName, ...] = ("val_biased", "val_unbiased", "test")
"""The splits on which every candidate is scored."""


@dataclass(frozen=True)
class NoParams:
    """Parameters of a task or a method that has none."""


@dataclass(frozen=True)
class Bias:
    """One bias attribute b.

    Attributes:
        name: What it is, for tables and pictures ("background colour").
        values: How many values it takes (K).
        aligned: For each class y, the value of b that the biased training set pairs with it.
    """

    name: str
    values: int
    aligned: tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """One split of a task.

    Attributes:
        x: Inputs, uint8 images (N, channels, height, width) or int tokens (N, length), filled up with -1 where an
            input is shorter; any array with integer indexing.
        y: Targets, int64 (N,).
        b: Bias attributes, int64 (N, number of biases); a task without bias labels has width 0.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    b: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        if not len(self.x) == len(self.y) == len(self.b) or self.b.ndim != 2:
            raise ValueError(
                "a split needs equally many x, y and b, and b as (N, biases); "
                f"got shapes {self.x.shape}, {self.y.shape}, {self.b.shape}"
            )

    def __len__(self) -> int:
        """How many samples."""
        return len(self.y)


@dataclass(frozen=True)
class Recipe:
    """A reference training recipe: how the authors train the vanilla network of a task.

    Attributes:
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        learning_rate: Initial learning rate.
        momentum: For ``sgd``.
        weight_decay: As torch's optimisers apply it: an L2 penalty, or for ``adamw`` decoupled from the gradient.
        batch_size: Samples per step.
        epochs: Passes over the training set.
        schedule: ``constant``, ``step`` (times ``decay`` at each milestone) or ``cosine`` (to 0 over the epochs).
        milestones: Epochs after which ``step`` decays.
        decay: Factor at each milestone.
        augment: Batched augmentation of the inputs: ``none``, ``flip`` or ``crop_flip`` (pad 4).
    """

    optimizer: Literal["sgd", "adam", "adamw"]
    learning_rate: float
    batch_size: int
    epochs: int
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "cosine"] = "constant"
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    augment: Literal["none", "flip", "crop_flip"] = "none"

    def under(self, protocol: Protocol) -> Recipe:
        """The same recipe with epochs and milestones scaled to the protocol's budget."""
        epochs = protocol.epochs(self.epochs)
        milestones = tuple(round(m * epochs / self.epochs) for m in self.milestones) if self.epochs else ()
        return replace(self, epochs=epochs, milestones=milestones)


@dataclass(frozen=True)
class Inputs:
    """How stored inputs become network inputs: ``(x / divide - mean) / std`` per channel; tokens pass unchanged.

    Attributes:
        shape: Of one input: (channels, height, width), or (length,) for tokens.
        divide: What uint8 values are divided by.
        mean: Per channel, after the division.
        std: Per channel, after the division.
    """

    shape: tuple[int, ...]
    divide: float = 255.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Backbone:
    """The network of a task, by the import path of what builds it.

    Attributes:
        factory: ``"package.module:callable"``; called as ``factory(inputs, classes, **options)``, it returns a
            :class:`benchmark.network.Network`.
        options: Further keyword arguments.
        layout: How images lie in memory; ``channels_last`` makes convolutions faster, dense layers slower.
    """

    factory: str
    options: dict[str, Any] = field(default_factory=dict)
    layout: Layout = "contiguous"


@dataclass(frozen=True)
class Work:
    """About how much there is to compute on a task. Only guesses of time rest on it.

    Attributes:
        samples: Of the training set, before a protocol caps it.
        macs: Multiply-accumulates of the reference network for one input.
    """

    samples: int
    macs: int


@dataclass(frozen=True)
class Setting:
    """Which version of a task's data is asked for.

    Attributes:
        rho: Share of bias-aligned training samples; ``None`` for a task at its natural level.
        seed: The cell's seed; data is the same for all methods of a seed.
        protocol: Caps the number of samples.
        root: Folder that holds the owners' data sets (``--data``, ``DEBIAS_BENCH_DATA``).
    """

    rho: float | None
    seed: int
    protocol: Protocol
    root: Path


class Task(ABC):
    """A biased data set. Subclass, fill the class variables, implement the abstract methods, register.

    An instance carries resolved parameters and is cheap: data is read only when a split is asked for.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """Raise it whenever the same parameters would give other data: old records become stale, not wrong."""
    title: ClassVar[str]
    summary: ClassVar[str]
    target: ClassVar[str]
    """What y is."""
    classes: ClassVar[tuple[str, ...]]
    """Names of the target's values."""
    biases: ClassVar[tuple[Bias, ...]]
    marks: ClassVar[tuple[Bias, ...]] = ()
    """Where evaluated splits are counted by others than ``biases``: attributes of the values 0 and 1, several of which
    may be 1 in one sample. Their splits have ``b`` (N, marks), the others (N, biases)."""
    rhos: ClassVar[tuple[float, ...]]
    """The levels in use in the literature; empty for a task at its natural level only."""
    splits: ClassVar[tuple[SplitName, ...]] = SPLITS
    """The splits that exist; a task without bias labels has no unbiased ones."""
    fixed_train: ClassVar[bool] = False
    """Whether the owner's training split is taken as it is, so that it is the same for all seeds."""
    headline: ClassVar[str] = "unbiased_accuracy"
    """The metric (:mod:`benchmark.metrics`) by which the literature compares methods on this task."""
    Params: ClassVar[type[Any]] = NoParams
    """A frozen dataclass of the task's parameters, each with its default."""

    def __init__(self, params: Any) -> None:
        """``params`` is an instance of ``Params``."""
        self.params = params

    @abstractmethod
    def split(self, name: SplitName, setting: Setting) -> Split:
        """Build one split, and nothing of the others.

        Raises:
            DataMissingError: The data set's files are not under ``setting.root``.
            DataCorruptError: They are there but damaged.
        """

    def labels(self, name: SplitName, setting: Setting) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Targets (N,) and bias attributes (N, biases) of a split's samples, in any order.

        For counting them: tasks whose inputs take long to make say them without making any.
        """
        split = self.split(name, setting)
        return split.y, split.b

    def redraw(self, name: SplitName, setting: Setting, b: npt.NDArray[np.int64]) -> Split | None:
        """The samples of a split with bias values ``b`` (N, biases) and nothing else changed.

        With the split's own bias values it is the split itself. ``None``, the default: they cannot be redrawn, as
        photographs cannot.
        """
        del name, setting, b
        return None

    @abstractmethod
    def inputs(self) -> Inputs:
        """Shape and normalisation of the inputs."""

    @abstractmethod
    def backbone(self) -> Backbone:
        """The network that the task's vanilla model uses."""

    @abstractmethod
    def recipe(self, rho: float | None) -> Recipe:
        """The reference recipe at this level, as published (before a protocol scales it)."""

    def work(self) -> Work | None:
        """About how much there is to compute, said without reading data or building a network; ``None``: unknown."""
        return None

    @classmethod
    def resolve(cls, params: Any, root: Path, protocol: Protocol) -> Any:
        """Replace parameters that mean "whatever fits" (such as ``source: auto``) by what it is here.

        Called when a sweep is planned, so that the choice is part of the key. ``params`` and the result are instances
        of ``Params``.
        """
        del root, protocol
        return params

    @classmethod
    def check_rho(cls, rho: float | None) -> str | None:
        """Why this task cannot be built at this level, or ``None``."""
        if not cls.rhos:
            return None if rho is None else f"{cls.name} exists at its natural level only; leave rho out"
        if rho is None or not 0 < rho <= 1:
            return f"rho is the share of bias-aligned samples, in (0, 1]; got {rho}"
        return None


def columns_of(task: Task, name: SplitName) -> tuple[Bias, ...]:
    """The attributes in the columns of a split's ``b``."""
    return task.marks if task.marks and name in EVALUATED else task.biases


def groups_of(task: Task) -> Groups:
    """The axes of a task's count tables."""
    biases = columns_of(task, "test")
    return Groups(
        classes=len(task.classes),
        bias_names=tuple(bias.name for bias in biases),
        bias_values=tuple(bias.values for bias in biases),
        aligned=tuple(bias.aligned for bias in biases),
        overlapping=bool(task.marks),
    )
