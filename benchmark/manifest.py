"""Manifests: what a sweep that was run in a results folder consists of, so that missing cells can be listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from benchmark.cell import ENGINE_VERSION, Cell, Siblings
from benchmark.errors import DebiasBenchError, ResultCorruptError
from benchmark.files import write_atomic
from benchmark.registry import METHODS, TASKS
from benchmark.store import Store
from benchmark.sweep import Expansion, NotApplicable, Sweep
from benchmark.tuning.decision import read_decision
from benchmark.tuning.study import Final
from benchmark.tuning.survey import tuned_cells


@dataclass(frozen=True)
class Manifest:
    """A sweep and its cells, as last run.

    Attributes:
        name: Stem of the sweep's file.
        sweep: The file's content.
        cells: Its cells.
        not_applicable: Pairs of task and method that were left out.
        finals: Its cells whose parameters are chosen by a study.
    """

    name: str
    sweep: Sweep
    cells: list[Cell]
    not_applicable: list[NotApplicable]
    finals: list[Final] = field(default_factory=list)

    def tuned(self, store: Store) -> list[Cell]:
        """The cells whose parameters are chosen by now."""
        return tuned_cells(self.finals, store)

    def undecided(self, store: Store) -> list[Cell]:
        """The others, as cells whose parameters say that they are not known yet; these have no record."""
        found = ((final, read_decision(store.root, final.study)) for final in self.finals)
        return [final.undecided for final, decision in found if decision is None or decision.number is None]


def write_manifest(store: Store, name: str, sweep: Sweep, expansion: Expansion) -> None:
    """Remember a sweep in a results folder; replaces the one of the same name."""
    manifest = Manifest(name, sweep, expansion.cells, expansion.not_applicable, expansion.finals)
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


class Staleness:
    """Says of cells why their records no longer tell what the installed code would compute.

    A plugin that is not installed here makes nothing stale: its version is unknown.
    """

    def __init__(self) -> None:
        """Remembers what it has asked the plugins: one instance per command."""
        self._versions: dict[tuple[Any, ...], str | None] = {}
        self._siblings = Siblings()

    def __call__(self, cell: Cell) -> str | None:
        """The reason, or ``None``."""
        versions = (cell.engine_version, cell.task, cell.task_version, cell.method, cell.method_version)
        if versions not in self._versions:
            self._versions[versions] = _version_change(cell)
        return self._versions[versions] or (self._upstream_change(cell) if cell.upstream else None)

    def _upstream_change(self, cell: Cell) -> str | None:
        """What a cell would start from today, if that is another cell."""
        try:
            starts = self._siblings.upstream(cell)
        except DebiasBenchError:
            return None  # a plugin that is not installed here
        for role, start in starts.items():
            if cell.upstream.get(role) != start.key:
                return f"starts from another {start.method} than it would now"
        return None


def _version_change(cell: Cell) -> str | None:
    if cell.engine_version != ENGINE_VERSION:
        return f"harness {cell.engine_version}, now {ENGINE_VERSION}"
    try:
        task_version, method_version = TASKS.get(cell.task).version, METHODS.get(cell.method).version
    except DebiasBenchError:
        return None
    if cell.task_version != task_version:
        return f"task version {cell.task_version}, now {task_version}"
    if cell.method_version != method_version:
        return f"method version {cell.method_version}, now {method_version}"
    return None
