"""BAR, Biased Action Recognition (Nam et al., Learning from Failure, NeurIPS 2020)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmark.errors import ConfigError
from benchmark.task import Recipe, Setting, SplitName
from tasks.partition import IntArray, cut, mixed, proportionally, shuffled, sizes, stratified
from tasks.photos import FolderTask, Listing, note_other_sizes, seed_of
from tasks.sources.bar import ACTIONS, FOLDER, BarSource, actions

VALIDATION = 0.1
"""Share of the owners' training images that validate."""


class Bar(FolderTask):
    """Actions at the place that is usual for them, to be recognised at another.

    Nobody has labelled the places, so that methods which need bias labels do not apply. All training images of the
    release are aligned (rho 1), all test images conflicting. At a lower rho some of its test images, in proportion to
    the actions and the same for all seeds, move to training; the others are test.
    """

    name = "bar"
    version = 1
    train_size = 1_746
    title = "BAR"
    summary = "Actions photographed at the place that is usual for them in training, and elsewhere in test."
    target = "action"
    classes = ACTIONS
    biases = ()
    rhos = (0.95, 0.99, 1.0)
    splits = ("train", "val_biased", "test")
    headline = "accuracy"
    parts = ("train", "test")

    def listing(self, setting: Setting) -> Listing:
        """All images."""
        return _listing(setting.root)

    def rows(self, name: SplitName, setting: Setting, listing: Listing) -> IntArray:
        """Validation is cut from the aligned images; conflicting ones are divided between training and test."""
        aligned, conflicting = (
            [np.flatnonzero((listing.part == part) & (listing.y == action)) for action in range(len(ACTIONS))]
            for part in (0, 1)
        )
        validation, train = stratified(aligned, (VALIDATION,), self.name, setting.seed)
        if name == "val_biased":
            return mixed(validation, self.name, name, setting.seed)
        rho = setting.rho or 1.0
        needed, available = round(len(train) * (1 - rho) / rho), int(sizes(conflicting).sum())
        if needed > available // 2:
            raise ConfigError(
                f"{self.name}: rho {rho} needs {needed} conflicting training images; at most half of the {available} "
                "there are can move, the others are test"
            )
        queues = shuffled(conflicting, self.name, "moved", rho)
        moved, left = cut(queues, proportionally(sizes(queues), needed))
        chosen = [train, *moved] if name == "train" else left
        return mixed(np.concatenate(chosen), self.name, name, seed_of(name, setting))

    def recipe(self, rho: float | None) -> Recipe:
        """Ours; no vanilla recipe is published: Adam from ImageNet weights, batches of 64, 100 epochs, flips."""
        del rho
        return Recipe(optimizer="adam", learning_rate=1e-4, batch_size=64, epochs=100, augment="flip")


@lru_cache(maxsize=1)
def _listing(root: Path) -> Listing:
    BarSource().require(root)
    (train, of_train), (test, of_test) = actions(root, "train"), actions(root, "test")
    note_other_sizes(BarSource(), {f"{FOLDER}/train": train, f"{FOLDER}/test": test})
    part = np.repeat([0, 1], [len(train), len(test)])
    b = np.zeros((len(part), 0), dtype=np.int64)
    return Listing(root / FOLDER, train + test, np.array(of_train + of_test, dtype=np.int64), b, part)
