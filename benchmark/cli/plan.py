"""``debias-bench plan``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from benchmark.cell import Cell
from benchmark.cli.options import data_option, json_option, plugin_option, print_json, results_option
from benchmark.planner import make_plan
from benchmark.store import Store
from benchmark.sweep import expand, read_sweep


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@results_option
@data_option
@plugin_option
@json_option
def plan(sweep: Path, results: Path, data_root: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show what `run SWEEP` would do: cells by task and method, what is done, what is missing."""
    del plugins
    expansion = expand(read_sweep(sweep), data_root)
    planned = make_plan(expansion.cells, Store(results))
    listed = {cell.key for cell in expansion.cells}
    extra = [cell for cell in planned.to_run if cell.key not in listed]
    if as_json:
        print_json(
            {
                "cells": [{"key": c.key, "title": c.title, "state": planned.states[c.key]} for c in expansion.cells],
                "to_run": [cell.key for cell in planned.to_run],
                "needed_upstream": [{"key": cell.key, "title": cell.title} for cell in extra],
                "not_applicable": expansion.not_applicable,
            }
        )
        return
    _table(expansion.cells, {key for key, state in planned.states.items() if state == "done"})
    states = Counter(planned.states.values())
    click.echo(f"\n{len(listed)} cells: " + ", ".join(f"{states[s]} {s}" for s in ("done", "failed", "missing")))
    if extra:
        click.echo(f"and {len(extra)} cells that these start from and that no record is there for")
    for pair in expansion.not_applicable:
        click.echo(f"not applicable: {pair.method} on {pair.task}: {pair.reason}")


def _table(cells: list[Cell], done: set[str]) -> None:
    """Done and all cells, for each method and (task, rho)."""
    from tabulate import tabulate

    columns = sorted({(cell.task, cell.rho) for cell in cells}, key=lambda pair: (pair[0], pair[1] or 0))
    rows = []
    for method in dict.fromkeys(cell.method for cell in cells):
        row = [method]
        for column in columns:
            keys = {cell.key for cell in cells if cell.method == method and (cell.task, cell.rho) == column}
            row.append(f"{len(keys & done)}/{len(keys)}" if keys else "-")
        rows.append(row)
    headers = ["done/cells", *(f"{task}\n{'natural' if rho is None else f'{rho:g}'}" for task, rho in columns)]
    click.echo(tabulate(rows, headers=headers, stralign="right"))
