"""``debias-bench status``."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmark.claims import Claims
from benchmark.cli.options import json_option, plugin_option, print_json, results_option
from benchmark.errors import ResultCorruptError
from benchmark.manifest import Staleness, read_manifests
from benchmark.store import Store

STATES = ("done", "running", "failed", "missing", "stale")


@click.command()
@results_option
@plugin_option
@json_option
def status(results: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show finished, running, failed, missing and stale cells of every sweep that was run in a results folder.

    A cell is stale if its task, its method or the harness has changed its behaviour version since.
    """
    del plugins
    found = _collect(Store(results))
    if as_json:
        print_json(found)
        return
    if not found["cells"]:
        click.echo(f"no sweep was run in {results} yet; start with `debias-bench run SWEEP.yaml --results {results}`")
        return
    _print(found)


def _collect(store: Store) -> dict[str, Any]:
    manifests = read_manifests(store)
    cells = {cell.key: cell for manifest in manifests for cell in manifest.cells}
    finished, failed = store.finished(), store.failed()
    running = dict(Claims(store.root / "claims").living())
    staleness = Staleness()
    stale = {key: reason for key, cell in cells.items() if key in finished and (reason := staleness(cell))}
    table: dict[tuple[str, str], Counter[str]] = {}
    for key, cell in cells.items():
        state = "done" if key in finished else "running" if key in running else "failed" if key in failed else "missing"
        table.setdefault((cell.task, cell.method), Counter())["stale" if key in stale else state] += 1
    now = time.time()
    return {
        "cells": [{"task": task, "method": method, **counts} for (task, method), counts in table.items()],
        "running": [
            {
                "key": key,
                "title": owner.title,
                "host": owner.host,
                "seconds": now - owner.since,
                "progress": owner.progress,
            }
            for key, owner in running.items()
        ],
        "failed": [_failure(store, key) for key in sorted(failed & set(cells))],
        "stale": [{"key": key, "title": cells[key].title, "reason": reason} for key, reason in stale.items()],
        "not_applicable": [pair for manifest in manifests for pair in manifest.not_applicable],
    }


def _failure(store: Store, key: str) -> dict[str, str]:
    try:
        record = store.read(key)
    except ResultCorruptError as error:
        return {"key": key, "title": "", "reason": str(error)}
    if record is None or record.failure is None:
        return {"key": key, "title": "", "reason": "unknown"}
    return {"key": key, "title": record.cell.title, "reason": record.failure.reason}


def _print(found: dict[str, Any]) -> None:
    from tabulate import tabulate

    rows = [[row["task"], row["method"], *(row.get(state, 0) or "" for state in STATES)] for row in found["cells"]]
    click.echo(tabulate(rows, headers=["task", "method", *STATES]))
    total = Counter({state: sum(row.get(state, 0) for row in found["cells"]) for state in STATES})
    click.echo("\n" + ", ".join(f"{total[state]} {state}" for state in STATES))
    for cell in found["running"]:
        click.echo(f"running: {cell['title']} on {cell['host']}, {cell['seconds']:.0f} s{_eta(cell)}")
    for cell in found["failed"]:
        click.echo(f"failed: {cell['title']} ({cell['key']}): {cell['reason']}")
    if total["stale"]:
        click.echo("stale cells are kept; running their sweep again computes them anew under the installed code")
    for pair in found["not_applicable"]:
        pair = msgspec.to_builtins(pair)
        click.echo(f"not applicable: {pair['method']} on {pair['task']}: {pair['reason']}")


def _eta(cell: dict[str, Any]) -> str:
    if not cell["progress"]:
        return ""
    phase, done, total = cell["progress"]
    return f", {phase} epoch {done} of {total}"
