"""Counts per (y, b) in the data cards, generated: ``python -m tasks.cards.counts`` writes them anew.

A card marks its tables: ``<!-- counts levels colored_mnist source=complete -->`` begins one, which names the kind of
table, the task and its parameters; ``<!-- end of counts -->`` ends it. Seed 0, protocol ``paper``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np

from benchmark.cli.options import data_option, parse_params
from benchmark.config import convert
from benchmark.errors import DataMissingError
from benchmark.files import write_atomic
from benchmark.protocol import PROTOCOLS
from benchmark.registry import TASKS
from benchmark.task import Setting, Split, SplitName, Task

CARDS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- counts (\w+) (\w+)((?: \w+=\w+)*) -->\n)(.*?)(<!-- end of counts -->)", re.DOTALL)
PROTOCOL = PROTOCOLS["paper"]


def updated(card: str, root: Path) -> str:
    """The text of a card with its counts as they are.

    Raises:
        DataMissingError: The data of one of its tables are not under ``root``.
    """

    def table(block: re.Match[str]) -> str:
        begin, kind, name, params, _, end = block.groups()
        task = _task(name, params.split(), root)
        return f"{begin}{TABLES[kind](task, root)}{end}"

    return BLOCK.sub(table, card)


def levels(task: Task, root: Path) -> str:
    """Training samples of each class at each level: aligned, and of each other bias value."""
    header = [f"{task.target}", *(f"rho {level:g}" for level in task.rhos)]
    splits = [_split(task, "train", level, root) for level in task.rhos]
    rows = []
    for y, label in enumerate(task.classes):
        cells = []
        for split in splits:
            b = np.bincount(split.b[split.y == y, 0], minlength=task.biases[0].values)
            aligned = task.biases[0].aligned[y]
            others = np.delete(b, aligned)
            each = f"{others.min():,}" if others.min() == others.max() else f"{others.min():,} to {others.max():,}"
            cells.append(f"{b[aligned]:,}; {each}")
        rows.append([label, *cells])
    return _markdown(header, rows)


def alignments(task: Task, root: Path) -> str:
    """Training samples of each class, by which of two biases are aligned, at the task's first level."""
    first, second = task.biases
    split = _split(task, "train", task.rhos[0], root)
    header = [task.target, "both aligned", f"{first.name} only", f"{second.name} only", "neither"]
    rows = []
    for y, label in enumerate(task.classes):
        is_aligned = split.b[split.y == y] == (first.aligned[y], second.aligned[y])
        combination = np.bincount(2 * ~is_aligned[:, 0] + ~is_aligned[:, 1], minlength=4)
        rows.append([label, *(f"{count:,}" for count in combination)])
    return _markdown(header, rows)


def groups(task: Task, root: Path) -> str:
    """Samples of each (y, b) in each split, at the natural level."""
    bias = task.biases[0]
    header = ["split", *(f"y = {y}, b = {b}" for y in range(len(task.classes)) for b in range(bias.values))]
    rows = []
    for name in task.splits:
        split = _split(task, name, None, root)
        b = split.b.max(axis=1) if task.marks else split.b[:, 0]
        counts = np.bincount(split.y * bias.values + b, minlength=len(task.classes) * bias.values)
        rows.append([f"`{name}`", *(f"{count:,}" for count in counts)])
    return _markdown(header, rows)


TABLES: dict[str, Callable[[Task, Path], str]] = {"levels": levels, "alignments": alignments, "groups": groups}


def _task(name: str, params: Sequence[str], root: Path) -> Task:
    kind = TASKS.get(name)
    params_given = convert(parse_params(tuple(params)), kind.Params, f"parameters of {name}")
    return kind(kind.resolve(params_given, root, PROTOCOL))


def _split(task: Task, name: SplitName, rho: float | None, root: Path) -> Split:
    return task.split(name, Setting(rho, 0, PROTOCOL, root))


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command()
@data_option
def main(data_root: Path) -> None:
    """Write the counts in the cards anew, as far as the data are there."""
    for path in sorted(CARDS.glob("*.md")):
        try:
            write_atomic(path, updated(path.read_text(), data_root).encode())
        except DataMissingError as error:
            click.echo(f"{path.name} stays as it is: {error}", err=True)


if __name__ == "__main__":
    sys.exit(main())
