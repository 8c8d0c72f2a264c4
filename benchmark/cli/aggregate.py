"""``debias-bench aggregate``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.aggregate import aggregate as collect
from benchmark.aggregate import write_table
from benchmark.cli.options import existing, json_option, plugin_option, print_json, results_option


@click.command()
@results_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write; default: RESULTS/results.parquet.",
)
@plugin_option
@json_option
def aggregate(results: Path, output: Path | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Collect all records into one parquet table; works at any time, also while cells run.

    The table has a row for each finished cell and selection rule, and one for each failed or missing cell.
    `debias-bench list columns` describes its columns.
    """
    del plugins
    table, path = collect(existing(results)), output or results / "results.parquet"
    write_table(table, path)
    rows, cells = len(table.rows), table.statuses
    if as_json:
        print_json({"path": str(path), "rows": rows, "cells": cells, "damaged": table.damaged})
        return
    click.echo(f"{path}: {rows} rows, cells: " + (", ".join(f"{n} {status}" for status, n in cells.items()) or "none"))
    for problem in table.damaged:
        click.echo(f"warning: {problem}", err=True)
