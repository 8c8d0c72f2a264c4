"""The data dictionary of the results table, for people."""

from __future__ import annotations

from benchmark.aggregate import COLUMNS
from leaderboard.document import Block, Code, Column, Heading, Paragraph, Table


def dictionary() -> Table:
    """Every column: its name, its type, and what it holds."""
    rows = tuple((Code(name), Code(kind), text) for name, (kind, text) in COLUMNS.items())
    return Table(
        "data_dictionary", "Columns of the results table", tuple(map(Column, ("column", "type", "what"))), rows
    )


def dictionary_document() -> list[Block]:
    """The dictionary as a page of its own."""
    about = (
        Code("results.parquet"),
        " has a row for each finished cell and selection rule, and one for each failed or missing cell. The "
        "descriptions are also in the file's schema.",
    )
    return [Heading(1, "Data dictionary"), Paragraph(about), dictionary()]
