"""HateXplain as one table: posts, how annotators judged them, and whom they speak of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import DataCorruptError
from tasks.partition import IntArray
from tasks.sources.folders import ManualSource

FILE = "text/hatexplain_20k.parquet"
LABELS = ("normal", "offensive", "hatespeech")
NO_IDENTITY = {
    "race": "No_race",
    "religion": "Nonreligious",
    "gender": "No_gender",
    "sexual_orientation": "No_orientation",
}
"""The columns that say whom a post speaks of, and what each holds where it is nobody."""
SIZE = 20_109


class HateXplainSource(ManualSource):
    """HateXplain, 20,109 posts."""

    name = "hatexplain"
    title = "HateXplain"
    licence = "MIT"
    citation = "Mathew et al.: HateXplain: a benchmark dataset for explainable hate speech detection. AAAI 2021"
    url = "https://github.com/hate-alert/HateXplain"
    files = (FILE,)
    sizes = ()
    obtain = (
        f"Put a parquet file {FILE} under the data root, a row per post, with the columns comment, label (normal, "
        f"offensive or hatespeech: the annotators' majority) and {', '.join(NO_IDENTITY)} (each the group that the "
        f"post speaks of, or {', '.join(NO_IDENTITY.values())}); the owners' dataset.json has posts and annotations."
    )

    def _problems(self, root: Path) -> Iterator[str]:
        try:
            found = len(posts(root).texts)
        except DataCorruptError as error:
            yield str(error)
            return
        if found != SIZE:
            yield f"{FILE} has {found:,} posts, expected {SIZE:,}"


@dataclass(frozen=True)
class Posts:
    """HateXplain's posts.

    Attributes:
        texts: In the order of the file.
        label: Position in ``LABELS`` (N,).
        identity: Whether the post speaks of any group, 0 or 1 (N,).
        left_out: Empty posts.
    """

    texts: tuple[str, ...]
    label: IntArray
    identity: IntArray
    left_out: int


def posts(root: Path) -> Posts:
    """Read the table; empty posts are left out.

    Raises:
        DataMissingError: It is not under ``root``.
        DataCorruptError: It is no parquet file, lacks a column, or holds a value that it should not.
    """
    import pandas as pd

    HateXplainSource().require(root)
    path = root / FILE
    wanted = ["comment", "label", *NO_IDENTITY]
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataCorruptError(f"{path} cannot be read as a parquet file: {error}; copy it again") from error
    if lacking := [column for column in wanted if column not in table.columns]:
        raise DataCorruptError(f"{path} has no column {', '.join(lacking)}; expected {', '.join(wanted)}")
    _require_known(path, table)
    written = np.array([isinstance(text, str) and bool(text.strip()) for text in table["comment"]])
    table = table[written]
    label = np.array([LABELS.index(value) for value in table["label"]], dtype=np.int64)
    spoken_of = np.column_stack([(table[column] != nobody).to_numpy() for column, nobody in NO_IDENTITY.items()])
    identity = np.asarray(spoken_of.any(axis=1), dtype=np.int64)
    return Posts(tuple(table["comment"]), label, identity, int((~written).sum()))


def _require_known(path: Path, table: Any) -> None:
    """Refuse labels that HateXplain does not have, and identities that are not given."""
    for column, problem in (
        ("label", ~table["label"].isin(LABELS)),
        *((name, table[name].isna() | (table[name].astype(str) == "")) for name in NO_IDENTITY),
    ):
        rows = np.flatnonzero(problem.to_numpy())
        if len(rows):
            allowed = f"one of {', '.join(LABELS)}" if column == "label" else f"a group, or {NO_IDENTITY[column]}"
            raise DataCorruptError(
                f"{path}, row {rows[0] + 1}: {column} is {table[column].iloc[rows[0]]!r}, expected {allowed}"
            )
