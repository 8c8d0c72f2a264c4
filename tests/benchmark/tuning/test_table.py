"""What the results table and the leaderboard say of a tuning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from benchmark.aggregate import aggregate, write_table
from benchmark.cli import main
from benchmark.executor import Event
from benchmark.manifest import write_manifest
from benchmark.store import Store
from benchmark.sweep import Expansion, Sweep
from leaderboard import content, markdown
from leaderboard.board import Section, read_board
from leaderboard.drawing import looks_of
from leaderboard.gamma_figure import gamma
from leaderboard.references import read_references
from leaderboard.submission import read_submission

Tuned = Callable[..., Expansion]
RunTuned = Callable[..., list[Event]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def rows_of(store: Store, expansion: Expansion, folder: Path) -> list[dict[str, Any]]:
    write_manifest(store, "toy", Sweep(["toy"], ["toy_gamma"]), expansion)
    write_table(aggregate(store), folder / "results.parquet")
    rows: list[dict[str, Any]] = pq.read_table(folder / "results.parquet").to_pylist()
    return rows


def test_trials_are_told_from_results_which_tell_what_chose_them(
    tuned: Tuned, run_tuned: RunTuned, store: Store, tmp_path: Path
) -> None:
    expansion = tuned(trials=7, sampler="random", sweep={"methods": ["toy_gamma", "toy_erm"]})
    run_tuned(expansion, store.root)
    rows = rows_of(store, expansion, tmp_path)
    study = expansion.finals[0].study
    trials = {row["trial"]: row for row in rows if row["purpose"] == "tuning" and row["trial"] is not None}
    assert set(trials) == set(range(7))
    assert {row["study"] for row in trials.values()} == {study.name}
    assert all(json.loads(row["tuned"])["gamma"] == json.loads(row["params"])["gamma"] for row in trials.values())
    starts = [row for row in rows if row["method"] == "toy_erm" and row["seed"] == 1000]
    assert {(row["purpose"], row["study"], row["trial"]) for row in starts} == {("tuning", study.name, None)}
    results = [row for row in rows if row["purpose"] == "result"]
    assert {(row["method"], row["seed"], row["tuning_trials"], row["tuning_data"]) for row in results} == {
        ("toy_erm", 0, 0, None),
        ("toy_erm", 1, 0, None),
        ("toy_gamma", 0, 7, study.data),
        ("toy_gamma", 1, 7, study.data),
    }


def test_cells_that_wait_are_missing_and_say_so(tuned: Tuned, store: Store, tmp_path: Path) -> None:
    rows = rows_of(store, tuned(), tmp_path)
    assert [(row["status"], row["seed"], row["variant"], row["purpose"], row["tuning_trials"]) for row in rows] == [
        ("missing", seed, 'gamma="not yet tuned"', "result", None) for seed in (0, 1)
    ]
    assert {row["supervision"] for row in rows} == {"unbiased split"}
    board = read_board(tmp_path / "results.parquet")
    assert [entry.competitor.label for entry in board.sections[0].entries] == ["toy_gamma (tuned)"]
    assert "budgets differ" not in markdown.render(content.document(board, "last", read_references()))


def test_a_leaderboard_says_that_a_tuning_is_not_finished(
    tuned: Tuned, store: Store, tmp_path: Path, cells_of: Any, run_cells: Any
) -> None:
    run_cells(cells_of("toy_erm", seeds=2), store.root)
    rows_of(store, tuned(sweep={"methods": ["toy_gamma", "toy_erm"]}), tmp_path)
    board = read_board(tmp_path / "results.parquet")
    assert "not finished" in markdown.render(content.document(board, "last", read_references()))


def test_a_result_that_was_there_before_the_tuning_tells_of_it(
    tuned: Tuned, run_tuned: RunTuned, store: Store, tmp_path: Path, cells_of: Any, run_cells: Any
) -> None:
    run_cells(cells_of({"name": "toy_gamma", "params": {"gamma": 2.0}}, seeds=2), store.root)
    expansion = tuned(trials=1, methods={"toy_gamma": {"gamma": {"choices": [2.0]}}})
    run_tuned(expansion, store.root)
    rows = rows_of(store, expansion, tmp_path)
    assert {row["tuning_trials"] for row in rows if row["method"] == "toy_gamma" and row["seed"] < 2} == {1}


def test_a_trial_that_a_sweep_lists_is_a_result_there(
    tuned: Tuned, run_tuned: RunTuned, store: Store, tmp_path: Path
) -> None:
    run_tuned(tuned(trials=1, methods={"toy_gamma": {"gamma": {"choices": [2.0]}}}), store.root)
    listed = tuned(
        sweep={"methods": [{"name": "toy_gamma", "params": {"gamma": 2.0}}, "toy_gamma"], "seeds": [1000]}, seed=7
    )
    rows = rows_of(store, listed, tmp_path)
    done = [row for row in rows if row["status"] == "done" and row["method"] == "toy_gamma" and row["seed"] == 1000]
    assert {(row["purpose"], row["tuning_trials"]) for row in done} == {("result", 0)}


@pytest.fixture
def section(tuned: Tuned, run_tuned: RunTuned, store: Store, tmp_path: Path) -> Section:
    expansion = tuned(trials=12, sampler="random", sweep={"methods": ["toy_gamma", "toy_erm"], "seeds": 3})
    run_tuned(expansion, store.root)
    rows_of(store, expansion, tmp_path)
    (section,) = read_board(tmp_path / "results.parquet").sections
    return section


def test_leaderboards_show_results_with_their_budget_and_no_trials(section: Section, tmp_path: Path) -> None:
    assert section.seeds == (0, 1, 2)
    assert [(e.method, e.competitor.variant, e.tuning_trials) for e in section.entries] == [
        ("toy_erm", "", 0),
        ("toy_gamma", "tuned", 12),
    ]
    board = read_board(tmp_path / "results.parquet")
    text = markdown.render(content.document(board, "last", read_references()))
    assert "12 trials, targets and bias labels of an unbiased validation split, seed 1000, rho 0.9" in text
    assert "Tuning budgets differ: 12 trials for `toy_gamma (tuned)`; none for `toy_erm`." in text


def test_the_gamma_figure_shows_trials_and_the_result(section: Section, tmp_path: Path) -> None:
    figure = gamma(section, "last", looks_of(read_board(tmp_path / "results.parquet")))
    assert figure is not None
    (panel,) = figure.axes
    handles, labels = panel.get_legend_handles_labels()
    lines = dict(zip(labels, handles, strict=True))
    complete = {e.params["gamma"]: e for e in section.trials if e.method == "toy_gamma" and e.by_rule}
    pruned = {e.params["gamma"] for e in section.trials if e.method == "toy_gamma" and not e.by_rule}
    assert 0 < len(pruned) == 12 - len(complete)
    assert list(lines["unbiased accuracy"].get_xdata()) == sorted(complete)
    assert set(lines["ended early"].get_xdata()) == pruned
    scores = [100 * complete[value].summary("unbiased_accuracy", "last").mean for value in sorted(complete)]
    assert list(lines["unbiased accuracy"].get_ydata()) == pytest.approx(scores)
    decoded = [json.loads(complete[value].cells[1000]["diagnostics"])["decodability"] for value in sorted(complete)]
    assert list(lines["bias accuracy"].get_ydata()) == pytest.approx(
        [100 * d["after"]["corner"] for d in decoded], abs=1e-3
    )
    assert "sparsity" in lines
    assert "result, seeds 0 to 2" in lines


def test_a_tuned_sweep_is_sent_with_its_results_and_trials(section: Section, store: Store, tmp_path: Path) -> None:
    arguments = ["--results", str(store.root), "--data", str(tmp_path), "--output", str(tmp_path / "sent.zip")]
    done = CliRunner().invoke(main, ["submit-results", "--sweep", "toy", *arguments])
    assert done.exit_code == 0, done.output
    sent = read_submission(tmp_path / "sent.zip").records
    notes = [record.cell.tuning for record in sent if record.cell.method == "toy_gamma"]
    assert sorted(note.number for note in notes if note and note.purpose == "trial") == list(range(12))
    assert [note.trials for note in notes if note and note.purpose == "result"] == [12, 12, 12]
    assert "toy_gamma rest on 12 trials, toy_erm on none" in done.output
    assert {entry.method for entry in section.entries} == {"toy_gamma", "toy_erm"}
