"""CivilComments (Borkan et al., 2019; WILDS, Koh et al., 2021): toxicity, with identities as the shortcut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from benchmark.notes import NOTES
from benchmark.task import Bias, Recipe, Setting, SplitName
from tasks.partition import IntArray, balanced, require_groups, stratified
from tasks.sources.civil_comments import FILE, IDENTITIES, SPLITS, Comments, comments
from tasks.texts import Corpus, TextParams, TextTask

UNBIASED = 0.6
"""Share of the official validation part that goes to the unbiased split, as CelebA's; the rest validates."""
GROUPS = 4


@dataclass(frozen=True)
class CivilCommentsParams(TextParams):
    """Parameters of CivilComments: the literature's network and length."""

    backbone: str = "google-bert/bert-base-uncased"
    max_length: Annotated[int, Meta(ge=3)] = 300


class CivilComments(TextTask):
    """Toxic or not; comments that mention an identity are more often toxic.

    Training knows of each comment whether it mentions any of the eight identities. Where a split is evaluated, all
    eight are counted, and comments may mention several: worst-group accuracy is that of the groups (toxic, any
    identity), and beside it stands WILDS' accuracy of the worst of the sixteen overlapping groups (toxic, identity).

    The official parts train and test, at their natural level. Of the official validation part 60 % of each group give
    the ``unbiased`` split, equally many of each, and 40 % validate, as they are and equally many of each.
    """

    name = "civil_comments"
    version = 1
    train_size = 269_038
    title = "CivilComments"
    summary = "Toxic comments or not; comments that mention an identity are more often toxic."
    target = "toxicity"
    classes = ("not toxic", "toxic")
    biases = (Bias("identity mentioned", 2, (0, 1)),)
    marks = tuple(Bias(name, 2, (0, 1)) for name in IDENTITIES)
    rhos = ()
    fixed_train = True
    headline = "worst_group_accuracy"
    Params = CivilCommentsParams

    def corpus(self, setting: Setting) -> Corpus:
        """All comments."""
        found = _comments(setting.root)
        b = found.identities.max(axis=1, keepdims=True)
        alone = np.arange(len(found.texts))
        return Corpus(setting.root / FILE, found.texts, found.toxic, b, found.identities, found.part, alone)

    def rows(self, name: SplitName, setting: Setting, corpus: Corpus) -> IntArray:
        """The official parts, that of validation divided as the class says."""
        official = {"train": 0, "test": 2}.get(name, 1)
        part = np.flatnonzero(corpus.part == official)
        where = f"{corpus.path}, split {SPLITS[official]}"
        require_groups(corpus.groups(part), where, GROUPS)
        if official != 1:
            return part
        unbiased, validation = stratified(corpus.groups(part), (UNBIASED,), self.name, setting.seed)
        if name == "val_biased":
            return validation
        chosen = unbiased if name == "unbiased" else validation
        return balanced(corpus.groups(chosen), where, GROUPS, self.name, name, setting.seed)

    def recipe(self, rho: float | None) -> Recipe:
        """That of WILDS: AdamW over 5 epochs, batches of 16."""
        del rho
        return Recipe(optimizer="adamw", learning_rate=1e-5, weight_decay=0.01, batch_size=16, epochs=5)


@lru_cache(maxsize=1)
def _comments(root: Path) -> Comments:
    found = comments(root)
    if found.left_out:
        NOTES.warning("%s: %d empty comments are left out", root / FILE, found.left_out)
    return found
