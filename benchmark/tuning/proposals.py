"""How Optuna proposes values, and how it recognises trials that are worth no more time."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmark.registry import METHODS
from benchmark.tuning.space import Axis, is_integer
from benchmark.tuning.study import Study

if TYPE_CHECKING:
    import optuna

DIGITS = 4
STARTUP_TRIALS = 5
"""Trials that have to run through before others are compared with them."""
WARMUP_STEPS = 1
"""Candidates of a trial by which it is not judged."""


def propose(study: Study, trial: optuna.Trial) -> dict[str, Any]:
    """A value for each axis; a trial that was given some before keeps them."""
    method = METHODS.get(study.like.method)
    with quiet():
        proposed = {
            name: _suggest(trial, name, axis, integer=not axis.choices and is_integer(method, name))
            for name, axis in study.space.items()
        }
    return readable(study, proposed)


def readable(study: Study, proposed: Mapping[str, Any]) -> dict[str, Any]:
    """Proposals as cells use them: of floats from a range no more digits than make a difference."""
    return {name: _rounded(study.space[name], value) for name, value in proposed.items()}


def _rounded(axis: Axis, value: Any) -> Any:
    if axis.low is None or axis.high is None or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), axis.low), axis.high)


def sampler(study: Study, number: int) -> optuna.samplers.BaseSampler:
    """A sampler for one trial, with a seed of its own: workers side by side never propose the same by accident.

    With ``random`` the proposals are the same however many workers there are.
    """
    from optuna.samplers import RandomSampler, TPESampler

    seed = int.from_bytes(hashlib.sha256(f"{study.name} {number}".encode()).digest()[:4], "big")
    if study.sampler == "random":
        return RandomSampler(seed)
    return TPESampler(seed=seed, multivariate=len(study.space) > 1, constant_liar=True)


def pruner(study: Study) -> optuna.pruners.BasePruner:
    """Who says that a trial is hopeless."""
    from optuna.pruners import MedianPruner, NopPruner

    if study.pruner == "none":
        return NopPruner()
    return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_STEPS)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's log lines and its notes on experimental arguments."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _suggest(trial: optuna.Trial, name: str, axis: Axis, *, integer: bool) -> Any:
    if axis.low is None or axis.high is None:
        return trial.suggest_categorical(name, axis.choices)
    if integer:
        return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(name, axis.low, axis.high, log=axis.log)
