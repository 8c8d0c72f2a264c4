"""Sweep files: which tasks at which levels, which methods with which parameters, how many seeds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from benchmark.cell import Cell, Precision, Siblings, make_cell
from benchmark.config import convert, read_yaml
from benchmark.diagnostics import chosen
from benchmark.errors import ConfigError, NotApplicableError
from benchmark.protocol import Protocol, protocol_named
from benchmark.registry import TASKS
from benchmark.task import Task
from benchmark.tuning.settings import Tune
from benchmark.tuning.study import Final

NOT_EMPTY = msgspec.Meta(min_length=1)


@dataclass(frozen=True)
class TaskEntry:
    """A task of a sweep.

    Attributes:
        name: Of the task.
        rho: Levels; default: those in use in the literature.
        params: Parameters of the task where they differ from its defaults.
    """

    name: str
    rho: Annotated[list[float], NOT_EMPTY] | None = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MethodEntry:
    """A method of a sweep.

    Attributes:
        name: Of the method.
        params: Parameters where they differ from its defaults.
        grid: Parameters with lists of values; every combination is run.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Annotated[list[Any], NOT_EMPTY]] = field(default_factory=dict)

    def variants(self) -> list[dict[str, Any]]:
        """The parameters of each combination of the grid."""
        both = set(self.params) & set(self.grid)
        if both:
            raise ConfigError(f"method {self.name}: {', '.join(sorted(both))} is in params and in grid; keep one")
        return [
            {**self.params, **dict(zip(self.grid, values, strict=True))}
            for values in itertools.product(*self.grid.values())
        ]


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        tasks: Tasks by name, or with levels and parameters.
        methods: Methods by name, or with parameters and grids.
        seeds: How many (0, 1, …), or which.
        protocol: ``paper``, ``short`` or ``smoke``.
        precision: Of forward passes.
        diagnostics: ``true`` for all of :data:`benchmark.diagnostics.DIAGNOSTICS`, or a list of names.
        description: For people.
        tune: Which parameters are chosen by a search before the seeds are run with them.
    """

    tasks: Annotated[list[str | TaskEntry], NOT_EMPTY]
    methods: Annotated[list[str | MethodEntry], NOT_EMPTY]
    seeds: Annotated[int, msgspec.Meta(ge=1)] | Annotated[list[int], NOT_EMPTY] = 3
    protocol: str = "paper"
    precision: Precision = "fp32"
    diagnostics: bool | list[str] = False
    description: str = ""
    tune: Tune | None = None

    def seed_list(self) -> list[int]:
        """The seeds."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


@dataclass(frozen=True)
class NotApplicable:
    """A pair that is left out of a sweep, with the reason that is shown for it."""

    task: str
    method: str
    reason: str


@dataclass(frozen=True)
class Expansion:
    """The cells of a sweep.

    Attributes:
        cells: In the sweep's order, each once.
        not_applicable: Pairs of task and method that cannot be run.
        finals: Cells whose parameters have to be chosen first, each once.
    """

    cells: list[Cell]
    not_applicable: list[NotApplicable]
    finals: list[Final] = field(default_factory=list)


def read_sweep(path: Path) -> Sweep:
    """Read and check a sweep file.

    Raises:
        ConfigError: It is not there, not YAML, or has a key or a value that no sweep has.
    """
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is not a sweep: expected keys tasks, methods, seeds, protocol")
    return convert(value, Sweep, path.name)


def expand(sweep: Sweep, root: Path) -> Expansion:
    """All cells of a sweep, resolved against the data sets under ``root``.

    Raises:
        ConfigError: Unknown task, method, protocol, diagnostic or parameter, a rho that a task cannot be built at, or
            a search that a method does not allow.
    """
    protocol, diagnostics = protocol_named(sweep.protocol), chosen(sweep.diagnostics)
    methods = [MethodEntry(entry) if isinstance(entry, str) else entry for entry in sweep.methods]
    variants = [(entry.name, entry.variants()) for entry in methods]
    seeds, tune = sweep.seed_list(), sweep.tune
    if tune is not None:
        tune.check(variants, seeds)
    cells: dict[str, Cell] = {}
    finals: dict[str, Final] = {}
    siblings = Siblings()
    refused: dict[tuple[str, str], NotApplicable] = {}
    for task, rho in _tasks(sweep, protocol, root):
        for name, params in ((name, params) for name, every in variants for params in every):
            try:
                if tune is not None and tune.is_tuned(name, params):
                    study = tune.study(task, rho, name, params, protocol, sweep.precision)
                    level = None if rho is None else float(rho)
                    waiting = [Final(study, level, seed, diagnostics) for seed in seeds]
                    finals |= {final.key: final for final in waiting}
                    continue
                cell = make_cell(task, rho, name, params, seeds[0], protocol, sweep.precision)
            except NotApplicableError as error:
                refused[task.name, name] = NotApplicable(error.task, error.method, error.reason)
                continue
            for one in (cell, *(siblings.with_seed(cell, seed) for seed in seeds[1:])):
                cells[one.key] = replace(one, diagnostics=diagnostics) if diagnostics else one
    return Expansion(list(cells.values()), list(refused.values()), list(finals.values()))


def _tasks(sweep: Sweep, protocol: Protocol, root: Path) -> list[tuple[Task, float | None]]:
    """Every task at every level, with its resolved parameters."""
    pairs: list[tuple[Task, float | None]] = []
    for entry in (TaskEntry(entry) if isinstance(entry, str) else entry for entry in sweep.tasks):
        kind = TASKS.get(entry.name)
        params = kind.resolve(convert(entry.params, kind.Params, f"parameters of {entry.name}"), root, protocol)
        for rho in entry.rho or kind.rhos or (None,):
            problem = kind.check_rho(rho)
            if problem is not None:
                raise ConfigError(f"task {entry.name}: {problem}")
            pairs.append((kind(params), rho))
    return pairs
