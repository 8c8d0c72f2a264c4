"""CivilComments in WILDS' layout: one table of comments with toxicity and the identities that they mention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.errors import DataCorruptError
from tasks.partition import IntArray
from tasks.sources.folders import ManualSource

FOLDER = "civilcomments_v1.0"
FILE = f"{FOLDER}/all_data_with_identities.csv"
SPLITS = ("train", "val", "test")
IDENTITIES = ("male", "female", "LGBTQ", "black", "white", "christian", "muslim", "other_religions")
THRESHOLD = 0.5
"""From here on a comment is toxic, or mentions an identity: half of its annotators said so."""
SIZES = (269_038, 45_180, 133_782)
"""Comments in WILDS' splits."""


class CivilCommentsSource(ManualSource):
    """CivilComments, 448,000 comments."""

    name = "civil_comments"
    title = "CivilComments (WILDS)"
    licence = "CC0"
    citation = (
        "Borkan et al.: Nuanced metrics for measuring unintended bias with real data for text classification. WWW "
        "2019; Koh et al.: WILDS: a benchmark of in-the-wild distribution shifts. ICML 2021"
    )
    url = "https://wilds.stanford.edu/datasets/#civilcomments"
    files = (FILE,)
    sizes = ()
    obtain = (
        "Install WILDS (pip install wilds) and run get_dataset('civilcomments', download=True, root_dir=DATA_ROOT), or "
        f"download its archive from the owners' page and unpack it there: the table is to be at {FILE} under the data "
        "root."
    )

    def _problems(self, root: Path) -> Iterator[str]:
        try:
            found = comments(root)
        except DataCorruptError as error:
            yield str(error)
            return
        for part, size in enumerate(SIZES):
            count = int((found.part == part).sum())
            if count != size:
                yield f"{FILE} has {count:,} comments in split {SPLITS[part]}, the published table {size:,}"


@dataclass(frozen=True)
class Comments:
    """CivilComments' table.

    Attributes:
        texts: In the order of the file.
        toxic: 0 or 1 (N,).
        identities: 0 or 1 for each of ``IDENTITIES`` (N, 8); a comment may mention several.
        part: Position in ``SPLITS`` (N,).
        left_out: Empty comments.
    """

    texts: tuple[str, ...]
    toxic: IntArray
    identities: IntArray
    part: IntArray
    left_out: int


def comments(root: Path) -> Comments:
    """Read the table; empty comments are left out.

    Raises:
        DataMissingError: It is not under ``root``.
        DataCorruptError: It is no such table, lacks a column, or holds a value that it should not.
    """
    import pandas as pd

    CivilCommentsSource().require(root)
    path = root / FILE
    wanted = ["comment_text", "split", "toxicity", *IDENTITIES]
    try:
        header = pd.read_csv(path, nrows=0)
        if lacking := [column for column in wanted if column not in header.columns]:
            raise DataCorruptError(f"{path} has no column {', '.join(lacking)}; is it WILDS' table?")
        table = pd.read_csv(path, usecols=wanted, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataCorruptError(f"{path} cannot be read as a table: {error}; copy it again") from error
    _refuse(path, table["split"], ~table["split"].isin(SPLITS).to_numpy(), f"one of {', '.join(SPLITS)}")
    shares = np.column_stack([_shares(path, table[column]) for column in ("toxicity", *IDENTITIES)])
    written = (table["comment_text"].str.strip() != "").to_numpy()
    marks = (shares[written] >= THRESHOLD).astype(np.int64)
    part = np.array([SPLITS.index(value) for value in table["split"][written]], dtype=np.int64)
    return Comments(tuple(table["comment_text"][written]), marks[:, 0], marks[:, 1:], part, int((~written).sum()))


def _shares(path: Path, column: Any) -> npt.NDArray[np.float64]:
    """A column of shares of annotators (N,)."""
    import pandas as pd

    values: npt.NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    _refuse(path, column, ~((values >= 0) & (values <= 1)), "a share between 0 and 1")
    return values


def _refuse(path: Path, column: Any, wrong: npt.NDArray[np.bool_], expected: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        raise DataCorruptError(
            f"{path}, row {rows[0] + 1} below the header: {column.name} is {column.iloc[rows[0]]!r}, expected "
            f"{expected}"
        )
