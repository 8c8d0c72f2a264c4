"""``debias-bench aggregate``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.aggregate import aggregate as collect
from benchmark.aggregate import write_table
from benchmark.cli.options import json_option, plugin_option, print_json, results_option
from benchmark.manifest import expected_cells
from benchmark.store import Store


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
    docs/results_table.md describes its columns.
    """
    del plugins
    store, path = Store(results), output or results / "results.parquet"
    table = collect(store, expected_cells(store))
    write_table(table.rows, path)
    cells: dict[str, int] = {}
    for status in {row["key"]: row["status"] for row in table.rows}.values():
        cells[status] = cells.get(status, 0) + 1
    if as_json:
        print_json({"path": str(path), "rows": len(table.rows), "cells": cells, "damaged": table.damaged})
        return
    click.echo(
        f"{path}: {len(table.rows)} rows, cells: " + (", ".join(f"{n} {s}" for s, n in sorted(cells.items())) or "none")
    )
    for problem in table.damaged:
        click.echo(f"warning: {problem}", err=True)
