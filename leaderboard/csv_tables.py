"""Documents' tables as CSV, one file each, for spreadsheets and programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from leaderboard.document import Block, Code, Column, Number, Table, Value, printable, unique_names

DECIMALS = 6


def render(blocks: Iterable[Block]) -> dict[str, str]:
    """Each table of a document by the name of its file."""
    tables = unique_names(block for block in blocks if isinstance(block, Table))
    return {f"{name}.csv": _table(table) for name, table in tables}


def escape(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    clean = printable(text)
    return f"'{clean}" if clean[:1] in ("=", "+", "-", "@") else clean


def _table(table: Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([title for column in table.columns for title in _titles(column)])
    for row in table.rows:
        pairs = zip(table.columns, row, strict=True)
        writer.writerow([field for column, value in pairs for field in _fields(column, value)])
    return buffer.getvalue()


def _titles(column: Column) -> Iterator[str]:
    yield column.title
    if column.interval:
        yield from (f"{column.title} low", f"{column.title} high")
    if column.mark:
        yield f"{column.title} {column.mark}"


def _fields(column: Column, value: Value) -> Iterator[str]:
    number = value if isinstance(value, Number) else None
    if number is not None:
        yield _plain(number.value)
    else:
        yield "" if value is None else escape(value.text if isinstance(value, Code) else str(value))
    if column.interval:
        yield from (_plain(number.low), _plain(number.high)) if number else ("", "")
    if column.mark:
        yield number.mark if number else ""


def _plain(value: float | None) -> str:
    return "" if value is None else repr(round(value, DECIMALS)).removesuffix(".0")
