"""Trials are ordinary cells: run once, resumed, failed with a reason; their values are those of their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.cell import Cell, upstream_cells
from benchmark.executor import Event
from benchmark.planner import make_plan, what_is_left
from benchmark.record import Record
from benchmark.store import Store
from benchmark.sweep import Expansion
from benchmark.tuning.decision import read_decision
from benchmark.tuning.journal import Journal
from benchmark.tuning.objective import values_of
from benchmark.tuning.study import Study, Trial

Tuned = Callable[..., Expansion]
RunTuned = Callable[..., list[Event]]
Records = Callable[[Path], dict[str, Record]]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def the_study(expansion: Expansion) -> Study:
    return expansion.finals[0].study


def by_purpose(found: dict[str, Record]) -> Counter[str]:
    return Counter("plain" if r.cell.tuning is None else r.cell.tuning.purpose for r in found.values())


def test_trials_run_then_the_seeds_with_the_best_value(
    tuned: Tuned, run_tuned: RunTuned, records: Records, results: Path
) -> None:
    expansion = tuned(trials=5, pruner="none")
    run_tuned(expansion, results)
    study, found = the_study(expansion), records(results)
    trials = [r for r in found.values() if r.cell.tuning and r.cell.tuning.number is not None]
    worth = {r.cell.params["gamma"]: max(values_of(r, study.objective).items())[1] for r in trials}
    assert len(worth) == 5
    assert {r.cell.seed for r in trials} == {1000}
    decision = read_decision(results, study)
    assert decision is not None
    assert decision.value == max(worth.values()) == worth[decision.values["gamma"]]
    finals = [r for r in found.values() if r.cell.tuning and r.cell.tuning.purpose == "result"]
    assert {(r.cell.seed, r.cell.params["gamma"]) for r in finals} == {(s, decision.values["gamma"]) for s in (0, 1)}
    assert all(r.cell.tuning is not None and r.cell.tuning.trials == 5 for r in finals)
    # what trials start from is no result either; what results start from is
    assert {
        r.cell.seed: r.cell.tuning and r.cell.tuning.purpose for r in found.values() if r.cell.method == "toy_erm"
    } == {
        1000: "trial",
        0: None,
        1: None,
    }


def test_running_again_runs_nothing_and_a_larger_budget_only_its_rest(
    tuned: Tuned, run_tuned: RunTuned, records: Records, results: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    methods = [{"name": "toy_gamma", "params": {"log": str(log)}}]
    run_tuned(tuned(sweep={"methods": methods}, trials=3, pruner="none"), results)
    assert run_tuned(tuned(sweep={"methods": methods}, trials=3, pruner="none"), results) == []
    assert len(log.read_text().splitlines()) == 3 + 2
    expansion = tuned(sweep={"methods": methods}, trials=5, pruner="none")
    run_tuned(expansion, results)
    decision = read_decision(results, the_study(expansion))
    assert decision is not None
    assert decision.trials == 5
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 5
    assert by_purpose(records(results))["trial"] == 5 + 1


def test_watching_a_cell_changes_nothing_in_its_record(
    tuned: Tuned, run_tuned: RunTuned, records: Records, results: Path, cells_of: Any, run_cells: Any
) -> None:
    run_tuned(tuned(trials=2), results)
    trials = {k: r for k, r in records(results).items() if r.cell.method == "toy_gamma" and r.cell.seed == 1000}
    grid = [r.cell.params["gamma"] for r in trials.values()]
    plain = results.with_name("plain")
    run_cells(cells_of({"name": "toy_gamma", "grid": {"gamma": grid}}, seeds=[1000]), plain)
    expected = records(plain)
    assert len(trials) == 2
    for key, record in trials.items():
        assert record.comparable() == expected[key].comparable()


def test_a_trial_whose_cell_is_known_is_not_computed_again(
    tuned: Tuned, run_tuned: RunTuned, results: Path, cells_of: Any, run_cells: Any
) -> None:
    expansion = tuned(trials=2, sampler="random")
    study = the_study(expansion)
    proposed = [t.values["gamma"] for t in (Journal(results.with_name("elsewhere")).take(study) for _ in "12") if t]
    run_cells(cells_of({"name": "toy_gamma", "grid": {"gamma": proposed}}, seeds=[1000]), results)
    before = {Path(path): Path(path).stat().st_mtime_ns for _, path in Store(results).finished_files()}
    run_tuned(expansion, results)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert Journal(results).tally(study).complete == 2


def test_hopeless_trials_end_early_and_leave_a_failure_that_says_so(
    tuned: Tuned, run_tuned: RunTuned, records: Records, results: Path
) -> None:
    expansion = tuned(trials=14, sampler="random")
    run_tuned(expansion, results)
    tally = Journal(results).tally(the_study(expansion))
    assert tally.finished == 14
    assert tally.pruned > 0
    failures = [r.failure for r in records(results).values() if r.status == "failed"]
    assert len(failures) == tally.pruned
    assert all(f is not None and f.reason.startswith("pruned: unbiased_val is 0.") for f in failures)


def test_what_one_study_gives_up_another_may_run(
    tuned: Tuned, run_tuned: RunTuned, results: Path, records: Records
) -> None:
    expansion = tuned(trials=14, sampler="random")
    run_tuned(expansion, results)
    (key, pruned) = next((k, r) for k, r in records(results).items() if r.status == "failed")
    space = {"gamma": {"choices": [pruned.cell.params["gamma"]]}}
    run_tuned(tuned(methods={"toy_gamma": space}, trials=1), results)
    assert records(results)[key].status == "done"


def test_a_trial_whose_cell_fails_counts_as_failed(tuned: Tuned, run_tuned: RunTuned, results: Path) -> None:
    methods = [{"name": "toy_gamma", "params": {"fail": 1.0}}]
    expansion = tuned(sweep={"methods": methods}, trials=8)
    events = run_tuned(expansion, results)
    tally = Journal(results).tally(the_study(expansion))
    assert tally.finished == 8
    assert tally.failed == [event.kind for event in events].count("failed") > 0
    decision = read_decision(results, the_study(expansion))
    assert decision is not None
    assert decision.values["gamma"] <= 1


def test_if_every_trial_fails_the_cells_that_wait_have_failed_until_they_are_retried(
    tuned: Tuned, run_tuned: RunTuned, results: Path
) -> None:
    from benchmark.tuning.retry import forget_hopeless_studies

    flag = results.with_name("flag")
    methods = [{"name": "toy_gamma", "params": {"fail": 0.0, "log": str(flag)}}]
    expansion = tuned(sweep={"methods": methods}, trials=2)
    run_tuned(expansion, results)
    plan = make_plan(expansion.cells, Store(results), expansion.finals)
    assert plan.count("failed") == 2
    assert plan.to_run == []
    assert "none of its 2 trials ran through" in str(plan.studies[0].problem)
    assert forget_hopeless_studies(Store(results), {the_study(expansion).name}) == [the_study(expansion).name]
    assert len(make_plan(expansion.cells, Store(results), expansion.finals).to_run) == 2 + 2


def test_trials_wait_for_a_start_that_has_failed_to_be_mended(tuned: Tuned, run_tuned: RunTuned, results: Path) -> None:
    expansion = tuned(trials=3)
    study, store = the_study(expansion), Store(results)
    (start,) = upstream_cells(study.like).values()
    path = store.failure_path(start.key)
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    plan = make_plan(expansion.cells, store, expansion.finals)
    assert plan.count("failed") == 2
    assert "which has failed" in str(plan.studies[0].problem)
    assert plan.to_run == []
    store.forget_failure(start.key)
    run_tuned(expansion, results)
    assert Journal(results).tally(study).complete == 3


def test_a_start_that_fails_meanwhile_leaves_the_trial_open(tuned: Tuned, run_tuned: RunTuned, results: Path) -> None:
    expansion = tuned(trials=3)
    study, store = the_study(expansion), Store(results)
    plan = make_plan(expansion.cells, store, expansion.finals)
    (start,) = upstream_cells(study.like).values()
    store.failure_path(start.key).parent.mkdir(parents=True)
    store.failure_path(start.key).write_text("{}\n")
    from benchmark.executor import execute
    from benchmark.serve import Options

    events = list(execute(plan, Options(results, results, jobs=0)))
    assert {event.kind for event in events if not isinstance(event.cell, Cell)} == {"failed"}
    tally = Journal(results).tally(study)
    assert (tally.finished, tally.running) == (0, 1)
    store.forget_failure(start.key)
    run_tuned(expansion, results)
    assert Journal(results).tally(study).complete == 3


def test_a_job_that_finds_no_choice_helps_to_make_it(
    tuned: Tuned, run_tuned: RunTuned, results: Path, tmp_path: Path
) -> None:
    """Its pack has only a cell that waits; those whose packs had the trials are gone."""
    from benchmark.executor import execute
    from benchmark.serve import Options

    expansion = tuned(trials=3)
    plan = what_is_left(expansion.finals[:1], {}, Store(results))
    events = list(execute(plan, Options(results, tmp_path, jobs=0)))
    assert [event.kind for event in events] == ["done"]
    assert Journal(results).tally(the_study(expansion)).complete == 3


def test_what_is_left_of_a_pack_shrinks_with_the_budget(tuned: Tuned, run_tuned: RunTuned, results: Path) -> None:
    expansion = tuned(trials=4)
    study, store = the_study(expansion), Store(results)
    units = [*(Trial(study, place) for place in range(4)), *expansion.finals]
    assert len(what_is_left(units, {}, store).to_run) == 6
    run_tuned(tuned(trials=2), results)
    left = what_is_left(units, {expansion.finals[0].key: {units[0].key, units[3].key}}, store)
    assert [unit.key for unit in left.to_run] == [units[0].key, units[1].key, *(f.key for f in expansion.finals)]
    assert left.upstream[expansion.finals[0].key] == {units[0].key}
    run_tuned(expansion, results)
    assert what_is_left(units, {}, store).to_run == []


def test_a_choice_that_rests_on_a_larger_budget_serves_a_smaller_one(
    tuned: Tuned, run_tuned: RunTuned, results: Path
) -> None:
    run_tuned(tuned(trials=4), results)
    plan = make_plan([], Store(results), tuned(trials=2).finals)
    assert plan.to_run == []
    assert plan.studies[0].tally.finished == 4


def test_diagnostics_are_those_of_the_sweep_in_results_and_decodability_in_trials(
    tuned: Tuned, run_tuned: RunTuned, records: Records, results: Path
) -> None:
    run_tuned(tuned(sweep={"diagnostics": ["pruned"], "seeds": 1}, trials=1), results)
    found = {r.cell.seed: set(r.diagnostics) for r in records(results).values() if r.cell.method == "toy_gamma"}
    assert found == {1000: {"decodability"}, 0: {"pruned"}}


def test_finals_of_other_levels_use_the_transferred_choice(
    tuned: Tuned, run_tuned: RunTuned, records: Records, results: Path
) -> None:
    tasks = [{"name": "toy", "rho": [0.8, 0.95]}]
    expansion = tuned(sweep={"tasks": tasks, "seeds": 1}, trials=2, scope={"rho": 0.9})
    run_tuned(expansion, results)
    notes = [r.cell for r in records(results).values() if r.cell.tuning and r.cell.tuning.purpose == "result"]
    assert {cell.rho for cell in notes} == {0.8, 0.95}
    assert len({cell.params["gamma"] for cell in notes}) == 1
    assert all("rho 0.9" in replace(cell.tuning).data for cell in notes if cell.tuning)


def test_values_have_no_more_digits_than_people_read(tuned: Tuned, results: Path) -> None:
    study = the_study(tuned(trials=3, methods={"toy_gamma": {"gamma": {"low": 0.123456, "high": 0.1234567}}}))
    taken = Journal(results).take(study)
    assert taken is not None
    assert 0.123456 <= taken.values["gamma"] <= 0.1234567  # never outside of the range
    other = Journal(results).take(the_study(tuned()))
    assert other is not None
    assert len(f"{other.values['gamma']:.10g}".replace(".", "").strip("0")) <= 4
