"""A results table in memory, by column; what comes from a stranger is bounded before it is unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from benchmark.aggregate import COLUMNS
from benchmark.errors import ResultCorruptError

MOST_ROWS = 5_000_000
MOST_BYTES = 2 * 2**30
"""Of the columns together, unpacked. A table of 100,000 cells has 500,000 rows and some 300 MB."""
HEAVY = ("counts", "counts_shape")
"""Columns that no table of scores needs."""
NAMES = tuple(name for name in COLUMNS if name not in HEAVY)
"""Columns that rows have; whatever else a table has is not read."""
Rows = npt.NDArray[np.int64]
"""Indices of rows."""
NUMERIC = {"int64": np.int64, "double": np.float64, "bool": np.bool_}
"""Arrow's names of the numeric types that are read."""
REQUIRED = ("key", "task", "task_params", "method", "params", "seed", "protocol", "precision", "status", "rule")


class Column(Protocol):
    """Values of one column."""

    def at(self, index: int) -> Any:
        """The value of a row, ``None`` where it is null or not finite."""

    def take(self, rows: Rows) -> list[Any]:
        """The values of some rows."""

    def codes_of(self, rows: Rows) -> Rows:
        """Small non-negative integers that are equal where the values are."""


@dataclass(frozen=True)
class Texts:
    """Strings, each kept once.

    Attributes:
        values: The different strings, ``None`` last.
        codes: Index into ``values`` for each row.
    """

    values: list[str | None]
    codes: npt.NDArray[np.int32]

    def at(self, index: int) -> str | None:
        """The string of a row."""
        return self.values[int(self.codes[index])]

    def take(self, rows: Rows) -> list[str | None]:
        """The strings of some rows."""
        return [self.values[code] for code in self.codes[rows].tolist()]

    def codes_of(self, rows: Rows) -> Rows:
        """The codes of some rows."""
        return self.codes[rows].astype(np.int64)


@dataclass(frozen=True)
class Numbers:
    """Integers, floats or booleans.

    Attributes:
        values: One per row.
        known: Whether the row has a value.
    """

    values: npt.NDArray[Any]
    known: npt.NDArray[np.bool_]

    def at(self, index: int) -> Any:
        """The number of a row, a plain Python one."""
        return self.values[index].item() if self.known[index] else None

    def take(self, rows: Rows) -> list[Any]:
        """The numbers of some rows, plain Python ones."""
        values = self.values[rows].tolist()
        return [value if known else None for value, known in zip(values, self.known[rows].tolist(), strict=True)]

    def codes_of(self, rows: Rows) -> Rows:
        """Ranks of the values, 0 where there is none."""
        ranks = np.unique(self.values[rows], return_inverse=True)[1] + 1
        return np.where(self.known[rows], ranks, 0)


class Row(Mapping[str, Any]):
    """One row as a mapping; a column that an older table lacks is ``None``."""

    __slots__ = ("index", "table")

    def __init__(self, table: ResultTable, index: int) -> None:
        """``index`` counts the rows of ``table``."""
        self.table = table
        self.index = index

    def __getitem__(self, name: str) -> Any:
        """The value of a column of :data:`benchmark.aggregate.COLUMNS`."""
        column = self.table.columns.get(name)
        if column is not None:
            return column.at(self.index)
        if name in COLUMNS:
            return None
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Names of columns."""
        return iter(NAMES)

    def __len__(self) -> int:
        """How many columns."""
        return len(NAMES)


@dataclass(frozen=True)
class ResultTable:
    """All rows of a results table, without the counts.

    Attributes:
        columns: By name.
        length: How many rows.
        metadata: Of the file.
    """

    columns: Mapping[str, Column]
    length: int
    metadata: Mapping[str, str]

    def group(self, names: tuple[str, ...], rows: Rows) -> list[tuple[tuple[Any, ...], Rows]]:
        """Sets of rows that agree in some columns, with their values there, in the order in which they first appear."""
        ids = np.zeros(len(rows), dtype=np.int64)
        columns = [self.columns[name] for name in names if name in self.columns]
        for column in columns:
            codes = column.codes_of(rows)
            _, ids = np.unique(ids * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
        order = np.argsort(ids, kind="stable")
        sets = np.split(rows[order], np.flatnonzero(np.diff(ids[order])) + 1) if len(rows) else []
        sets.sort(key=lambda group: int(group[0]))
        return [(tuple(self.value(name, int(group[0])) for name in names), group) for group in sets]

    def numbers(self, name: str, rows: Rows) -> npt.NDArray[np.float64]:
        """Numbers of a column at some rows of any shape, NaN where there is none and at rows below 0."""
        column = self.columns.get(name)
        if not isinstance(column, Numbers):
            return np.full(rows.shape, np.nan)
        return np.where((rows >= 0) & column.known[rows], column.values[rows].astype(np.float64), np.nan)

    def take(self, name: str, rows: Rows) -> list[Any]:
        """Values of a column at some rows, as :meth:`value` gives them."""
        column = self.columns.get(name)
        return [None] * len(rows) if column is None else column.take(rows)

    def value(self, name: str, row: int) -> Any:
        """One value; ``None`` in a column that the table lacks."""
        column = self.columns.get(name)
        return None if column is None else column.at(row)


def read_table(path: Path) -> ResultTable:
    """Read the results table that ``debias-bench aggregate`` wrote.

    Raises:
        ResultCorruptError: It is not there, not such a table, or larger than any such table.
    """
    with open_table(path) as (file, metadata):
        wanted = [name for name in file.schema_arrow.names if name in NAMES]
        table = file.read(columns=wanted)
        columns = {name: _column(table.column(name)) for name in wanted}
    return ResultTable(columns, table.num_rows, metadata)


@contextmanager
def open_table(path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """A results table as a ``ParquetFile`` that reads texts as dictionaries, and the file's metadata.

    Raises:
        ResultCorruptError: It is not there, not such a table, or larger than any such table; or what is done with it
            finds it damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        texts = [name for name in pq.read_schema(path).names if COLUMNS.get(name, ("", ""))[0] in ("string", "binary")]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            schema = file.schema_arrow
            metadata = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
            _check(path, file.metadata, metadata, schema)
            yield file, metadata
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ResultCorruptError(f"cannot read the results table {path}: {error}") from error


