"""What a sweep consists of and what of it is missing, for ``debias-bench plan``."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cell import Cell
from benchmark.planner import Plan
from benchmark.store import STATES
from benchmark.sweep import Expansion


def as_json(expansion: Expansion, plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "cells": [{"key": c.key, "title": c.title, "state": plan.states[c.key]} for c in expansion.cells],
        "to_run": [cell.key for cell in plan.to_run],
        "needed_upstream": [{"key": cell.key, "title": cell.title} for cell in _extra(expansion, plan)],
        "not_applicable": expansion.not_applicable,
    }


def show(expansion: Expansion, plan: Plan) -> None:
    """Print the plan for people."""
    _table(expansion.cells, {key for key, state in plan.states.items() if state == "done"})
    counts = ", ".join(f"{plan.count(state)} {state}" for state in STATES)
    click.echo(f"\n{len(expansion.cells)} cells: {counts}")
    extra = _extra(expansion, plan)
    if extra:
        click.echo(f"and {len(extra)} cells that these start from and that no record is there for")
    for pair in expansion.not_applicable:
        click.echo(f"not applicable: {pair.method} on {pair.task}: {pair.reason}")


def _extra(expansion: Expansion, plan: Plan) -> list[Cell]:
    """Cells to run that the sweep does not list."""
    listed = {cell.key for cell in expansion.cells}
    return [cell for cell in plan.to_run if cell.key not in listed]


def _table(cells: list[Cell], done: set[str]) -> None:
    """Done and all cells, for each method and (task, rho)."""
    from tabulate import tabulate

    columns = sorted({(cell.task, cell.rho) for cell in cells}, key=lambda pair: (pair[0], pair[1] or 0))
    keys: dict[tuple[str, str, float | None], set[str]] = {}
    for cell in cells:
        keys.setdefault((cell.method, cell.task, cell.rho), set()).add(cell.key)
    rows = []
    for method in dict.fromkeys(cell.method for cell in cells):
        here = [keys.get((method, *column), set()) for column in columns]
        rows.append([method, *(f"{len(found & done)}/{len(found)}" if found else "-" for found in here)])
    headers = ["done/cells", *(f"{task}\n{'natural' if rho is None else f'{rho:g}'}" for task, rho in columns)]
    click.echo(tabulate(rows, headers=headers, stralign="right"))
