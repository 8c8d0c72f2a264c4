"""The ``tune`` part of a sweep file: which methods, where, by what, and how many trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from benchmark.cell import Precision, make_cell, supervision_of
from benchmark.config import convert
from benchmark.errors import ConfigError, UnknownNameError
from benchmark.protocol import Protocol
from benchmark.registry import METHODS
from benchmark.task import Task
from benchmark.tuning.note import Tuning
from benchmark.tuning.objective import AUTOMATIC, OBJECTIVES, objective_for
from benchmark.tuning.space import Axis, check_space, middle_of
from benchmark.tuning.study import Pruner, Sampler, Study


@dataclass(frozen=True)
class Transfer:
    """Tune at one level and use what is chosen at all.

    Attributes:
        rho: The level; it need not be one of the sweep's. A task at its natural level is tuned there.
    """

    rho: float


@dataclass(frozen=True)
class Tune:
    """What of a sweep is tuned.

    Attributes:
        methods: For each method the parameters with their axes, or ``default`` for the space that it publishes.
        trials: That must have finished, in each study; pruned and failed ones count.
        objective: A name of :data:`benchmark.tuning.objective.OBJECTIVES`, or ``auto``.
        sampler: ``tpe`` or ``random``.
        pruner: ``median`` ends a trial whose candidates so far are worse than the median of the others'; ``none``.
        scope: ``each``: a study for every task and level; or ``{rho: …}``, see :class:`Transfer`.
        seed: Of all trials; none of the sweep's.
    """

    methods: dict[str, Literal["default"] | dict[str, Axis]]
    trials: Annotated[int, msgspec.Meta(ge=1)] = 20
    objective: str = AUTOMATIC
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    scope: Literal["each"] | Transfer = "each"
    seed: int = 1000

    def check(self, methods: Iterable[tuple[str, list[dict[str, Any]]]], seeds: Iterable[int]) -> None:
        """Refuse what does not go with the rest of the sweep.

        Args:
            methods: The sweep's methods, each with the parameters that each of its variants sets.
            seeds: The sweep's.

        Raises:
            ConfigError: A method that is not there or sets all that is tuned, a space that it has not, a seed of the
                results, an objective that does not exist.
        """
        if self.seed in seeds:
            raise ConfigError(f"tune.seed is {self.seed}, which is one of the sweep's seeds; tune on another one")
        if self.objective != AUTOMATIC and self.objective not in OBJECTIVES:
            raise UnknownNameError("objective in tune", self.objective, (AUTOMATIC, *OBJECTIVES))
        listed = list(methods)
        for name in self.methods:
            variants = [params for known, every in listed if known == name for params in every]
            if not variants:
                raise UnknownNameError("method in tune.methods (the sweep does not list it)", name, dict(listed))
            check_space(METHODS.get(name), self.space(name), f"tune.methods.{name}")
            if not any(self.is_tuned(name, params) for params in variants):
                raise ConfigError(
                    f"tune.methods.{name}: the sweep's methods set {', '.join(self.space(name))}; leave it out"
                )

    def space(self, method: str) -> dict[str, Axis]:
        """Where the parameters of a method are looked for.

        Raises:
            ConfigError: It publishes no space.
        """
        asked = self.methods[method]
        if asked != "default":
            return asked
        published = METHODS.get(method).search_space
        if not published:
            raise ConfigError(f"tune.methods.{method}: the method publishes no search space; give one")
        return convert({name: asdict(axis) for name, axis in published.items()}, dict[str, Axis], method)

    def is_tuned(self, method: str, params: Mapping[str, Any]) -> bool:
        """Whether a variant is tuned; one that sets what would be tuned is run as it is.

        Raises:
            ConfigError: It sets some of the parameters only.
        """
        if method not in self.methods:
            return False
        space = self.space(method)
        both = sorted(set(space) & set(params))
        if both and len(both) < len(space):
            raise ConfigError(f"method {method}: {', '.join(both)} is set and tuned; keep one")
        return not both

    def study(
        self,
        task: Task,
        rho: float | None,
        method: str,
        params: dict[str, Any],
        protocol: Protocol,
        precision: Precision,
    ) -> Study:
        """The study whose choice a cell waits for.

        Raises:
            ConfigError: The method may not be tuned by this objective.
            NotApplicableError: The method cannot run on the task.
        """
        if isinstance(self.scope, Transfer) and rho is not None:
            rho = self.scope.rho
            problem = task.check_rho(rho)
            if problem is not None:
                raise ConfigError(f"tune.scope, task {task.name}: {problem}")
        space = self.space(method)
        start = {**params, **middle_of(METHODS.get(method), space)}
        cell = make_cell(task, rho, method, start, self.seed, protocol, precision)
        given = supervision_of(cell)
        objective = objective_for(self.objective, method, (given.bias_labels, given.unbiased_split), task)
        study = Study(cell, space, objective, self.sampler, self.pruner, self.trials)
        return replace(study, like=replace(cell, tuning=Tuning(study.name, "trial")))
