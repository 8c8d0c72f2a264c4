"""Counts per (y, b) in the data cards, generated: ``python -m tasks.cards.counts`` writes them anew.

A card marks its tables: ``<!-- counts levels colored_mnist source=complete -->`` begins one, which names the kind of
table, the task and its parameters; ``<!-- end of counts -->`` ends it. Seed 0, protocol ``paper``. Where the data of a
table are not at hand it says so in :data:`ABSENT`, until somebody who has them writes it.
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
from benchmark.task import Setting, SplitName, Task
from tasks.partition import IntArray
from tasks.photos import FolderTask

CARDS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- counts (\w+) (\w+)((?: \w+=\w+)*) -->\n)(.*?)(<!-- end of counts -->)", re.DOTALL)
PROTOCOL = PROTOCOLS["paper"]
ABSENT = (
    "Not generated yet: the data were not at hand. `python -m tasks.cards.counts` writes the table where they are.\n"
)


def updated(card: str, root: Path, missing: list[str] | None = None) -> str:
    """The text of a card with its counts as they are.

    Tables whose data are not under ``root`` stay, and what they lack is added to ``missing``.
    """

    def table(block: re.Match[str]) -> str:
        begin, kind, name, params, _, end = block.groups()
        try:
            return f"{begin}{TABLES[kind](_task(name, params.split(), root), root)}{end}"
        except DataMissingError as error:
            if missing is not None:
                missing.append(str(error))
            return block[0]

    return BLOCK.sub(table, card)


def levels(task: Task, root: Path) -> str:
    """Training samples of each class at each level: aligned, and of each other bias value."""
    header = [f"{task.target}", *(f"rho {level:g}" for level in task.rhos)]
    splits = [_labels(task, "train", level, root) for level in task.rhos]
    rows = []
    for y, label in enumerate(task.classes):
        cells = []
        for targets, biases in splits:
            b = np.bincount(biases[targets == y, 0], minlength=task.biases[0].values)
            aligned = task.biases[0].aligned[y]
            others = np.delete(b, aligned)
            each = f"{others.min():,}" if others.min() == others.max() else f"{others.min():,} to {others.max():,}"
            cells.append(f"{b[aligned]:,}; {each}")
        rows.append([label, *cells])
    return _markdown(header, rows)


def alignments(task: Task, root: Path) -> str:
    """Training samples of each class, by which of two biases are aligned, at the task's first level."""
    first, second = task.biases
    y, b = _labels(task, "train", task.rhos[0], root)
    header = [task.target, "both aligned", f"{first.name} only", f"{second.name} only", "neither"]
    rows = []
    for number, label in enumerate(task.classes):
        is_aligned = b[y == number] == (first.aligned[number], second.aligned[number])
        combination = np.bincount(2 * ~is_aligned[:, 0] + ~is_aligned[:, 1], minlength=4)
        rows.append([label, *(f"{count:,}" for count in combination)])
    return _markdown(header, rows)


def groups(task: Task, root: Path) -> str:
    """Samples of each (y, b) in each split: once where all levels have the same, else at each."""
    rows = []
    for name in task.splits:
        found = {level: _of_groups(task, *_labels(task, name, level, root)) for level in task.rhos or (None,)}
        if len(set(map(tuple, found.values()))) == 1:
            rows.append([f"`{name}`", *next(iter(found.values()))])
        else:
            rows += [[f"`{name}`, rho {level:g}", *counts] for level, counts in found.items()]
    return _markdown(["split", *_names_of_groups(task)], rows)


def parts(task: Task, root: Path) -> str:
    """Samples of each (y, b) in each of the owner's parts, or in all, before anything is divided or left out."""
    if not isinstance(task, FolderTask):
        raise TypeError(f"{task.name} reads no folders of images")
    listing = task.listing(Setting(next(iter(task.rhos), None), 0, PROTOCOL, root))
    rows = [["all", *_of_groups(task, listing.y, listing.b)]]
    for number, part in enumerate(task.parts):
        rows.insert(number, [part, *_of_groups(task, *(x[listing.part == number] for x in (listing.y, listing.b)))])
    return _markdown(["part", *_names_of_groups(task)], rows)


TABLES: dict[str, Callable[[Task, Path], str]] = {
    "levels": levels,
    "alignments": alignments,
    "groups": groups,
    "parts": parts,
}


def _names_of_groups(task: Task) -> list[str]:
    names = [
        f"y = {y}, b = {b}" for y in range(len(task.classes)) for bias in task.biases[:1] for b in range(bias.values)
    ]
    return [*(names or task.classes), "all"]


def _of_groups(task: Task, y: IntArray, b: IntArray) -> list[str]:
    """How many samples each (y, b) has, or each y where there is no bias; then all. Marks count as any of them."""
    values = task.biases[0].values if task.biases else 1
    column = b.max(axis=1, initial=0) if task.marks else b[:, 0] if task.biases else np.zeros_like(y)
    counts = np.bincount(y * values + column, minlength=len(task.classes) * values)
    return [f"{count:,}" for count in (*counts, len(y))]


def _task(name: str, params: Sequence[str], root: Path) -> Task:
    kind = TASKS.get(name)
    params_given = convert(parse_params(tuple(params)), kind.Params, f"parameters of {name}")
    return kind(kind.resolve(params_given, root, PROTOCOL))


def _labels(task: Task, name: SplitName, rho: float | None, root: Path) -> tuple[IntArray, IntArray]:
    return task.labels(name, Setting(rho, 0, PROTOCOL, root))


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command()
@data_option
def main(data_root: Path) -> None:
    """Write the counts in the cards anew, as far as the data are there."""
    for path in sorted(CARDS.glob("*.md")):
        missing: list[str] = []
        write_atomic(path, updated(path.read_text(), data_root, missing).encode())
        for reason in dict.fromkeys(missing):
            click.echo(f"{path.name}: {reason}", err=True)


if __name__ == "__main__":
    sys.exit(main())
