"""What the tasks on texts share: the choice of network, and texts turned into tokens once."""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta

from benchmark.errors import ConfigError
from benchmark.task import Backbone, Inputs, Setting, Split, SplitName, Task, Work
from tasks.partition import IntArray, capped, grouped
from tasks.pretrained import MINILM, model_folder
from tasks.token_cache import tokenised
from tasks.work import macs_of

_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class TextParams:
    """Parameters of every task on texts.

    Attributes:
        backbone: The network and its tokenizer: ``minilm``, a BERT of six layers that comes as an installable package,
            the folder of another model of BERT's family, or its name on the Hugging Face Hub, if wanted with
            ``@revision``.
        weights: Where training starts: ``pretrained``, or ``none`` (at random, in the same architecture).
        max_length: Tokens at most, start and end included; what is longer is cut.
    """

    backbone: str = MINILM
    weights: Literal["pretrained", "none"] = "pretrained"
    max_length: Annotated[int, Meta(ge=3)] = 128


@dataclass(frozen=True)
class Corpus:
    """Texts and what is known of them.

    Attributes:
        path: Where they are from.
        texts: In the order of the file.
        y: Targets (N,).
        b: Bias attributes (N, biases).
        marks: Attributes that evaluated splits are counted by (N, marks); ``b`` where the task has none of its own.
        part: Which of the owner's parts each belongs to (N,), as the source numbers them.
        copy_of: The first text that says the same, as a position (N,); itself where there is no other.
    """

    path: Path
    texts: Sequence[str]
    y: IntArray
    b: IntArray
    marks: IntArray
    part: IntArray
    copy_of: IntArray

    def groups(self, rows: IntArray) -> list[IntArray]:
        """``rows`` (M,) by their (y, b), in the order of these values; only groups that have any."""
        return grouped(np.column_stack([self.y, self.b]), rows)

    def attributes(self, name: SplitName) -> IntArray:
        """What the texts of a split are counted by (N, attributes)."""
        return self.b if name in ("train", "unbiased") else self.marks


class TextTask(Task):
    """A task on texts. Subclasses read them, and say which of them make a split."""

    Params = TextParams

    train_size: ClassVar[int]
    """About how many training texts there are."""

    @abstractmethod
    def corpus(self, setting: Setting) -> Corpus:
        """All texts of the data set."""

    @abstractmethod
    def rows(self, name: SplitName, setting: Setting, corpus: Corpus) -> IntArray:
        """The texts of a split, as positions in ``corpus``."""

    def split(self, name: SplitName, setting: Setting) -> Split:
        """Choose the texts of a split; a protocol's cap keeps the share of every group (y, b).

        They are in the order of their length, so that a batch of neighbours needs little padding.
        """
        corpus, rows = self._chosen(name, setting)
        params: TextParams = self.params
        tokens = tokenised(self.name, corpus.texts, model_folder(params.backbone), params.max_length)
        rows = rows[np.argsort(tokens.lengths[rows], kind="stable")]
        return Split(tokens.padded(rows, params.max_length), corpus.y[rows], corpus.attributes(name)[rows])

    def labels(self, name: SplitName, setting: Setting) -> tuple[IntArray, IntArray]:
        """Of the texts of a split; nothing is tokenised."""
        corpus, rows = self._chosen(name, setting)
        return corpus.y[rows], corpus.attributes(name)[rows]

    def _chosen(self, name: SplitName, setting: Setting) -> tuple[Corpus, IntArray]:
        if (reason := self.check_rho(setting.rho)) is not None:
            raise ConfigError(f"{self.name}: {reason}")
        corpus = self.corpus(setting)
        rows = self.rows(name, setting, corpus)
        cap = setting.protocol.max_train if name == "train" else setting.protocol.max_eval
        seed = () if name == "test" else (setting.seed,)
        return corpus, capped(rows, corpus.groups, cap, self.name, "cap", name, *seed)

    def work(self) -> Work | None:
        """Of the training texts, all as long as they may be."""
        macs = macs_of(self.backbone(), self.inputs(), len(self.classes))
        return None if macs is None else Work(self.train_size, macs)

    def inputs(self) -> Inputs:
        """Tokens."""
        return Inputs((self.params.max_length,))

    def backbone(self) -> Backbone:
        """The chosen network."""
        params: TextParams = self.params
        return Backbone("tasks.backbones.bert:bert", {"model": params.backbone, "weights": params.weights})


def first_copies(texts: Sequence[str]) -> IntArray:
    """For every text the first that has the same letters and digits in words, whatever their case: (N,)."""
    first: dict[str, int] = {}
    said = (" ".join(_WORDS.findall(unicodedata.normalize("NFKD", text).casefold())) for text in texts)
    return np.array([first.setdefault(words, place) for place, words in enumerate(said)], dtype=np.int64)
