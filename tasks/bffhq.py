"""BFFHQ (Kim et al., BiaSwap, ICCV 2021; protocol of Lee et al., NeurIPS 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.task import Bias, Recipe, Setting, SplitName
from tasks.partition import IntArray, mixed, require_groups
from tasks.photos import FolderParams, FolderTask, Listing, labelled_files
from tasks.sources.bffhq import FOLDER, TRAIN, BffhqSource

PARTS = (TRAIN, "valid", "test")


@dataclass(frozen=True)
class BffhqParams(FolderParams):
    """Parameters of BFFHQ.

    Attributes:
        evaluation: ``conflicting``: of the owners' test images only those on which age and gender conflict, as the
            literature has it; ``all`` of them.
    """

    weights: str = "none"
    evaluation: Literal["conflicting", "all"] = "conflicting"


class Bffhq(FolderTask):
    """Age of faces, young women and old men being aligned.

    The release fixes the splits: 19,104 aligned and 96 conflicting training images, a validation and a test folder. It
    has no unbiased images beside the test ones, and training has too few conflicting ones to give any away.
    """

    name = "bffhq"
    version = 1
    train_size = 19_200
    title = "BFFHQ"
    summary = "Faces of young women and old men: age is the target, gender the shortcut."
    target = "age"
    classes = ("young", "old")
    biases = (Bias("gender", 2, (0, 1)),)
    rhos = (0.995,)
    splits = ("train", "val_biased", "test")
    fixed_train = True
    headline = "conflicting_accuracy"
    Params = BffhqParams
    parts = PARTS

    @classmethod
    def check_rho(cls, rho: float | None) -> str | None:
        """The release has one level."""
        return None if rho in cls.rhos else f"the release has 0.5 % conflicting images; rho is {cls.rhos[0]}, got {rho}"

    def listing(self, setting: Setting) -> Listing:
        """All images."""
        return _listing(setting.root)

    def rows(self, name: SplitName, setting: Setting, listing: Listing) -> IntArray:
        """The owners' parts."""
        del setting
        part = {"train": 0, "val_biased": 1, "test": 2}[name]
        chosen = listing.part == part
        conflicting_only = name == "test" and self.params.evaluation == "conflicting"
        if conflicting_only:
            chosen &= listing.b[:, 0] != listing.y
        rows = np.flatnonzero(chosen)
        if name != "val_biased":
            require_groups(listing.groups(rows), f"{listing.folder}, {name}", 2 if conflicting_only else 4)
        return mixed(rows, self.name, name)

    def recipe(self, rho: float | None) -> Recipe:
        """As DeNetDM trains its target network: Adam, batches of 64, 100 epochs, crops and flips."""
        del rho
        return Recipe(optimizer="adam", learning_rate=1e-4, batch_size=64, epochs=100, augment="crop_flip")


@lru_cache(maxsize=1)
def _listing(root: Path) -> Listing:
    source = BffhqSource()
    source.require(root)
    return labelled_files(source, root / FOLDER, PARTS, 2)
