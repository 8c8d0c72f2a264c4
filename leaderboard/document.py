"""What a leaderboard says, before it is markdown, LaTeX or CSV: headings, paragraphs, lists and tables of plain values.

Strings here are text as it came, from plugins and strangers too; each format escapes all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 200
"""Names and cells of tables are cut to as many characters."""
LONGEST_SPAN = 2000
"""The same of running text."""


@dataclass(frozen=True)
class Code:
    """Text as typed: names, parameters."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Emphasised text."""

    text: str


Span = str | Code | Strong
Spans = tuple[Span, ...]


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the document's title."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    spans: Spans


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[Spans, ...]


@dataclass(frozen=True)
class Number:
    """A number in a table.

    Attributes:
        value: In the unit of the column.
        decimals: How many are shown.
        signed: Whether a plus sign is shown.
        low: Lower end of its interval, ``None`` without.
        high: Upper end.
        mark: Shown after it, such as a rank.
        strong: Whether it is emphasised.
    """

    value: float
    decimals: int = 1
    signed: bool = False
    low: float | None = None
    high: float | None = None
    mark: str = ""
    strong: bool = False

    @property
    def text(self) -> str:
        """``85.2 ± 1.1``, without its mark."""
        text = _rounded(self.value, self.decimals, self.signed)
        if self.low is None or self.high is None:
            return text
        return f"{text} ± {_rounded((self.high - self.low) / 2, self.decimals)}"


Value = str | Code | Number | None
"""``None`` is shown as a dash."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        numeric: Whether it holds numbers, aligned to the right.
        interval: Whether the numbers have intervals.
        mark: What marks beside the numbers are; empty if there are none.
    """

    title: str
    numeric: bool = False
    interval: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: For file names and references; unique in the document.
        caption: What it shows.
        columns: The columns.
        rows: One value per column.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]


Block = Heading | Paragraph | Bullets | Table


def printable(text: str, longest: int = LONGEST) -> str:
    """One line of printable characters: no line breaks, control characters or changes of writing direction."""
    line = " ".join(text[: 4 * longest].split())
    clean = line
    if not line.isprintable():
        clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def slug(*parts: object) -> str:
    """A name for files and references: lower-case letters, digits, dots and underscores."""
    return re.sub(r"[^a-z0-9.]+", "_", "_".join(str(part) for part in parts).lower()).strip("_.")[:100] or "table"


def unique_names(tables: Iterable[Table]) -> list[tuple[str, Table]]:
    """Tables with names of which none is another's."""
    found: dict[str, Table] = {}
    for table in tables:
        name, number = table.name, 1
        while name in found:
            number += 1
            name = f"{table.name}_{number}"
        found[name] = table
    return list(found.items())


def joined(parts: Iterable[Spans], separator: str = ", ") -> Spans:
    """Spans with a separator between them."""
    found: list[Span] = []
    for part in parts:
        found += [separator, *part] if found else part
    return tuple(found)


def _rounded(value: float, decimals: int, signed: bool = False) -> str:
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    return text if float(text) else f"{0:.{decimals}f}"  # no minus zero
