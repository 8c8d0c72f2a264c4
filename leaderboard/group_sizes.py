"""How many samples of each (y, b) a split has: what the counts of every honest record must add up to."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from benchmark.cell import Cell, task_of
from benchmark.counts import Groups, IntArray, PackedCounts
from benchmark.errors import DataMissingError, ResultCorruptError
from benchmark.rows import canonical
from benchmark.task import SplitName, columns_of, groups_of
from leaderboard.record_checks import MOST_COUNTS_BYTES, scored_splits
from leaderboard.table import ResultTable, Row, open_table, read_table

MOST_BUILT = 100
"""Settings whose splits are built for one submission: building takes time, and parameters may take endless values."""
Kind = tuple[str, int, str, str]
"""What most test splits depend on: task, its version and parameters, protocol. Never on the method."""
Setting = tuple[Kind, float | None, int]
"""The same with rho and the seed, on which validation splits depend, and test splits of other people's tasks may."""


class GroupSizes(Protocol):
    """Something that knows sizes of splits."""

    def of(self, cell: Cell, split: SplitName) -> IntArray | None:
        """Samples per (y, b) of a split of the cell: (C, B); ``None`` if it does not know."""


def kind_of(cell: Cell) -> Kind:
    """What the cell's test split mostly depends on."""
    return cell.task, cell.task_version, canonical(cell.task_params), canonical(cell.protocol)


def setting_of(cell: Cell) -> Setting:
    """What the cell's splits may depend on."""
    return kind_of(cell), cell.rho, cell.seed


@dataclass
class BuiltSizes:
    """Sizes from splits built here, as far as their data are here.

    Attributes:
        root: Folder that holds the data sets.
    """

    root: Path
    _known: dict[Setting, dict[SplitName, IntArray]] = field(default_factory=dict)

    def of(self, cell: Cell, split: SplitName) -> IntArray | None:
        """Build the cell's splits, once for all methods, and count their groups; ``None`` if the data are missing."""
        setting = setting_of(cell)
        if setting not in self._known and len(self._known) < MOST_BUILT:
            found = {}
            for name in scored_splits(cell):
                with suppress(DataMissingError, ImportError):
                    found[name] = self._count(cell, name)
            self._known[setting] = found
        return self._known.get(setting, {}).get(split)

    def _count(self, cell: Cell, split: SplitName) -> IntArray:
        task = task_of(cell)
        y, b = task.labels(split, cell.setting(self.root))
        combination = np.zeros(len(y), dtype=np.int64)
        for bias, column in zip(columns_of(task, split), b.T, strict=True):
            combination = combination * bias.values + column
        table = np.zeros(groups_of(task).shape[:2], dtype=np.int64)
        np.add.at(table, (y, combination), 1)
        return table


class TableSizes:
    """Sizes of test splits from an existing results table; where all its seeds have the same, for other seeds too.

    And which seeds it has.
    """

    def __init__(self, path: Path) -> None:
        """Read a results table that is trusted to be right, though not to be small.

        Raises:
            ResultCorruptError: It is not such a table.
        """
        self._known: dict[Setting, IntArray] = {}
        table = read_table(path)
        self._seeds = _seeds(table)
        for row, counts in _counted(path, table):
            kind = (row["task"], row["task_version"], row["task_params"], row["protocol_settings"])
            self._known[kind, row["rho"], row["seed"]] = _sizes(row["groups"], counts, path)
        sizes: dict[Kind, list[IntArray]] = {}
        for (kind, _, _), known in self._known.items():
            sizes.setdefault(kind, []).append(known)
        self._common = {
            kind: first for kind, (first, *rest) in sizes.items() if all(np.array_equal(first, one) for one in rest)
        }

    def of(self, cell: Cell, split: SplitName) -> IntArray | None:
        """The sizes in the table, which has no counts of validation splits."""
        if split != "test":
            return None
        setting = setting_of(cell)
        return self._known.get(setting, self._common.get(setting[0]))

    def seeds(self, cell: Cell) -> frozenset[int]:
        """The seeds of the table's section that the cell belongs to: of results, failed ones included."""
        return self._seeds.get((kind_of(cell), cell.rho, cell.precision), frozenset())


SETTING = ("task", "task_version", "task_params", "protocol_settings", "rho", "seed")
"""Columns in which rows of one :data:`Setting` agree."""


def _seeds(table: ResultTable) -> dict[tuple[Kind, float | None, str], frozenset[int]]:
    every = np.arange(table.length)
    run = [
        purpose != "tuning" and status != "missing"
        for purpose, status in zip(table.take("purpose", every), table.take("status", every), strict=True)
    ]
    return {
        ((task, version, params, protocol), rho, precision): frozenset(table.take("seed", rows))
        for (task, version, params, protocol, rho, precision), rows in table.group(
            (*SETTING[:5], "precision"), every[np.array(run, dtype=np.bool_)]
        )
    }


def _counted(path: Path, table: ResultTable) -> Iterator[tuple[Row, bytes]]:
    """For each setting of a table a row with counts, and these; no text or counts are written out more than once."""
    with open_table(path) as (file, _):
        lacking = [name for name in (*SETTING, "groups", "counts") if name not in file.schema_arrow.names]
        if lacking:
            raise ResultCorruptError(f"{path} is not a results table: it lacks the columns {', '.join(lacking)}")
        setting = np.zeros(table.length, dtype=np.int64)
        for number, (_, rows) in enumerate(table.group(SETTING, np.arange(table.length))):
            setting[rows] = number
        start, seen = 0, set[int]()
        for part in range(file.num_row_groups):
            column = file.read_row_group(part, columns=["counts"]).column("counts")
            rows = start + np.flatnonzero(column.is_valid().to_pylist())
            for row in rows[np.unique(setting[rows], return_index=True)[1]].tolist():
                if setting[row] not in seen:
                    seen.add(int(setting[row]))
                    yield Row(table, row), column[row - start].as_py()
            start += len(column)


def _sizes(text: str, counts: bytes, path: Path) -> IntArray:
    try:
        groups = _groups(text)
        if 4 * math.prod(groups.shape) > MOST_COUNTS_BYTES:
            raise ResultCorruptError(f"{path} has counts of the shape {groups.shape}, more than any that are read")
        return np.asarray(PackedCounts((1, *groups.shape), counts).unpack()[0].sum(-1), dtype=np.int64)
    except (msgspec.DecodeError, ValueError, TypeError, zlib.error) as error:
        raise ResultCorruptError(f"{path} has counts that cannot be read: {error}") from error


@lru_cache(maxsize=1)
def _groups(text: str) -> Groups:
    return msgspec.json.decode(text, type=Groups)
