"""HateXplain (Mathew et al., AAAI 2021): hate speech, with the mention of a group as the shortcut. Splits are ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from benchmark.notes import NOTES
from benchmark.task import Bias, Recipe, Setting, SplitName
from tasks.partition import IntArray, balanced, stratified
from tasks.sources.hatexplain import FILE, LABELS, Posts, posts
from tasks.texts import Corpus, TextParams, TextTask, first_copies

TEST, UNBIASED, VALIDATION = 0.2, 0.2, 0.1
"""Shares of all posts that are the pool of test, of the unbiased split, and of the validation splits."""
GROUPS = 4


@dataclass(frozen=True)
class HateXplainParams(TextParams):
    """Parameters of HateXplain.

    Attributes:
        hateful: Which posts are: those labelled ``hatespeech``, or offensive ones too (``toxic``, as the owners do
            where they measure bias).
    """

    hateful: Literal["hatespeech", "toxic"] = "hatespeech"


class HateXplain(TextTask):
    """Hateful or not; nearly all hateful posts speak of a group of people, most others of nobody.

    A fifth of each group (hateful, identity) is the pool of test, the same for all seeds; of the rest the seed draws a
    fifth of all posts for the unbiased split and a tenth for validation. Posts that say the same stay together.
    Unbiased splits take equally many of each group of their pool; the others are at the natural level.
    """

    name = "hatexplain"
    version = 1
    train_size = 10_057
    title = "HateXplain"
    summary = "Hateful posts or not; hateful ones speak of a group of people, by race, religion, gender or orientation."
    target = "hateful"
    classes = ("not hateful", "hateful")
    biases = (Bias("identity mentioned", 2, (0, 1)),)
    rhos: ClassVar[tuple[float, ...]] = ()
    Params = HateXplainParams

    def corpus(self, setting: Setting) -> Corpus:
        """All posts."""
        found, copy_of = _posts(setting.root)
        least = LABELS.index("hatespeech" if self.params.hateful == "hatespeech" else "offensive")
        b = found.identity[:, None]
        part = np.zeros(len(found.texts), dtype=np.int64)
        y = (found.label >= least).astype(np.int64)
        return Corpus(setting.root / FILE, found.texts, y, b, b, part, copy_of)

    def rows(self, name: SplitName, setting: Setting, corpus: Corpus) -> IntArray:
        """Divide the posts, without their copies, and bring the copies back."""
        stream = (self.name, self.params.hateful)
        originals = np.unique(corpus.copy_of)
        test, rest = stratified(corpus.groups(originals), (TEST,), *stream, "test")
        shares = (UNBIASED / (1 - TEST), VALIDATION / (1 - TEST))
        unbiased, validation, train = stratified(corpus.groups(rest), shares, *stream, setting.seed)
        pools = {"test": test, "unbiased": unbiased, "train": train}
        pool = np.flatnonzero(np.isin(corpus.copy_of, pools.get(name, validation)))
        if name in ("train", "val_biased"):
            return pool
        seed = () if name == "test" else (setting.seed,)
        return balanced(corpus.groups(pool), f"{corpus.path}, {name}", GROUPS, *stream, name, *seed)

    def recipe(self, rho: float | None) -> Recipe:
        """Ours: AdamW over 4 epochs, as one fine-tunes a small BERT."""
        del rho
        return Recipe(optimizer="adamw", learning_rate=1e-4, weight_decay=0.01, batch_size=32, epochs=4)


@lru_cache(maxsize=1)
def _posts(root: Path) -> tuple[Posts, IntArray]:
    found = posts(root)
    if found.left_out:
        NOTES.warning("%s: %d empty posts are left out", root / FILE, found.left_out)
    return found, first_copies(found.texts)
