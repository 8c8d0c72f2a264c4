"""A folder ready to be published: the page, the table, the leaderboard, and what one must know to use them."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmark.aggregate import COLUMNS
from benchmark.errors import ConfigError, ResultCorruptError
from benchmark.files import write_atomic
from benchmark.garbage import garbage_stays
from benchmark.registry import SOURCES
from leaderboard import csv_tables, latex, markdown
from leaderboard.board import Board, read_board
from leaderboard.content import document, overview
from leaderboard.definitions import legend
from leaderboard.dictionary import dictionary_document
from leaderboard.document import Block, Bullets, Code, Heading, Paragraph, Spans
from leaderboard.page import build
from leaderboard.references import read_references
from leaderboard.scrub import without_paths
from leaderboard.table import MOST_BYTES, open_table, written_out

DOWNLOADS = {
    "LEADERBOARD.md": "the leaderboard as text",
    "results.parquet": "all results, one row per cell and selection rule",
    "tables/": "the tables as CSV",
    "LEADERBOARD.tex": "the tables as LaTeX",
    "DATA_DICTIONARY.md": "the columns of the results",
    "PROVENANCE.json": "which code, which machines, checksums",
    "LICENCES.md": "of results, code and data sets",
}
"""What lies in the folder beside the page."""


@garbage_stays()
def publish(table: Path, folder: Path, rule: str, title: str) -> None:
    """Fill a folder; the same table gives the same files. Those of an earlier call are replaced once all are made.

    Args:
        table: The results table.
        folder: Where to; made if it is not there.
        rule: Selection rule by which methods are ranked.
        title: Of page and texts.

    Raises:
        ConfigError: The folder holds other things, or the table holds no results.
        ResultCorruptError: The table is not one.
    """
    _refuse_strange(folder)
    with tempfile.TemporaryDirectory(prefix="debias-bench-") as made:
        _make(table, Path(made), rule, title)
        for path in sorted(Path(made).rglob("*")):
            if path.is_file():
                write_atomic(folder / path.relative_to(made), path.read_bytes(), flush=False)
        for kind in ("tables/*.csv", "data/*.js"):
            for path in folder.glob(kind):
                if not (Path(made) / path.relative_to(folder)).exists():
                    path.unlink()


def _make(table: Path, folder: Path, rule: str, title: str) -> None:
    """Fill a new folder."""
    copy = folder / "results.parquet"
    with open_table(table) as (source, _):
        write_scrubbed(source, copy)
    try:
        board = read_board(copy)
    except ResultCorruptError as error:
        raise ResultCorruptError(str(error).replace(str(copy), str(table))) from error
    if not board.sections:
        raise ConfigError(f"{table} holds no cell that counts as a result, so there is nothing to publish")
    blocks = document(board, rule, read_references(), title)
    files: dict[str, bytes] = {
        "LEADERBOARD.md": markdown.render(blocks).encode(),
        "LEADERBOARD.tex": latex.render(blocks).encode(),
        "DATA_DICTIONARY.md": markdown.render(dictionary_document()).encode(),
        "LICENCES.md": markdown.render(_licences()).encode(),
        "PROVENANCE.json": _provenance(board, copy.read_bytes(), rule),
        "README.md": _card(board, rule, title).encode(),
        ".nojekyll": b"",  # GitHub Pages: serve the files as they are
    }
    files |= {f"tables/{name}": text.encode() for name, text in csv_tables.render(blocks).items()}
    for name, data in files.items():
        write_atomic(folder / name, data, flush=False)
    downloads = {name: what for name, what in DOWNLOADS.items() if not name.endswith("/")}
    build(board, folder, rule=rule, title=title, downloads=downloads)


def write_scrubbed(source: Any, target: Path) -> None:
    """Copy the columns of a results table (as :func:`open_table` yields it) that it should have, part by part; texts of
    failures without absolute paths.

    Raises:
        ResultCorruptError: Written out, the texts of a part would be larger than any results table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = [field for field in source.schema_arrow if field.name in COLUMNS]
    fields = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in known]
    schema = pa.schema(fields, metadata=source.schema_arrow.metadata)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for part in range(source.num_row_groups):
            coded = source.read_row_group(part, columns=schema.names)
            if written_out(coded) > MOST_BYTES:
                raise ResultCorruptError(f"the table unpacks to more than {MOST_BYTES} bytes, as no results table does")
            content = coded.cast(schema)
            for name in ("failure", "traceback"):
                if name in schema.names and content.column(name).null_count < len(content):
                    texts = [text and without_paths(text) for text in content.column(name).to_pylist()]
                    column = pa.array(texts, schema.field(name).type)
                    content = content.set_column(schema.get_field_index(name), schema.field(name), column)
            writer.write_table(content)


