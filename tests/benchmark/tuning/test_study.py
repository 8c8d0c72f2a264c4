"""Studies are named by all that decides what a trial is; trials and results are ordinary cells."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.cell import upstream_cells
from benchmark.sweep import Expansion
from benchmark.tuning.objective import OBJECTIVES
from benchmark.tuning.space import Axis
from benchmark.tuning.study import Final, Study

Tuned = Callable[..., Expansion]

axes = st.builds(
    lambda low, span, log: Axis(low, low + span, log),
    st.floats(0.001, 10),
    st.floats(0.001, 100),
    st.booleans(),
)
changes = st.fixed_dictionaries(
    {
        "space": st.fixed_dictionaries({"gamma": axes}),
        "objective": st.sampled_from(list(OBJECTIVES.values())),
        "sampler": st.sampled_from(["tpe", "random"]),
        "pruner": st.sampled_from(["median", "none"]),
        "seed": st.integers(0, 2000),
        "rho": st.sampled_from([0.8, 0.9]),
    }
)


def changed(study: Study, change: dict[str, object]) -> Study:
    cell = replace(study.like, seed=change["seed"], rho=change["rho"])
    return replace(study, like=cell, **{name: value for name, value in change.items() if name not in ("seed", "rho")})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(first=changes, second=changes, trials=st.integers(1, 1000))
def test_names_differ_exactly_where_trials_would(tuned: Tuned, first: object, second: object, trials: int) -> None:
    study = tuned().finals[0].study
    one, other = changed(study, first), changed(study, second)  # type: ignore[arg-type]
    assert (one.name == other.name) == (first == second)
    assert replace(one, trials=trials).name == one.name
    assert msgspec.json.decode(msgspec.json.encode(one), type=Study).name == one.name
    assert re.fullmatch(r"toy-0\.[89]-toy_gamma-[0-9a-f]{10}", one.name)


def test_a_trial_is_the_cell_that_a_sweep_would_have_made(tuned: Tuned, cells_of: Callable[..., list[object]]) -> None:
    study = tuned().finals[0].study
    cell = study.cell({"gamma": 2.5}, 7)
    (plain,) = cells_of({"name": "toy_gamma", "params": {"gamma": 2.5}}, seeds=[1000])
    assert cell.key == plain.key  # type: ignore[attr-defined]
    assert cell.tuning is not None
    assert (cell.tuning.purpose, cell.tuning.number, cell.tuning.study) == ("trial", 7, study.name)
    (start,) = upstream_cells(cell).values()
    assert start.tuning is not None
    assert start.tuning.purpose == "trial"


def test_a_result_has_its_own_level_and_seed_and_tells_what_chose_it(tuned: Tuned) -> None:
    tasks = [{"name": "toy", "rho": [0.8]}]
    final = tuned(sweep={"tasks": tasks}, scope={"rho": 0.9}).finals[1]
    cell = final.cell({"gamma": 0.5}, 12)
    assert (cell.rho, cell.seed, cell.params["gamma"]) == (0.8, 1, 0.5)
    note = cell.tuning
    assert note is not None
    assert (note.purpose, note.trials, note.values) == ("result", 12, {"gamma": 0.5})
    assert note.data == "targets and bias labels of an unbiased validation split, seed 1000, rho 0.9"
    assert all(start.tuning is None for start in upstream_cells(cell).values())


def test_what_waits_survives_being_written_down(tuned: Tuned) -> None:
    final = tuned().finals[0]
    back = msgspec.json.decode(msgspec.json.encode(final), type=Final)
    assert back.key == final.key
    assert back.cell({"gamma": 1.0}, 3).key == final.cell({"gamma": 1.0}, 3).key


def test_notes_are_no_part_of_a_cells_identity(tuned: Tuned) -> None:
    cell = tuned().finals[0].cell({"gamma": 0.5}, 12)
    assert replace(cell, tuning=None).key == cell.key
    assert replace(cell, tuning=None) == cell
