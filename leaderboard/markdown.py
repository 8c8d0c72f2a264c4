"""Documents as markdown that reads well as text, on GitHub, and as the difference of two versions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tabulate import tabulate

from leaderboard.document import (
    LONGEST,
    LONGEST_SPAN,
    Block,
    Bullets,
    Code,
    Heading,
    Number,
    Paragraph,
    Spans,
    Strong,
    Table,
    Value,
    printable,
)

GRID = 8
"""Widths of columns are multiples of this, so that a longer value seldom changes every line of a table."""
SPECIAL = re.compile(r"[\\`*\[\]<>|~#&@$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def render(blocks: Iterable[Block]) -> str:
    """The document."""
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def escape(text: str, longest: int = LONGEST) -> str:
    """Text that shows as it is, in a table or anywhere else within a line."""
    return SPECIAL.sub(lambda match: ENTITIES.get(match[0], "\\" + match[0]), printable(text, longest))


ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "|": "&#124;", "$": "&#36;"}


def code(text: str) -> str:
    """Text as typed, whatever backticks it has."""
    clean = printable(text)
    fence = "`" * (max(map(len, re.findall("`+", clean)), default=0) + 1)
    pad = " " if clean.startswith("`") or clean.endswith("`") or not clean.strip() else ""
    return f"{fence}{pad}{clean}{pad}{fence}"


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {escape(text)}"
        case Paragraph(spans):
            return _spans(spans)
        case Bullets(items):
            return "\n".join(f"- {_spans(item)}" for item in items)
        case Table():
            return _table(block)


def _spans(spans: Spans) -> str:
    return "".join(_span(span) for span in spans)


def _span(span: str | Code | Strong) -> str:
    match span:
        case Code(text):
            return code(text)
        case Strong(text):
            return f"**{escape(text)}**"
        case _:
            return _with_spaces(span)


def _with_spaces(text: str) -> str:
    """Escaped text that keeps the spaces at its ends, which part it from other spans."""
    inner = text.strip()
    if not inner:
        return " "
    return f"{' ' if text[0].isspace() else ''}{escape(inner, LONGEST_SPAN)}{' ' if text[-1].isspace() else ''}"


def _table(table: Table) -> str:
    cells = [[_cell(value) for value in row] for row in table.rows]
    titles = [escape(column.title) for column in table.columns]
    widths = [max(len(text) for text in column) for column in zip(titles, *cells, strict=True)]
    padded = [title.ljust(-(-(width + 2) // GRID) * GRID - 2) for title, width in zip(titles, widths, strict=True)]
    return tabulate(
        cells,
        headers=padded,
        tablefmt="pipe",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=["right" if column.numeric else "left" for column in table.columns],
    )


def _cell(value: Value) -> str:
    match value:
        case None:
            return "-"
        case Code(text):
            return escape(text) if "|" in text else code(text)  # readers differ on escaped bars in code
        case Number():
            text = f"**{value.text}**" if value.strong else value.text
            return f"{text} {escape(value.mark)}".rstrip()
        case _:
            return escape(value)
