"""``debias-bench list``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from benchmark.cli.options import json_option, plugin_option, print_json
from benchmark.metrics import METRICS
from benchmark.protocol import PROTOCOLS
from benchmark.registry import METHODS, SOURCES, TASKS
from benchmark.selection import RULES


def _tasks() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "target": task.target,
            "bias": ", ".join(bias.name for bias in task.biases) or "no labels",
            "rho": " ".join(f"{rho:g}" for rho in task.rhos) or "natural",
            "headline": task.headline,
            "summary": task.summary,
        }
        for name, task in TASKS.load_all().items()
    ]


def _methods() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "needs": str(method.supervision),
            "starts_from": ", ".join(start.method for start in method(method.Params()).upstream().values()) or "-",
            "summary": method.card.summary,
        }
        for name, method in METHODS.load_all().items()
    ]


def _sources() -> list[dict[str, Any]]:
    return [
        {"name": name, "title": source.title, "licence": source.licence, "url": source.url}
        for name, source in SOURCES.load_all().items()
    ]


def _protocols() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "epochs": f"{p.epoch_share:g} of the authors'" + (f", at most {p.max_epochs}" if p.max_epochs else ""),
            "train": p.max_train or "all",
            "eval": p.max_eval or "all",
            "candidates": p.candidates,
        }
        for name, p in PROTOCOLS.items()
    ]


def _columns() -> list[dict[str, Any]]:
    from benchmark.aggregate import COLUMNS

    return [{"column": name, "type": kind, "what": text} for name, (kind, text) in COLUMNS.items()]


LISTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "tasks": _tasks,
    "methods": _methods,
    "sources": _sources,
    "protocols": _protocols,
    "metrics": lambda: [{"name": name, "definition": metric.definition} for name, metric in METRICS.items()],
    "columns": _columns,
    "rules": lambda: [{"name": name, "looks at": rule.uses} for name, rule in RULES.items()],
}


@click.command("list")
@click.argument("what", type=click.Choice(list(LISTS)))
@plugin_option
@json_option
def list_(what: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """List tasks, methods, data sources, protocols, metrics, selection rules or columns of the results table."""
    del plugins
    rows = LISTS[what]()
    if as_json:
        print_json(rows)
        return
    from tabulate import tabulate

    click.echo(tabulate(rows, headers="keys", maxcolwidths=[None] * (len(rows[0]) - 1) + [60] if rows else None))
