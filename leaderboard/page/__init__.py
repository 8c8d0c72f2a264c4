"""The leaderboard as a web page: one folder that works from a file system, without any server or network."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import jinja2

from benchmark.files import write_atomic
from benchmark.metrics import METRICS
from benchmark.selection import RULES
from leaderboard import statistics
from leaderboard.board import Board
from leaderboard.page.payload import parts
from leaderboard.ranking import LEAST_SEEDS, RANK
from leaderboard.references import read_references

SCRIPTS = (
    "base.js",
    "state.js",
    "plot.js",
    "charts.js",
    "diagnostics.js",
    "answers.js",
    "tables.js",
    "training.js",
    "details.js",
    "main.js",
)
"""In the order in which they are loaded."""
STATIC = ("style.css", "theme.js", *SCRIPTS)


def build(
    board: Board,
    folder: Path,
    *,
    rule: str = "unbiased_val",
    title: str = "debias-bench",
    downloads: Mapping[str, str] | None = None,
) -> None:
    """Write the page: ``index.html``, its styles and scripts, and the data as scripts under ``data/``.

    Building again into the same folder replaces the page; other files of the folder stay.

    Args:
        board: The results.
        folder: Where to; made if it is not there.
        rule: The selection rule that the page opens with.
        title: Of the page.
        downloads: Files that lie beside the page and are linked from its foot, with what they are.
    """
    written = set()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for part in parts(board, read_references(), title, rule):
        written.add(f"{part.name}.js")
        (folder / "data" / f"{part.name}.js").write_bytes(part.script)
    for path in (folder / "data").glob("*.js"):
        if path.name not in written:
            path.unlink()
    static = files(__package__) / "static"
    for name in STATIC:
        write_atomic(folder / name, (static / name).read_bytes())
    write_atomic(folder / "index.html", _html(board, title, downloads or {}).encode())


def _html(board: Board, title: str, downloads: Mapping[str, str]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html").render(
        title=title,
        scripts=SCRIPTS,
        rules=RULES.values(),
        metrics={name: metric.definition for name, metric in METRICS.items()},
        downloads=downloads,
        interval=statistics.INTERVAL,
        test=statistics.TEST,
        rank=RANK,
        least_seeds=LEAST_SEEDS,
        code=board.code,
        hardware=board.hardware,
    )
