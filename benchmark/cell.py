"""Cells: (task, rho, method, parameters, seed, protocol) and their content-addressed keys."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from benchmark.config import convert
from benchmark.errors import NotApplicableError
from benchmark.method import Method, Supervision
from benchmark.protocol import Protocol
from benchmark.registry import METHODS, TASKS
from benchmark.task import Setting, Task
from benchmark.tuning.note import Tuning

ENGINE_VERSION = 1
"""Raise it whenever the harness itself (training loop, streams, evaluation) would give other numbers."""

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Cell:
    """One run, fully resolved: two cells with equal fields give equal records.

    Attributes:
        task: Name of the task.
        task_version: Its behaviour version.
        task_params: All its parameters, defaults and resolved choices (such as the data source) included.
        rho: Level of bias; ``None`` where natural.
        method: Name of the method.
        method_version: Its behaviour version.
        params: All its parameters, defaults included.
        seed: Of data, initialisation and order.
        protocol: Budget and rules.
        precision: Of forward passes.
        upstream: Keys of the cells that it starts from, by role.
        engine_version: Behaviour version of the harness.
        diagnostics: What is measured of the final model beside its predictions. Not part of the cell's identity: it
            changes neither the key nor the rest of the record.
        tuning: The part that it plays in a tuning, if any. Not part of its identity either.
    """

    task: str
    task_version: int
    task_params: dict[str, Any]
    rho: float | None
    method: str
    method_version: int
    params: dict[str, Any]
    seed: int
    protocol: Protocol
    precision: Precision = "fp32"
    upstream: dict[str, str] = field(default_factory=dict)
    engine_version: int = ENGINE_VERSION
    diagnostics: tuple[str, ...] = field(default=(), compare=False)
    tuning: Tuning | None = field(default=None, compare=False)

    @cached_property
    def key(self) -> str:
        """20 hex digits of the SHA-256 of the identity's canonical JSON (sorted keys, shortest floats)."""
        identity = msgspec.to_builtins(self)
        for name in ("diagnostics", "tuning"):
            identity.pop(name, None)  # msgspec leaves out defaults of instances that it has decoded
        return hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:20]

    @property
    def title(self) -> str:
        """For progress lines and messages."""
        level = "natural rho" if self.rho is None else f"rho {self.rho:g}"
        return f"{self.task} {level} {self.method} seed {self.seed}"

    def setting(self, root: Path) -> Setting:
        """What the cell asks of its task's data."""
        return Setting(self.rho, self.seed, self.protocol, root)


def as_dict(params: Any) -> dict[str, Any]:
    """A parameter dataclass as plain JSON values, defaults included (msgspec leaves them out of what it has built)."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dataclasses.asdict(params)))
    return plain


def task_of(cell: Cell) -> Task:
    """The cell's task, with its parameters."""
    kind = TASKS.get(cell.task)
    return kind(convert(cell.task_params, kind.Params, f"parameters of {cell.task}"))


def method_of(cell: Cell) -> Method:
    """The cell's method, with its parameters."""
    return configured(cell.method, cell.params)


def configured(name: str, params: Mapping[str, Any]) -> Method:
    """A method with some of its parameters given, the others at their defaults.

    Raises:
        ConfigError: Unknown method or parameter, or a value of the wrong type.
    """
    kind = METHODS.get(name)
    return kind(convert(dict(params), kind.Params, f"parameters of {name}"))


def make_cell(
    task: Task,
    rho: float | None,
    method_name: str,
    params: dict[str, Any],
    seed: int,
    protocol: Protocol,
    precision: Precision = "fp32",
) -> Cell:
    """Resolve a method's parameters on a task (whose own are resolved already) into a cell.

    Raises:
        ConfigError: Unknown method or parameter, or a value of the wrong type.
        NotApplicableError: The method cannot run on the task.
    """
    method = configured(method_name, params)
    reason = method.not_applicable(task)
    if reason is not None:
        raise NotApplicableError(task.name, method_name, reason)
    upstream = {
        role: make_cell(task, rho, start.method, start.params, seed, protocol, precision).key
        for role, start in method.upstream().items()
    }
    return Cell(
        task=task.name,
        task_version=task.version,
        task_params=as_dict(task.params),
        rho=None if rho is None else float(rho),
        method=method_name,
        method_version=method.version,
        params=as_dict(method.params),
        seed=seed,
        protocol=protocol,
        precision=precision,
        upstream=upstream,
    )


def upstream_cells(cell: Cell) -> dict[str, Cell]:
    """The cells that this one starts from, by role; what a trial starts from is no result either."""
    task = task_of(cell)
    trial = cell.tuning if cell.tuning is not None and cell.tuning.purpose == "trial" else None
    note = None if trial is None else Tuning(trial.study, "trial")
    return {
        role: replace(
            make_cell(task, cell.rho, start.method, start.params, cell.seed, cell.protocol, cell.precision),
            tuning=note,
        )
        for role, start in method_of(cell).upstream().items()
    }


class Siblings:
    """Resolves cells that differ in their seed alone together: a sweep has thousands of cells and few kinds of them."""

    def __init__(self) -> None:
        """Remembers what it has asked the plugins: one instance per command."""
        self._starts: dict[bytes, dict[str, Cell]] = {}
        self._seeded: dict[tuple[str, str | None, int], Cell] = {}

    def upstream(self, cell: Cell) -> dict[str, Cell]:
        """The same as :func:`upstream_cells`."""
        trial = cell.tuning.study if cell.tuning is not None and cell.tuning.purpose == "trial" else None
        kind = msgspec.json.encode(
            (cell.task, cell.task_params, cell.rho, cell.method, cell.params, cell.protocol, cell.precision, trial)
        )
        starts = self._starts.get(kind)
        if starts is None:
            starts = self._starts[kind] = upstream_cells(cell)
        found = {}
        for role, start in starts.items():  # most methods start from the same cell: its key is made once
            which = (start.key, trial, cell.seed)
            if which not in self._seeded:
                self._seeded[which] = self.with_seed(start, cell.seed)
            found[role] = self._seeded[which]
        return found

    def with_seed(self, cell: Cell, seed: int) -> Cell:
        """The cell that :func:`make_cell` would make with another seed; it has no diagnostics."""
        if cell.seed == seed and not cell.diagnostics:
            return cell
        other = replace(cell, seed=seed, upstream={}, diagnostics=())
        starts = self.upstream(other) if cell.upstream else {}
        return replace(other, upstream={role: start.key for role, start in starts.items()}) if starts else other


def supervision_of(cell: Cell) -> Supervision:
    """What a cell is given, with what the cells were given that it starts from: a mask may tell of bias labels."""
    declared = [METHODS.get(cell.method).supervision, *map(supervision_of, upstream_cells(cell).values())]
    return Supervision(
        bias_labels=any(supervision.bias_labels for supervision in declared),
        unbiased_split=any(supervision.unbiased_split for supervision in declared),
    )
