"""Studies, and what is scheduled of them: trials while there is a budget, then the cells that wait for the choice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import msgspec

from benchmark.cell import Cell, as_dict, make_cell, task_of
from benchmark.registry import METHODS
from benchmark.tuning.note import NOT_YET_TUNED, Tuning
from benchmark.tuning.objective import Objective
from benchmark.tuning.space import Axis, corner_of

TRIAL_DIAGNOSTICS = ("decodability",)
"""What is measured of every trial, so that its bias accuracy can be shown beside its score; no choice looks at it."""
Sampler = Literal["tpe", "random"]
Pruner = Literal["median", "none"]


@dataclass(frozen=True)
class Study:
    """The search for a method's parameters on one task, at one level, under one protocol.

    Attributes:
        like: The cell of a trial with a value from the middle of each axis, on the seed of the tuning.
        space: What is searched, by parameter.
        objective: What a trial is judged by.
        sampler: How values are proposed.
        pruner: How hopeless trials are recognised.
        trials: How many must have finished. Not part of the study's identity: with a larger budget it goes on.
    """

    like: Cell
    space: dict[str, Axis]
    objective: Objective
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    trials: int = 20

    @cached_property
    def name(self) -> str:
        """Task, level, method, and a hash of all that decides what a trial is; ``like`` stands for its fixed part."""
        identity = [self.like.key, as_dict(self)["space"], self.objective.name, self.sampler, self.pruner]
        digest = hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()[:10]
        level = "natural" if self.like.rho is None else f"{self.like.rho:g}"
        return f"{self.like.task}-{level}-{self.like.method}-{digest}"

    @property
    def title(self) -> str:
        """For messages."""
        level = "natural rho" if self.like.rho is None else f"rho {self.like.rho:g}"
        return f"{self.like.method} on {self.like.task} {level}"

    @property
    def data(self) -> str:
        """What the choice has seen, for tables."""
        level = "" if self.like.rho is None else f", rho {self.like.rho:g}"
        return f"{self.objective.data}, seed {self.like.seed}{level}"

    def cell(self, values: dict[str, Any], number: int) -> Cell:
        """The cell of a trial."""
        tried = self._with(values, self.like.rho, self.like.seed)
        return replace(tried, tuning=Tuning(self.name, "trial", number, values=values), diagnostics=TRIAL_DIAGNOSTICS)

    def result(self, values: dict[str, Any], trials: int, rho: float | None, seed: int) -> Cell:
        """A cell with the values that so many trials have chosen."""
        chosen = self._with(values, rho, seed)
        return replace(chosen, tuning=Tuning(self.name, "result", None, trials, self.data, values))

    @cached_property
    def has_fixed_starts(self) -> bool:
        """Whether its cells start from the same ones whatever is chosen, as far as a corner of the space tells."""
        corner = corner_of(METHODS.get(self.like.method), self.space)
        return self._with(corner, self.like.rho, self.like.seed).upstream == self.like.upstream

    def _with(self, values: dict[str, Any], rho: float | None, seed: int) -> Cell:
        like = self.like
        params = {**like.params, **values}
        return make_cell(task_of(like), rho, like.method, params, seed, like.protocol, like.precision)


@dataclass(frozen=True)
class Trial:
    """A place in a study's budget: whoever gets it runs the next trial that is not running, if there is one left.

    Attributes:
        study: Whose.
        place: Tells places apart; not the number of the trial.
    """

    study: Study
    place: int

    @property
    def key(self) -> str:
        """Unique among what is scheduled."""
        return f"{self.study.name}.trial{self.place}"

    @property
    def title(self) -> str:
        """For progress lines."""
        return f"trial of {self.study.title}"

    @property
    def like(self) -> Cell:
        """A cell that costs about as much."""
        return self.study.like


@dataclass(frozen=True)
class Final:
    """A cell of a sweep whose parameters are chosen by a study.

    Attributes:
        study: Which; it may be that of another level.
        rho: Level of the cell.
        seed: Of the cell.
        diagnostics: See :class:`benchmark.cell.Cell`.
    """

    study: Study
    rho: float | None
    seed: int
    diagnostics: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique among what is scheduled; the cell's own key is known when its parameters are."""
        return f"{self.study.name}.rho{self.rho}.seed{self.seed}"

    @property
    def title(self) -> str:
        """As the cell's."""
        return self.like.title

    @cached_property
    def like(self) -> Cell:
        """The cell, with parameters that only serve to tell what it will cost."""
        return replace(self.study.like, rho=self.rho, seed=self.seed, tuning=None)

    @property
    def undecided(self) -> Cell:
        """The cell, for tables, while nothing is chosen."""
        params = {**self.like.params, **dict.fromkeys(self.study.space, NOT_YET_TUNED)}
        return replace(self.like, params=params, tuning=Tuning(self.study.name, "result", data=self.study.data))

    def cell(self, values: dict[str, Any], trials: int) -> Cell:
        """The cell."""
        return replace(self.study.result(values, trials, self.rho, self.seed), diagnostics=self.diagnostics)


Unit = Cell | Trial | Final
"""What is handed to workers."""


def like(unit: Unit) -> Cell:
    """A cell that tells task, method, protocol and cost."""
    return unit if isinstance(unit, Cell) else unit.like
