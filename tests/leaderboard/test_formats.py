"""Documents in each format: what comes from plugins and strangers is shown as it came and does nothing."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from leaderboard import csv_tables, latex, markdown
from leaderboard.document import (
    LONGEST,
    Bullets,
    Code,
    Column,
    Heading,
    Number,
    Paragraph,
    Strong,
    Table,
    printable,
    slug,
    unique_names,
)

NASTY = [
    "<script>alert(1)</script>",
    "a | b || c \\| d \\\\| e",
    "`code` ``more`` *em* **strong** _under_ __x__ ~~gone~~",
    "[link](javascript:alert(1)) ![image](http://x/y.png) <http://example.org>",
    "&lt;b&gt; &amp; &#60;",
    "line\nbreak\r\n\ttab\x00\x1b[31m",
    "\u202egnp.exe",
    "# heading",
    '$\\input{/etc/passwd}$ \\write18{rm} ^^5c % } { ~ _ & # " `',
    '=HYPERLINK("http://x","y")',
    "@import",
    "+1",
    "-1+1",
    "",
    " ",
    "|",
    "`",
    "\\",
    "x" * 5000,
]
text = st.text(max_size=80)


def table(*cells: object) -> Table:
    columns = tuple(Column(f"column {i}") for i in range(len(cells)))
    return Table("a_table", "a caption", columns, (tuple(cells),))  # type: ignore[arg-type]


def parsed(source: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)


def cells_of(source: str) -> list[list[Token]]:
    """The inline tokens of each cell of the body of the only table."""
    tokens = parsed(source)
    assert sum(token.type == "table_open" for token in tokens) == 1
    assert not any(token.type.startswith(("html", "heading", "fence")) for token in tokens)
    start = next(i for i, token in enumerate(tokens) if token.type == "tbody_open")
    return [token.children or [] for token in tokens[start:] if token.type == "inline"]


@given(text)
@example(NASTY[0])
@example(NASTY[1])
@example(NASTY[2])
@example(NASTY[3])
@example(NASTY[4])
@example(NASTY[5])
@example(NASTY[6])
def test_markdown_shows_text_in_a_table_as_it_is(value: str) -> None:
    (cell, after) = cells_of(markdown.render([table(value, "after")]))
    assert {token.type for token in cell} <= {"text"}
    assert "".join(token.content for token in cell) == printable(value)
    assert after[0].content == "after"


@given(text)
@example(NASTY[0])
@example(NASTY[2])
@example(NASTY[5])
@example("`|` \\|")
def test_markdown_shows_code_in_a_table_as_typed(value: str) -> None:
    (cell, after) = cells_of(markdown.render([table(Code(value), "after")]))
    assert {token.type for token in cell} <= ({"text"} if "|" in value else {"code_inline"})
    assert "".join(token.content for token in cell).strip() == printable(value).strip()
    assert after[0].content == "after"


@pytest.mark.parametrize("value", NASTY)
def test_markdown_outside_tables_has_no_html_links_or_images(value: str) -> None:
    source = markdown.render(
        [Heading(2, value), Paragraph((value, Strong(value), Code(value))), Bullets(((Code(value), f": {value}"),))]
    )
    tokens = parsed(source)
    kinds = {child.type for token in tokens if token.type == "inline" for child in token.children or []}
    assert kinds <= {"text", "code_inline", "strong_open", "strong_close"}
    assert {token.type for token in tokens} <= {
        "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline",
        "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
    }  # fmt: skip


COMMANDS = (
    r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textasciigrave|ldots)\{\}"
    r"|\\[{}$&#_%]|\$\\pm\$|\$\\le\$|\{-\}|\{''\}"
)


@given(text)
@example(NASTY[8])
@example("--- \\\\ \\end{tabular}")
def test_latex_text_cannot_start_a_command_a_group_or_a_cell(value: str) -> None:
    rest = re.sub(COMMANDS, "", latex.escape(value))
    assert not set(rest) & set('\\{}$&#_%~^<>|"`\n\r')


@pytest.mark.parametrize("value", NASTY)
def test_latex_rows_have_as_many_cells_as_columns(value: str) -> None:
    source = latex.render([table(value, Code(value), Number(-1.25, 2, mark=value, strong=True))])
    (row,) = [line for line in source.splitlines() if line.endswith(r"\\") and not line.startswith("column")]
    assert len(re.findall(r"(?<!\\)&", row)) == 2
    assert r"\textbf{$-$1.25}" in row


@given(text)
@example(NASTY[9])
@example("\t=1+1")
def test_csv_text_is_no_formula_and_reads_back(value: str) -> None:
    content = csv_tables.render([table(value, Code(value), "after")])["a_table.csv"]
    header, row = csv.reader(io.StringIO(content))
    assert header == ["column 0", "column 1", "column 2"]
    assert row[2] == "after"
    assert row[0] == row[1]
    assert row[0][:1] not in ("=", "+", "-", "@", "\t")
    assert row[0].removeprefix("'") == printable(value).removeprefix("'")


def test_numbers_are_rounded_for_readers_and_not_for_programs() -> None:
    columns = (Column("score", numeric=True, interval=True, mark="rank"), Column("change", numeric=True), Column("x"))
    value = Number(85.2345678, low=84.0, high=86.5, mark="(1–3)", strong=True)
    blocks = [Table("t", "c", columns, ((value, Number(-0.04, signed=True), None),))]
    assert "**85.2 ± 1.2** (1–3)" in markdown.render(blocks)
    assert r"\textbf{85.2 $\pm$ 1.2} (1--3) & 0.0 & --" in latex.render(blocks)
    header, row = csv.reader(io.StringIO(csv_tables.render(blocks)["t.csv"]))
    assert header == ["score", "score low", "score high", "score rank", "change", "x"]
    assert row == ["85.234568", "84", "86.5", "(1–3)", "-0.04", ""]


def test_a_longer_number_changes_one_line_only() -> None:
    columns = (Column("method"), Column("score", numeric=True))

    def lines(score: float) -> list[str]:
        rows = ((Code("a"), Number(50.0)), (Code("b"), Number(score)))
        return markdown.render([Table("t", "c", columns, rows)]).splitlines()

    changed = [a != b for a, b in zip(lines(9.9), lines(100.0), strict=True)]
    assert changed == [False, False, False, True]


def test_long_text_is_cut() -> None:
    assert len(printable("x" * 5000)) == LONGEST
    assert printable("x" * 5000).endswith("…")


def test_names_of_tables_are_safe_for_files_and_never_the_same() -> None:
    assert slug("../../etc/passwd", "A <b>", 0.99) == "etc_passwd_a_b_0.99"
    assert slug("..") == "table"
    tables = [table("a"), table("b"), table("c")]
    assert [name for name, _ in unique_names(tables)] == ["a_table", "a_table_2", "a_table_3"]
