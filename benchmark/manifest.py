"""Manifests: what a sweep that was run in a results folder consists of, so that missing cells can be listed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import msgspec

from benchmark.cell import Cell, make_cell, task_of
from benchmark.errors import DebiasBenchError, ResultCorruptError
from benchmark.files import write_atomic
from benchmark.protocol import protocol_named
from benchmark.registry import METHODS, TASKS
from benchmark.store import Store
from benchmark.sweep import Expansion, NotApplicable, Sweep


@dataclass(frozen=True)
class Manifest:
    """A sweep and its cells, as last run.

    Attributes:
        name: Stem of the sweep's file.
        sweep: The file's content.
        cells: Its cells.
        not_applicable: Pairs of task and method that were left out.
    """

    name: str
    sweep: Sweep
    cells: list[Cell]
    not_applicable: list[NotApplicable]


def write_manifest(store: Store, name: str, sweep: Sweep, expansion: Expansion) -> None:
    """Remember a sweep in a results folder; replaces the one of the same name."""
    manifest = Manifest(name, sweep, expansion.cells, expansion.not_applicable)
    write_atomic(store.root / "sweeps" / f"{name}.json", msgspec.json.encode(manifest))


def read_manifests(store: Store) -> list[Manifest]:
    """The sweeps that were run in a results folder, by name.

    Raises:
        ResultCorruptError: A manifest is damaged.
    """
    manifests = []
    for path in sorted((store.root / "sweeps").glob("*.json")):
        try:
            manifests.append(msgspec.json.decode(path.read_bytes(), type=Manifest))
        except (msgspec.DecodeError, ValueError) as error:
            raise ResultCorruptError(f"{path} is damaged ({error}); delete it and run the sweep again") from error
    return manifests


def expected_cells(store: Store) -> dict[str, Cell]:
    """The cells of all sweeps that were run in a results folder, by key."""
    return {cell.key: cell for manifest in read_manifests(store) for cell in manifest.cells}


def staleness(cell: Cell) -> str | None:
    """Why a cell's record no longer says what the installed code would compute, or ``None``.

    A plugin that is not installed here makes nothing stale: its version is unknown.
    """
    try:
        TASKS.get(cell.task), METHODS.get(cell.method)
    except DebiasBenchError:
        return None
    try:
        protocol = protocol_named(cell.protocol.name)
        now = make_cell(task_of(cell), cell.rho, cell.method, cell.params, cell.seed, protocol, cell.precision)
    except DebiasBenchError as error:
        return f"can no longer be made: {error}"
    changes = [(f.name, getattr(cell, f.name), getattr(now, f.name)) for f in dataclasses.fields(Cell)]
    reasons = [f"{name.replace('_', ' ')} {old}, now {new}" for name, old, new in changes if old != new]
    return "; ".join(reasons) or None
