"""The commands show a tuning while it goes on, and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmark.cli import main
from benchmark.store import Store
from benchmark.sweep import expand, read_sweep
from benchmark.tuning.journal import Journal

ROOT = Path(__file__).parents[3]
Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, toy_plugin: Path) -> Command:
    def call(name: str, *arguments: object) -> Result:
        where = (
            "--results",
            tmp_path / "results",
            *(("--plugin", toy_plugin) if name in ("run", "plan", "status") else ()),
        )
        return CliRunner().invoke(main, [name, *map(str, (*arguments, *where))])

    return call


@pytest.fixture
def sweep(sweep_file: Callable[..., Path]) -> Callable[..., Path]:
    def write(params: dict[str, Any] | None = None, **tune: Any) -> Path:
        methods = ["toy_erm", {"name": "toy_gamma", "params": params or {}}]
        tune = {"methods": {"toy_gamma": "default"}, "trials": 3, "pruner": "none", **tune}
        return sweep_file("tuned", methods=methods, seeds=2, tune=tune)

    return write


def test_a_plan_shows_the_budget_and_who_waits(command: Command, sweep: Callable[..., Path]) -> None:
    path = sweep()
    answer = json.loads(command("plan", path, "--json").output)
    (study,) = answer["tuning"]
    assert (study["finished"], study["trials"], study["waiting"], study["chosen"]) == (0, 3, 2, None)
    assert len(answer["to_run"]) == 2 + 2 + 3 + 1
    assert "tuning: toy_gamma on toy rho 0.9: 0 of 3 trials, 2 cells wait for it" in command("plan", path).output


def test_a_run_ends_with_what_was_chosen_and_status_shows_it(
    command: Command, sweep: Callable[..., Path], tmp_path: Path
) -> None:
    path = sweep()
    ran = command("run", path, "--jobs", 0)
    assert ran.exit_code == 0, ran.output
    assert "tuning: toy_gamma on toy rho 0.9: 3 of 3 trials, chosen gamma " in ran.output
    assert "tuned: 4 done, 0 failed, 0 missing" in ran.output
    status = json.loads(command("status", "--json").output)
    (study,) = status["tuning"]
    assert (study["finished"], study["complete"], study["waiting"], study["problem"]) == (3, 3, 0, None)
    assert study["chosen"] == study["best_values"]
    assert {(row["method"], row.get("done")) for row in status["cells"]} == {("toy_erm", 2), ("toy_gamma", 2)}
    assert "chosen gamma" in command("status").output
    assert json.loads(command("plan", path, "--json").output)["to_run"] == []


def test_status_in_between_counts_trials_and_cells_that_wait(
    command: Command, sweep: Callable[..., Path], tmp_path: Path
) -> None:
    path, results = sweep(trials=2), tmp_path / "results"
    command("run", path, "--jobs", 0)
    larger = sweep(trials=5)
    study = expand(read_sweep(larger), tmp_path).finals[0].study
    taken = Journal(results).take(study)
    assert taken is not None
    with taken:
        assert command("plan", larger).exit_code == 0
        from benchmark.manifest import write_manifest

        write_manifest(Store(results), "tuned", read_sweep(larger), expand(read_sweep(larger), tmp_path))
        status = json.loads(command("status", "--json").output)
    (study_now,) = status["tuning"]
    assert (study_now["finished"], study_now["running"], study_now["waiting"]) == (2, 1, 2)
    assert {(row["method"], row.get("missing")) for row in status["cells"]} == {("toy_erm", None), ("toy_gamma", 2)}
    text = command("status").output
    assert "2 of 5 trials, best so far gamma" in text


def test_a_tuning_that_came_to_nothing_is_failed_until_it_is_retried(
    command: Command, sweep: Callable[..., Path], tmp_path: Path
) -> None:
    path = sweep(params={"fail": 0.0})
    ran = command("run", path, "--jobs", 0)
    assert ran.exit_code == 1
    assert "tuned: 2 done, 2 failed, 0 missing" in ran.output
    assert "none of its 3 trials ran through" in command("status").output
    assert json.loads(command("plan", path, "--json").output)["to_run"] == []
    answer = json.loads(command("retry", "--json").output)
    assert answer["forgotten"] == []
    assert len(answer["studies"]) == 1
    assert len(json.loads(command("plan", path, "--json").output)["to_run"]) == 3 + 2
    assert list(Store(tmp_path / "results").failures()) == []


def test_trials_that_failed_are_not_retried(command: Command, sweep: Callable[..., Path], tmp_path: Path) -> None:
    command("run", sweep(params={"fail": 1.0}, trials=8), "--jobs", 0)
    assert Store(tmp_path / "results").failures()
    assert json.loads(command("retry", "--json").output) == {"forgotten": [], "studies": []}
    assert Store(tmp_path / "results").failures()


def test_planning_a_tuning_loads_neither_torch_nor_optuna(tmp_path: Path, sweep: Callable[..., Path]) -> None:
    path = sweep()
    code = (
        "import sys; from benchmark.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(' '.join({'torch', 'optuna'} & set(sys.modules)) or 0)"
    )
    plugin = ROOT / "tests" / "benchmark" / "toy_plugin.py"
    for name, *arguments in (("plan", path), ("status",)):
        done = subprocess.run(
            [sys.executable, "-c", code, name, *map(str, arguments), "--results", tmp_path, "--plugin", plugin],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
