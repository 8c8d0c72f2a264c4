"""What is still to be run of a set of cells, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from benchmark.cell import Cell, Siblings
from benchmark.store import State, Store


@dataclass(frozen=True)
class Plan:
    """The state of a sweep.

    Attributes:
        states: Of every cell of the sweep, by key.
        to_run: Cells to run, each after the cells that it starts from; includes upstream cells that the sweep does
            not list but that its cells need.
        upstream: Keys that each cell to run waits for, out of ``to_run``.
    """

    states: dict[str, State]
    to_run: list[Cell]
    upstream: dict[str, set[str]]

    def count(self, state: State) -> int:
        """How many cells of the sweep are in this state."""
        return sum(found == state for found in self.states.values())


def with_upstream(cells: Iterable[Cell]) -> dict[str, Cell]:
    """Cells by key, and those that they start from."""
    found: dict[str, Cell] = {}
    siblings = Siblings()

    def add(cell: Cell) -> None:
        for start in siblings.upstream(cell).values():
            add(start)
        found[cell.key] = cell

    for cell in cells:
        add(cell)
    return found


def make_plan(cells: Iterable[Cell], store: Store) -> Plan:
    """Compare cells with what a results folder holds."""
    finished = store.finished()
    failed = store.failed(finished)
    siblings = Siblings()
    states: dict[str, State] = {}
    waits: dict[str, set[str]] = {}
    to_run: dict[str, Cell] = {}

    @cache
    def has_artifact(key: str) -> bool:
        return key in finished and store.artifact(key) is not None

    def add(cell: Cell) -> None:
        if cell.key in to_run:
            return
        starts = [start for start in siblings.upstream(cell).values() if not has_artifact(start.key)]
        for start in starts:
            if start.key not in failed:
                add(start)
        to_run[cell.key] = cell
        waits[cell.key] = {start.key for start in starts if start.key in to_run}

    for cell in cells:
        key = cell.key
        states[key] = "done" if key in finished else "failed" if key in failed else "missing"
        if key in finished and cell.diagnostics:
            states[key] = store.state(key, cell.diagnostics)
        if states[key] == "missing":
            add(cell)
    return Plan(states, list(to_run.values()), waits)
