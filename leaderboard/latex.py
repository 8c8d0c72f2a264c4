"""Documents' tables as LaTeX, with booktabs, for a paper to include."""

from __future__ import annotations

from collections.abc import Iterable

from leaderboard.document import Block, Code, Number, Table, Value, printable, unique_names

SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "_": r"\_",
        "%": r"\%",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"{''}",
        "`": r"\textasciigrave{}",
        "-": r"{-}",
        "±": r"$\pm$",
        "–": "--",
        "≤": r"$\le$",
        "…": r"\ldots{}",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)


def render(blocks: Iterable[Block]) -> str:
    """All tables of a document, each a floating one of its own."""
    tables = unique_names(block for block in blocks if isinstance(block, Table))
    head = "% Needs \\usepackage{booktabs} and \\usepackage{textcomp}; made by `debias-bench leaderboard --latex`."
    return "\n\n".join([head, *(_table(name, table) for name, table in tables)]) + "\n"


def escape(text: str) -> str:
    """Text that is typeset as it is and cannot start a command."""
    return printable(text).translate(SPECIAL)


def _table(name: str, table: Table) -> str:
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\label{{tab:{name}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _row([escape(column.title) for column in table.columns]),
        r"\midrule",
        *(_row([_cell(value) for value in row]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(value: Value) -> str:
    match value:
        case None:
            return "--"
        case Code(text):
            return rf"\texttt{{{escape(text)}}}"
        case Number():
            text = _number(value.text)
            bold = rf"\textbf{{{text}}}" if value.strong else text
            return f"{bold} {escape(value.mark)}".rstrip()
        case _:
            return escape(value)


def _number(text: str) -> str:
    """With a real minus sign."""
    return text.replace("-", "$-$").replace("±", r"$\pm$")
