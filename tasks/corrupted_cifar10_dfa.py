"""Corrupted CIFAR-10 as Lee et al. (DFA, NeurIPS 2021) distribute it: corrupted once, as PNG files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmark.task import Bias, Inputs, Recipe, Setting, SplitName
from tasks.corrupted_cifar10 import MEAN, RECIPE, STD
from tasks.partition import IntArray, mixed
from tasks.photos import FolderParams, FolderTask, Listing, labelled_files
from tasks.sources import cifar10
from tasks.sources.cifar10c import FOLDER, LEVELS, Cifar10cSource

PARTS: dict[SplitName, tuple[int, ...]] = {"train": (0, 1), "val_biased": (2,), "test": (3,)}
"""The folders of each split: align, conflict, valid, test."""


@dataclass(frozen=True)
class DistributedParams(FolderParams):
    """Parameters of the distributed Corrupted CIFAR-10: images keep their 32 pixels."""

    size: int = 32


class CorruptedCifar10Dfa(FolderTask):
    """The distributed images: one draw of the corruptions, the same for all seeds; no unbiased images beside test."""

    name = "corrupted_cifar10_dfa"
    version = 1
    train_size = 45_000
    title = "Corrupted CIFAR-10 (DFA's files)"
    summary = "Objects photographed through a corruption that goes with the class, as distributed by DFA's authors."
    target = "object"
    classes = cifar10.CLASSES
    biases = (Bias("corruption", 10, tuple(range(10))),)
    rhos = tuple(LEVELS)
    splits = tuple(PARTS)
    fixed_train = True
    Params = DistributedParams

    @classmethod
    def check_rho(cls, rho: float | None) -> str | None:
        """The release has four levels."""
        return None if rho in LEVELS else f"the distributed levels are {', '.join(map(str, LEVELS))}; got {rho}"

    def listing(self, setting: Setting) -> Listing:
        """The images of a level, and the test images that all levels share."""
        return _listing(setting.root, float(setting.rho or 0))

    def rows(self, name: SplitName, setting: Setting, listing: Listing) -> IntArray:
        """The distributors' folders."""
        del setting
        return mixed(np.flatnonzero(np.isin(listing.part, PARTS[name])), self.name, name)

    def inputs(self) -> Inputs:
        """Normalised by CIFAR-10's mean and deviation."""
        return Inputs((3, self.params.size, self.params.size), mean=MEAN, std=STD)

    def recipe(self, rho: float | None) -> Recipe:
        """That of the generated task."""
        del rho
        return RECIPE


@lru_cache(maxsize=2)
def _listing(root: Path, rho: float) -> Listing:
    source = Cifar10cSource()
    return labelled_files(source, root / FOLDER, source.require_level(root, rho), len(cifar10.CLASSES))
