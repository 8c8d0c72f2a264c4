"""What a sweep consists of and what of it is missing, for ``debias-bench plan``."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cell import Cell
from benchmark.planner import Plan
from benchmark.store import STATES
from benchmark.sweep import Expansion
from benchmark.tuning.study import Final, like
from benchmark.tuning.survey import state_json, state_line


def as_json(expansion: Expansion, plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "cells": [{"key": u.key, "title": u.title, "state": plan.states[u.key]} for u in _listed(expansion, plan)],
        "to_run": [cell.key for cell in plan.to_run],
        "needed_upstream": [{"key": cell.key, "title": cell.title} for cell in _extra(expansion, plan)],
        "not_applicable": expansion.not_applicable,
        "tuning": [state_json(state) for state in plan.studies],
    }


def show(expansion: Expansion, plan: Plan) -> None:
    """Print the plan for people."""
    listed = _listed(expansion, plan)
    _table(listed, {key for key, state in plan.states.items() if state == "done"})
    counts = ", ".join(f"{plan.count(state)} {state}" for state in STATES)
    click.echo(f"\n{len(listed)} cells: {counts}")
    extra = _extra(expansion, plan)
    if extra:
        click.echo(f"and {len(extra)} cells that these start from and that no record is there for")
    for state in plan.studies:
        click.echo(state_line(state))
    for pair in expansion.not_applicable:
        click.echo(f"not applicable: {pair.method} on {pair.task}: {pair.reason}")


def _listed(expansion: Expansion, plan: Plan) -> list[Cell | Final]:
    """The sweep's cells, those that wait for a choice among them."""
    listed: list[Cell | Final] = [*expansion.cells]
    for state in plan.studies:
        listed += [*state.cells, *state.waiting]
    return listed


def _extra(expansion: Expansion, plan: Plan) -> list[Cell]:
    """Cells to run that the sweep does not list."""
    listed = {unit.key for unit in _listed(expansion, plan)}
    return [unit for unit in plan.to_run if isinstance(unit, Cell) and unit.key not in listed]


def _table(units: list[Cell | Final], done: set[str]) -> None:
    """Done and all cells, for each method and (task, rho)."""
    from tabulate import tabulate

    cells = {unit.key: like(unit) for unit in units}
    columns = sorted({(cell.task, cell.rho) for cell in cells.values()}, key=lambda pair: (pair[0], pair[1] or 0))
    keys: dict[tuple[str, str, float | None], set[str]] = {}
    for key, cell in cells.items():
        keys.setdefault((cell.method, cell.task, cell.rho), set()).add(key)
    rows = []
    for method in dict.fromkeys(cell.method for cell in cells.values()):
        here = [keys.get((method, *column), set()) for column in columns]
        rows.append([method, *(f"{len(found & done)}/{len(found)}" if found else "-" for found in here)])
    headers = ["done/cells", *(f"{task}\n{'natural' if rho is None else f'{rho:g}'}" for task, rho in columns)]
    click.echo(tabulate(rows, headers=headers, stralign="right"))
