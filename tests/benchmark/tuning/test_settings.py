"""The `tune` part of a sweep: what is tuned where, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.errors import ConfigError
from benchmark.sweep import Expansion
from benchmark.tuning.space import Axis

Tuned = Callable[..., Expansion]


def test_each_task_and_level_has_a_study_whose_choice_all_seeds_wait_for(tuned: Tuned) -> None:
    tasks = [{"name": "toy", "rho": [0.8, 0.9]}, {"name": "toy", "rho": [0.8], "params": {"noise": 0.1}}]
    finals = tuned(sweep={"tasks": tasks, "seeds": 3}).finals
    assert len(finals) == 9
    assert len({final.study.name for final in finals}) == 3
    assert all(final.rho == final.study.like.rho for final in finals)
    assert {final.seed for final in finals} == {0, 1, 2}
    assert {final.study.like.seed for final in finals} == {1000}


def test_parameters_that_are_not_tuned_are_part_of_the_study(tuned: Tuned) -> None:
    methods = [{"name": "toy_gamma", "grid": {"pause": [0, 0.01]}}, "toy_erm"]
    expansion = tuned(sweep={"methods": methods})
    assert len({final.study.name for final in expansion.finals}) == 2
    assert [cell.method for cell in expansion.cells] == ["toy_erm", "toy_erm"]


def test_a_variant_that_sets_what_is_tuned_is_run_as_it_is(tuned: Tuned) -> None:
    expansion = tuned(sweep={"methods": ["toy_gamma", {"name": "toy_gamma", "params": {"gamma": 3}}]})
    assert [cell.params["gamma"] for cell in expansion.cells] == [3, 3]
    assert len(expansion.finals) == 2


def test_a_choice_at_one_level_is_transferred_to_the_others(tuned: Tuned) -> None:
    tasks = [{"name": "toy", "rho": [0.8, 0.95]}]
    finals = tuned(sweep={"tasks": tasks, "seeds": 1}, scope={"rho": 0.9}).finals
    assert [(final.rho, final.study.like.rho) for final in finals] == [(0.8, 0.9), (0.95, 0.9)]
    assert len({final.study.name for final in finals}) == 1


def test_the_published_space_is_the_default(tuned: Tuned) -> None:
    assert tuned().finals[0].study.space == {"gamma": Axis(0.01, 100, log=True)}
    own = tuned(methods={"toy_gamma": {"gamma": {"low": 1, "high": 2}}})
    assert own.finals[0].study.space == {"gamma": Axis(1, 2)}


def test_pairs_that_cannot_run_are_left_out_with_their_reason(tuned: Tuned) -> None:
    expansion = tuned(sweep={"tasks": ["toy", "toy_unlabelled"]})
    assert [pair.task for pair in expansion.not_applicable] == ["toy_unlabelled"]
    assert {final.like.task for final in expansion.finals} == {"toy"}


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"trails": 3}, "unknown key in sweep.yaml.tune 'trails'; did you mean 'trials'?"),
        ({"trials": 0}, "Expected `int` >= 1"),
        ({"seed": 1}, "tune.seed is 1, which is one of the sweep's seeds"),
        ({"sampler": "grid"}, "Invalid enum value 'grid'"),
        ({"objective": "unbiased"}, "unknown objective in tune 'unbiased'; did you mean 'unbiased_val'?"),
        ({"objective": "balanced_val"}, "toy_gamma on toy may not be tuned by balanced_val.*not given bias labels"),
        ({"scope": "all"}, "Invalid enum value 'all'"),
        ({"scope": {"rho": 2}}, "tune.scope, task toy: "),
        ({"scope": {"roh": 0.9}}, "did you mean 'rho'?"),
        (
            {"methods": {"toy_gama": "default"}},
            r"unknown method in tune.methods .* 'toy_gama'; did you mean 'toy_gamma'?",
        ),
        ({"methods": {"toy_gamma": {"gama": {"low": 1, "high": 2}}}}, "did you mean 'gamma'?"),
        ({"methods": {"toy_gamma": {"gamma": {"low": 1, "hgih": 2}}}}, "did you mean 'high'?"),
        ({"methods": {"toy_gamma": "defualt"}}, "Invalid enum value 'defualt'"),
    ],
)
def test_what_no_sweep_means_is_refused(tuned: Tuned, tune: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        tuned(**tune)


def test_a_method_without_a_space_of_its_own_needs_one(tuned: Tuned) -> None:
    with pytest.raises(ConfigError, match="toy_erm: the method publishes no search space; give one"):
        tuned(sweep={"methods": ["toy_erm"]}, methods={"toy_erm": "default"})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"gamma": 1.0}, "the sweep's methods set gamma; leave it out"),
        ({"gamma": 1.0, "pause": 0.0}, "gamma is set and tuned; keep one"),
    ],
)
def test_a_method_whose_parameters_are_set_is_not_tuned(tuned: Tuned, params: dict[str, Any], message: str) -> None:
    axes = {"gamma": {"low": 1, "high": 2}, **({"fail": {"low": 1, "high": 2}} if "pause" in params else {})}
    with pytest.raises(ConfigError, match=message):
        tuned(sweep={"methods": [{"name": "toy_gamma", "params": params}]}, methods={"toy_gamma": axes})
