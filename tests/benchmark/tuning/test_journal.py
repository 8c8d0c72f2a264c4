"""A study never has more trials than its budget, whatever happens to those who run them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from benchmark.sweep import Expansion
from benchmark.tuning.decision import read_decision
from benchmark.tuning.journal import Journal, Taken
from benchmark.tuning.proposals import sampler
from benchmark.tuning.space import Axis
from benchmark.tuning.study import Study
from tests.children import exit_code, in_child


@pytest.fixture
def study(tuned: Callable[..., Expansion]) -> Study:
    return tuned(trials=6).finals[0].study


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "results")


def opened(journal: Journal, study: Study) -> optuna.Study:
    """The study as any program of Optuna's opens it."""
    return optuna.load_study(study_name=study.name, storage=JournalStorage(JournalFileBackend(str(journal.path))))


def finish(taken: Taken | None, value: float) -> None:
    assert taken is not None
    with taken:
        taken.complete(value, "a key")


def test_workers_side_by_side_use_up_the_budget_exactly(journal: Journal, study: Study, tmp_path: Path) -> None:
    def work() -> None:
        mine = Journal(tmp_path / "results")
        while mine.decide(study) is None:
            taken = mine.take(study)
            if taken is not None:
                time.sleep(0.02)
                finish(taken, taken.values["gamma"])

    children = [in_child(work) for _ in range(3)]
    assert [exit_code(child) for child in children] == [0, 0, 0]
    trials = opened(journal, study).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    gammas = [float(f"{trial.params['gamma']:.4g}") for trial in trials]
    assert len(set(gammas)) == 6
    decision = read_decision(tmp_path / "results", study)
    assert decision is not None
    assert (decision.values, decision.value, decision.trials) == ({"gamma": max(gammas)}, max(gammas), 6)
    assert journal.take(study) is None


def test_what_a_killed_worker_left_is_taken_up_under_its_number_with_its_values(
    journal: Journal, study: Study, tmp_path: Path
) -> None:
    def work() -> None:
        taken = Journal(tmp_path / "results").take(study)
        assert taken is not None
        (tmp_path / "gamma").write_text(repr(taken.values["gamma"]))
        time.sleep(60)

    child = in_child(work)
    while not (tmp_path / "gamma").exists() or not (tmp_path / "gamma").read_text():
        time.sleep(0.01)
    other = journal.take(study)
    assert other is not None
    assert other.number == 1  # the first one lives
    os.kill(child, signal.SIGKILL)
    assert exit_code(child) == -signal.SIGKILL
    taken = journal.take(study)
    assert taken is not None
    assert (taken.number, repr(taken.values["gamma"])) == (0, (tmp_path / "gamma").read_text())
    finish(taken, 0.5)
    finish(other, 0.6)
    assert [trial.state.name for trial in opened(journal, study).trials] == ["COMPLETE", "COMPLETE"]


def test_a_trial_that_was_left_before_it_had_values_is_given_some(journal: Journal, study: Study) -> None:
    first = journal.take(study)
    opened(journal, study).ask()
    second = journal.take(study)
    assert first is not None
    assert second is not None
    assert second.number == 1
    assert 0.01 <= second.values["gamma"] <= 100
    assert opened(journal, study).trials[1].params == pytest.approx(second.values, rel=1e-3)


def test_a_worker_that_was_taken_for_dead_changes_nothing(journal: Journal, study: Study) -> None:
    taken = journal.take(study)
    assert taken is not None
    opened(journal, study).tell(taken.number, 0.75)
    finish(taken, 0.25)
    assert opened(journal, study).trials[0].value == 0.75


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(journal: Journal, study: Study) -> None:
    for value in (0.3, 0.5, 0.4, 0.1, 0.2, 0.0):
        finish(journal.take(study), value)
    decision = journal.decide(study)
    assert decision is not None
    assert (decision.number, decision.value) == (1, 0.5)
    larger = replace(study, trials=7)
    assert journal.decide(larger) is None
    finish(journal.take(larger), 0.9)
    assert journal.take(larger) is None
    decision = journal.decide(larger)
    assert decision is not None
    assert (decision.number, decision.value, decision.trials) == (6, 0.9, 7)