def written_out(part: Any) -> int:
    """Bytes of a part of a table as :func:`open_table` reads it, if its texts were written out for every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = part.nbytes
    for column in part.columns:
        if pa.types.is_dictionary(column.type):
            lengths = [pc.binary_length(chunk.dictionary).take(chunk.indices) for chunk in column.chunks]
            size += sum(pc.sum(chunk).as_py() or 0 for chunk in lengths)
    return int(size)


def _check(path: Path, file: Any, metadata: Mapping[str, str], schema: Any) -> None:
    if "debias_bench.table_version" not in metadata:
        raise ResultCorruptError(f"{path} is not a results table; make one with `debias-bench aggregate`")
    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise ResultCorruptError(f"{path} lacks the columns {', '.join(missing)}")
    for field in schema:
        if field.name in COLUMNS and not _is_of(field.type, COLUMNS[field.name][0]):
            raise ResultCorruptError(f"{path}: column {field.name} has type {field.type}, not {COLUMNS[field.name][0]}")
    groups = [file.row_group(i) for i in range(file.num_row_groups)]
    numbers = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
    size = max(sum(group.total_byte_size for group in groups), 4 * numbers)  # of equal numbers a file has but one
    if file.num_rows > MOST_ROWS or size > MOST_BYTES:
        raise ResultCorruptError(
            f"{path} unpacks to {file.num_rows} rows and {size} bytes; at most {MOST_ROWS} and {MOST_BYTES} are read"
        )


def _is_of(kind: Any, expected: str) -> bool:
    """Whether an Arrow type is that of :data:`benchmark.aggregate.COLUMNS`; texts may be a dictionary."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return expected in ("string", "binary") and expected == str(kind.value_type)
    if pa.types.is_list(kind):
        return expected == f"list<{kind.value_type}>"
    return expected == str(kind).replace("double", "float64")


def _column(column: Any) -> Column:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
        texts: list[str | None] = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
        codes, known = _numpy([chunk.indices for chunk in column.chunks], np.dtype(np.int32))
        return Texts([*texts, None], np.where(known, codes, len(texts)).astype(np.int32))
    values, known = _numpy(column.chunks, np.dtype(NUMERIC[str(column.type)]))
    return Numbers(values, known & np.isfinite(values) if values.dtype.kind == "f" else known)


def _numpy(chunks: list[Any], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Values, 0 where null, and which are not null.

    Arrow's own conversion would import pandas, which takes longer than to read ten thousand cells.
    """
    values, known = [np.zeros(0, dtype)], [np.zeros(0, np.bool_)]
    for chunk in chunks:
        validity, data = chunk.buffers()
        if data is None:  # all null
            data = bytes(8 * (chunk.offset + len(chunk)))
        valid = np.ones(len(chunk), np.bool_) if validity is None else _bits(validity, chunk)
        if dtype == np.bool_:
            content = _bits(data, chunk)
        else:
            content = np.frombuffer(data, dtype)[chunk.offset : chunk.offset + len(chunk)]
        values.append(np.where(valid, content, dtype.type(0)))
        known.append(valid)
    return np.concatenate(values), np.concatenate(known)


def _bits(buffer: Any, chunk: Any) -> npt.NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return np.asarray(bits[chunk.offset : chunk.offset + len(chunk)], dtype=np.bool_)