def _refuse_strange(folder: Path) -> None:
    """Files of others are never replaced: a folder is new, empty, or one that was published before."""
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []
    if shown and not (folder / "PROVENANCE.json").is_file():
        raise ConfigError(f"{folder} holds other files and was not published before; name a new or an empty folder")


def _provenance(board: Board, table: bytes, rule: str) -> bytes:
    rows = [row for section in board.sections for entry in section.entries for row in entry.cells.values()]
    finished = sorted(str(row["finished_at"]) for row in rows if row.get("finished_at"))
    facts: dict[str, Any] = {
        "table": {"sha256": hashlib.sha256(table).hexdigest(), "bytes": len(table), "columns": len(COLUMNS)},
        "cells": {status: sum(row.get("status") == status for row in rows) for status in ("done", "failed", "missing")},
        "trials_of_tunings": sum(len(trial.cells) for section in board.sections for trial in section.trials),
        "stale_cells": sum(row.get("stale") is not None for row in rows),
        "finished": {"first": finished[0], "last": finished[-1]} if finished else None,
        "rule": rule,
        "made_by": board.metadata.get("debias_bench.code"),
        "ran_with": board.code,
        "hardware": board.hardware,
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"


def _licences() -> list[Block]:
    items: list[Spans] = []
    for name, source in SOURCES.load_all().items():
        items.append((Code(name), f": {source.title}. {source.licence}. {source.citation} {source.url}"))
    return [
        Heading(1, "Licences"),
        Paragraph(
            (
                "The results (all files of this folder) and the code of debias-bench are licensed under Apache-2.0. "
                "Published numbers are quoted from the papers that are named beside them.",
            )
        ),
        Paragraph(
            (
                "Nothing of the data sets is in here: only counts of predictions on them. Who runs the benchmark gets "
                "the data from their owners, under the owners' terms:",
            )
        ),
        Bullets(tuple(items)),
    ]


def _card(board: Board, rule: str, title: str) -> str:
    """README with the header that a Hugging Face data set repository reads."""
    head: Mapping[str, Any] = {
        "license": "apache-2.0",
        "pretty_name": title,
        "tags": ["debiasing", "spurious-correlations", "benchmark", "leaderboard"],
        "configs": [{"config_name": "results", "data_files": "results.parquet"}],
    }
    files = tuple((Code(name), f": {what}") for name, what in {"index.html": "the page", **DOWNLOADS}.items())
    blocks: list[Block] = [
        Heading(1, title),
        Paragraph(
            (
                "Biased tasks x debiasing methods, run by debias-bench in one harness: methods get exactly the data "
                "that they declare, every state they offer is scored, and ranks say how sure they are. Open ",
                Code("index.html"),
                " for the page.",
            )
        ),
        *legend(rule),
        *overview(board, rule),
        Heading(2, "Files"),
        Bullets(files),
    ]
    return f"---\n{_yaml(head)}---\n\n{markdown.render(blocks)}"


def _yaml(value: Mapping[str, Any]) -> str:
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    stream = io.StringIO()
    writer.dump(value, stream)
    return stream.getvalue()