def test_pruned_and_failed_trials_count_and_are_never_chosen(journal: Journal, study: Study) -> None:
    for state in ("prune", "fail", "complete", "complete", "prune", "fail"):
        taken = journal.take(study)
        assert taken is not None
        assert journal.decide(study) is None
        with taken:
            if state == "prune":
                taken.report(0, 0.99)
                taken.prune("a key")
            elif state == "fail":
                taken.fail("a key", "error: it")
            else:
                taken.complete(0.5, f"cell {taken.number}")
    tally = journal.tally(study)
    assert (tally.complete, tally.pruned, tally.failed, tally.running) == (2, 2, 2, 0)
    decision = journal.decide(study)
    assert decision is not None
    assert (decision.number, decision.cell, decision.trials) == (2, "cell 2", 6)  # the earlier of equal ones
    assert opened(journal, study).trials[1].user_attrs["failure"] == "error: it"


def test_a_study_of_which_nothing_ran_through_chooses_nothing(journal: Journal, study: Study) -> None:
    for _ in range(6):
        taken = journal.take(study)
        assert taken is not None
        with taken:
            taken.fail("a key", "error: it")
    decision = journal.decide(study)
    assert decision is not None
    assert (decision.number, decision.values) == (None, {})
    assert journal.forget(study.name) == ["a key"] * 6
    assert journal.tally(study).finished == 0


def test_hopeless_trials_are_those_below_the_median_of_the_others(journal: Journal, study: Study) -> None:
    for value in (0.5, 0.6, 0.7, 0.8, 0.9):
        taken = journal.take(study)
        assert taken is not None
        assert not any(taken.hopeless(step, value) for step in range(3))
        finish(taken, value)
    taken = journal.take(study)
    assert taken is not None
    assert not taken.hopeless(0, 0.1)  # nobody is judged by the first candidate
    assert taken.hopeless(1, 0.69)
    assert not taken.hopeless(2, 0.71)


def test_without_a_pruner_none_is(journal: Journal, study: Study) -> None:
    study = replace(study, pruner="none")
    for _ in range(5):
        taken = journal.take(study)
        assert taken is not None
        taken.report(1, 1.0)
        finish(taken, 1.0)
    taken = journal.take(study)
    assert taken is not None
    assert not taken.hopeless(1, 0.0)


def test_a_trial_may_tell_a_candidate_again(journal: Journal, study: Study, recwarn: pytest.WarningsRecorder) -> None:
    taken = journal.take(study)
    assert taken is not None
    taken.report(0, 0.1)
    taken.report(0, 0.2)
    assert opened(journal, study).trials[0].intermediate_values == {0: 0.1}
    assert not [warning for warning in recwarn if "already reported" in str(warning.message)]


def test_random_proposals_do_not_depend_on_how_many_work(study: Study, tmp_path: Path) -> None:
    study = replace(study, sampler="random")
    together = [Journal(tmp_path / "together").take(study) for _ in range(6)]
    alone = []
    for _ in range(6):
        taken = Journal(tmp_path / "alone").take(study)
        assert taken is not None
        alone.append(taken.values)
        finish(taken, 0.5)
    assert [taken.values for taken in together if taken is not None] == alone


def test_samplers_are_seeded_by_study_and_trial(study: Study) -> None:
    other = replace(study, objective=replace(study.objective, name="another"))
    draws = [sampler(one, number)._rng.rng.random() for one in (study, other) for number in range(50)]  # type: ignore[attr-defined]
    assert len(set(draws)) == 100


def test_whole_numbers_and_choices_are_proposed_as_such(journal: Journal, study: Study) -> None:
    axes = {"gamma": Axis(1, 3), "log": Axis(choices=("", "x"))}
    taken = journal.take(replace(study, space=axes))
    assert taken is not None
    assert 1 <= taken.values["gamma"] <= 3
    assert taken.values["log"] in ("", "x")


def test_a_line_that_was_never_finished_does_no_harm(journal: Journal, study: Study) -> None:
    finish(journal.take(study), 0.5)
    with journal.path.open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    finish(journal.take(study), 0.6)
    assert [trial.value for trial in opened(journal, study).trials] == [0.5, 0.6]


def test_looking_creates_nothing(journal: Journal, study: Study) -> None:
    assert journal.tally(study).finished == 0
    assert not journal.path.parent.exists()
