"""CelebA: hair colour, with gender as the shortcut (Sagawa et al., 2020; protocols of FFW, BISE and DeNetDM)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.task import Bias, Setting, SplitName
from tasks.partition import IntArray, balanced, require_groups, stratified
from tasks.photos import FolderParams, FolderTask, Listing
from tasks.sources.celeba import FOLDER, IMAGES, faces

UNBIASED = 0.6
"""Share of the held-out part that goes to the unbiased split (as FFW divides it); the rest validates."""
GROUPS = 4


@dataclass(frozen=True)
class CelebaParams(FolderParams):
    """Parameters of CelebA.

    Attributes:
        evaluation: What is reported. ``ffw``: the official test part, equally many of each group (y, b); ``bise``: the
            official validation part, likewise; ``denetdm``: the whole official test part.
    """

    evaluation: Literal["ffw", "bise", "denetdm"] = "ffw"


class Celeba(FolderTask):
    """Blond or not; most blond people in it are women.

    The official training part trains, at its natural level. Of the two other parts the one that is not reported is held
    out: 60 % of each of its groups make the ``unbiased`` split, equally many of each, and 40 % validate, as they are
    (``val_biased``) and equally many of each (``val_unbiased``). So nothing is chosen on what is reported.
    """

    name = "celeba"
    version = 1
    train_size = 162_770
    title = "CelebA"
    summary = "Blond hair or not; in training, blond people are women."
    target = "blond hair"
    classes = ("not blond", "blond")
    biases = (Bias("gender", 2, (1, 0)),)
    rhos = ()
    fixed_train = True
    Params = CelebaParams
    parts = ("training", "validation", "test")

    def listing(self, setting: Setting) -> Listing:
        """All images, in the official order."""
        return _listing(setting.root)

    def rows(self, name: SplitName, setting: Setting, listing: Listing) -> IntArray:
        """The official parts, divided as the class says; in the official order, so that training is not copied."""
        if name == "train":
            train = np.flatnonzero(listing.part == 0)
            require_groups(listing.groups(train), f"{listing.folder}, official part 0", GROUPS)
            return train
        reported, held_out = (1, 2) if self.params.evaluation == "bise" else (2, 1)
        part = np.flatnonzero(listing.part == (reported if name == "test" else held_out))
        where = f"{listing.folder}, official part {reported if name == 'test' else held_out}"
        if name == "test":
            if self.params.evaluation == "denetdm":
                require_groups(listing.groups(part), where, GROUPS)
                return part
            return balanced(listing.groups(part), where, GROUPS, self.name, name, self.params.evaluation)
        unbiased, validation = stratified(listing.groups(part), (UNBIASED,), self.name, setting.seed)
        if name == "val_biased":
            return validation
        chosen = unbiased if name == "unbiased" else validation
        return balanced(listing.groups(chosen), where, GROUPS, self.name, name, setting.seed)


@lru_cache(maxsize=1)
def _listing(root: Path) -> Listing:
    tables = faces(root, ("Blond_Hair", "Male"))
    blond, male = tables.attributes.T
    return Listing(root / FOLDER / IMAGES, tables.files, blond, male[:, None], tables.part)
