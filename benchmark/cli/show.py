"""``debias-bench show task|method|cell``."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmark.cell import as_dict
from benchmark.cli.options import data_option, json_option, parse_params, plugin_option, print_json, results_option
from benchmark.config import convert
from benchmark.errors import ConfigError
from benchmark.notes import print_notes
from benchmark.protocol import PROTOCOLS, protocol_named
from benchmark.registry import METHODS, TASKS
from benchmark.store import Store
from benchmark.task import Setting, SplitName, Task, columns_of

Labels = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Targets (N,) and bias attributes (N, biases) of a split."""


@click.group()
def show() -> None:
    """Show a task with its counts and samples, a method's card, or a cell."""


@show.command()
@click.argument("name")
@click.option("--rho", type=float, help="Level of bias; default: the first in use.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="paper", show_default=True)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Parameter of the task; may be repeated.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Write a contact sheet (PNG).")
@data_option
@plugin_option
@json_option
def task(
    name: str,
    rho: float | None,
    seed: int,
    protocol: str,
    params: tuple[str, ...],
    picture: Path | None,
    data_root: Path,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show task NAME and, for each split, how many samples there are per (y, b).

    The picture has aligned samples of the training split on the left and conflicting ones on the right; without one,
    no image is opened where the counts can be had without.
    """
    del plugins
    print_notes()
    kind = TASKS.get(name)
    level = rho if rho is not None else next(iter(kind.rhos), None)
    problem = kind.check_rho(level)
    if problem is not None:
        raise ConfigError(f"task {name}: {problem}")
    budget = protocol_named(protocol)
    resolved = kind.resolve(convert(parse_params(params), kind.Params, f"parameters of {name}"), data_root, budget)
    chosen = kind(resolved)
    setting = Setting(level, seed, budget, data_root)
    splits = {split: chosen.labels(split, setting) for split in kind.splits}
    if picture is not None:
        from benchmark.pictures import contact_sheet

        contact_sheet(chosen, "train", setting, picture)
    if as_json:
        print_json(_described(chosen, level, splits))
        return
    _print(chosen, level, splits)
    if picture is not None:
        click.echo(f"picture: {picture}")


def _described(task: Task, rho: float | None, splits: dict[SplitName, Labels]) -> dict[str, Any]:
    return {
        "task": task.name,
        "rho": rho,
        "params": as_dict(task.params),
        "classes": task.classes,
        "biases": [{"name": b.name, "values": b.values, "aligned": b.aligned} for b in task.biases],
        "splits": {
            name: {
                "samples": len(labels[0]),
                "input_shape": list(task.inputs().shape),
                "counts": _counts(task, name, labels),
            }
            for name, labels in splits.items()
        },
    }


def _counts(task: Task, name: SplitName, labels: Labels) -> list[Any]:
    """Samples per (y, b[, second b, …]) as nested lists; per y where there are no bias labels."""
    shape = (len(task.classes), *(bias.values for bias in columns_of(task, name)))
    table = np.zeros(shape, dtype=np.int64)
    y, b = labels
    np.add.at(table, (y, *b.T), 1)
    counts: list[Any] = table.tolist()
    return counts


def _print(task: Task, rho: float | None, splits: dict[SplitName, Labels]) -> None:
    from tabulate import tabulate

    click.echo(f"{task.title}: {task.summary}\ntarget: {task.target}; parameters: {as_dict(task.params)}")
    rows = []
    for name, (y, b) in splits.items():
        columns = (b.max(1, keepdims=True) if task.marks else b).T
        aligned = [np.array(bias.aligned)[y] == column for bias, column in zip(task.biases, columns, strict=True)]
        share = " / ".join(f"{column.mean():.4f}" for column in aligned)
        rows.append([name, len(y), "x".join(map(str, task.inputs().shape)), share])
    names = " / ".join(bias.name for bias in task.biases) or "bias"
    click.echo(tabulate(rows, headers=["split", "samples", "input", f"aligned share ({names})"], disable_numparse=True))
    if len(task.biases) > 1:
        return
    train = np.array(_counts(task, "train", splits["train"])).reshape(len(task.classes), -1)
    level = "at its natural level" if rho is None else f"at rho {rho:g}"
    how = ", y by row, b by column" if task.biases else " of each class; there are no bias labels"
    click.echo(f"\ntraining samples {level}{how}:")
    table = [[name, *row] for name, row in zip(task.classes, train.tolist(), strict=True)]
    click.echo(tabulate(table, headers=["", *range(train.shape[1])] if task.biases else []))


@show.command()
@click.argument("name")
@plugin_option
@json_option
def method(name: str, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show the card of method NAME: what it does, what it needs, its parameters with their defaults."""
    del plugins
    kind = METHODS.get(name)
    defaults = as_dict(kind.Params())
    if as_json:
        declared = {"card": kind.card, "supervision": kind.supervision, "params": defaults}
        print_json({"name": name, "version": kind.version, **declared})
        return
    short = f"# {kind.card.title}\n\n{kind.card.summary}\n\n{kind.card.paper} {kind.card.url}"
    click.echo(_card_file(kind.__module__) or short)
    click.echo(f"needs: {kind.supervision}\nparameters:")
    for field, value in defaults.items():
        click.echo(f"  {field} = {value!r}")


def _card_file(module: str) -> str | None:
    """The text of ``card.md`` beside the method's module, if it lives in a package with one."""
    try:
        card = importlib.resources.files(module) / "card.md"
    except TypeError:
        return None
    return card.read_text() if card.is_file() else None


@show.command()
@click.argument("key")
@results_option
@json_option
def cell(key: str, results: Path, as_json: bool) -> None:
    """Show the record of the cell whose key starts with KEY: its candidates, what it took, or why it failed."""
    store = Store(results)
    matches = [found for found, _ in store.record_files() if found.startswith(key)]
    record = store.read(matches[0]) if len(matches) == 1 else None
    if record is None:
        raise ConfigError(f"{len(matches)} records in {results} have a key that starts with {key!r}; expected one")
    if as_json:
        plain = as_dict(record)
        for table in plain["counts"].values():
            table.pop("data")
        print_json(plain)
        return
    click.echo(f"{record.cell.title}: {record.status}, {record.finished_at}\nparameters: {record.cell.params}")
    if record.failure is not None:
        click.echo(f"{record.failure.reason}\n\n{record.failure.traceback}")
        return
    from tabulate import tabulate

    rows = [[c.label, "" if c.selectable else "no", c.sparsity, c.macs, c.info or ""] for c in record.candidates]
    click.echo(tabulate(rows, headers=["candidate", "selectable", "sparsity", "MACs", "reported"]))
    for phase, curves in record.training.items():
        told = [f"{name} {curve[0]} -> {curve[-1]}" for name, curve in curves.items() if curve]
        click.echo(f"{phase}, {max(map(len, curves.values()), default=0)} epochs: {', '.join(told)}")
    for name, value in as_dict(record.resources).items():
        click.echo(f"{name}: {value}")
    if record.diagnostics:
        click.echo(f"diagnostics (in full with --json): {', '.join(record.diagnostics)}")
