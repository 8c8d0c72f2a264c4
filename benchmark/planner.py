"""What is still to be run of a set of cells, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from benchmark.cell import Cell, Siblings
from benchmark.errors import DebiasBenchError
from benchmark.store import State, Store
from benchmark.tuning.study import Final, Trial, Unit
from benchmark.tuning.survey import StudyState, survey, trials_left, tuned_cells


@dataclass(frozen=True)
class Plan:
    """The state of a sweep.

    Attributes:
        states: Of every cell of the sweep, by key.
        to_run: Cells to run, each after the cells that it starts from; includes upstream cells that the sweep does
            not list but that its cells need, and the trials of studies whose choice it waits for.
        upstream: Keys that each cell to run waits for, out of ``to_run``.
        studies: How far the tuning of the sweep is.
    """

    states: dict[str, State]
    to_run: list[Unit]
    upstream: dict[str, set[str]]
    studies: tuple[StudyState, ...] = ()

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


def make_plan(cells: Iterable[Cell], store: Store, finals: Iterable[Final] = ()) -> Plan:
    """Compare cells, and cells whose parameters have to be chosen first, with what a results folder holds."""
    finished = store.finished()
    failed = store.failed(finished)
    siblings = Siblings()
    states: dict[str, State] = {}
    waits: dict[str, set[str]] = {}
    to_run: dict[str, Unit] = {}
    tuning = survey(finals, store)

    @cache
    def has_artifact(key: str) -> bool:
        return key in finished and store.artifact(key) is not None

    def starts_of(cell: Cell) -> set[str]:
        """Put what a cell starts from before it; the keys that it has to wait for."""
        starts = [start for start in siblings.upstream(cell).values() if not has_artifact(start.key)]
        for start in starts:
            if start.key not in failed:
                add(start)
        return {start.key for start in starts if start.key in to_run}

    def add(cell: Cell, unit: Unit | None = None) -> None:
        unit = unit or cell
        if unit.key not in to_run:
            waits[unit.key] = starts_of(cell)
            to_run[unit.key] = unit

    trials: dict[str, list[Trial]] = {
        state.study.name: [Trial(state.study, place) for place in range(state.tally.finished, state.study.trials)]
        for state in tuning
        if state.is_open
    }
    for places in trials.values():  # first of all, since much waits for them
        for trial in places:
            starts = starts_of(trial.like)
            to_run[trial.key], waits[trial.key] = trial, starts
    made = {cell.key: final for state in tuning for final, cell in state.made}  # what is queued goes by that name
    for cell in (*cells, *(cell for state in tuning for cell in state.cells)):
        key = cell.key
        states[key] = "done" if key in finished else "failed" if key in failed else "missing"
        if key in finished and cell.diagnostics:
            states[key] = store.state(key, cell.diagnostics)
        if states[key] == "missing":
            add(cell, made.get(key))
    for state in tuning:
        chosen_after = {trial.key for trial in trials.get(state.study.name, ())}
        for final in state.waiting:
            states[final.key] = "missing" if state.is_open else "failed"
            if state.is_open:
                starts = starts_of(final.like) if state.study.has_fixed_starts else set()
                to_run[final.key], waits[final.key] = final, {*chosen_after, *starts}
    return Plan(states, list(to_run.values()), waits, tuple(tuning))


def what_is_left(units: Iterable[Unit], upstream: Mapping[str, set[str]], store: Store) -> Plan:
    """What of some cells and trials, which were planned earlier, is still to be run."""
    units = list(units)
    studies = {unit.study.name: unit.study for unit in units if isinstance(unit, Trial)}
    room = {name: trials_left(study, store) for name, study in studies.items()}
    states: dict[str, State] = {}
    for unit in units:
        if isinstance(unit, Trial):
            room[unit.study.name] -= 1
            states[unit.key] = "missing" if room[unit.study.name] >= 0 else "done"
        else:
            states[unit.key] = store.state(unit.key) if isinstance(unit, Cell) else _state_of(unit, store)
    to_run = [unit for unit in units if states[unit.key] == "missing"]
    left = {unit.key for unit in to_run}
    return Plan(states, to_run, {unit.key: upstream.get(unit.key, set()) & left for unit in to_run})


def _state_of(final: Final, store: Store) -> State:
    """What is not known, for its plugin cannot be loaded here, say, a worker will find out."""
    try:
        cells = tuned_cells([final], store)
    except DebiasBenchError:
        return "missing"
    return store.state(cells[0].key, cells[0].diagnostics) if cells else "missing"
