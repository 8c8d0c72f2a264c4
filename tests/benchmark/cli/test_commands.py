"""The command line: answers for people and programs, exit codes, and messages instead of tracebacks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from benchmark.claims import Claims
from benchmark.cli import COMMANDS, main
from benchmark.failure import failed_record
from benchmark.record import Failure
from benchmark.registry import METHODS
from benchmark.store import Store
from benchmark.sweep import expand, read_sweep

Invoke = Callable[..., Result]
SweepFile = Callable[..., Path]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def invoke(toy_plugin: Path, tmp_path: Path) -> Invoke:
    """``invoke("run", sweep, …)``: a command, in this process; an unexpected exception is raised."""

    def run(*arguments: object) -> Result:
        environment = {"DEBIAS_BENCH_RESULTS": str(tmp_path / "results"), "DEBIAS_BENCH_DATA": str(tmp_path / "data")}
        result = CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.stderr
        return result

    return run


@pytest.fixture
def sweep(sweep_file: SweepFile) -> Path:
    """One cell that succeeds, one that fails, one pair that does not apply."""
    bad = {"name": "toy_bad", "params": {"how": "raise"}}
    return sweep_file(tasks=["toy", "toy_unlabelled"], methods=["toy_erm", bad, "toy_groups"])


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)


class TestRun:
    """``debias-bench run``."""

    def test_exits_with_0_when_all_is_done_and_does_nothing_again(self, invoke: Invoke, sweep_file: SweepFile) -> None:
        path = sweep_file(methods=["toy_tune"], seeds=2)
        first = invoke("run", path, "--jobs", 0)
        assert first.exit_code == 0
        assert first.stdout.splitlines()[0].startswith("toy: 2 cells, 0 done, 0 failed, 4 to run -> ")
        assert "[4/4] done" in first.stdout
        assert first.stdout.splitlines()[-1] == "toy: 2 done, 0 failed, 0 missing"
        again = invoke("run", path, "--jobs", 0)
        assert again.exit_code == 0
        assert "2 cells, 2 done, 0 failed, 0 to run" in again.stdout

    def test_exits_with_1_when_cells_have_failed_and_leaves_them(self, invoke: Invoke, sweep: Path) -> None:
        for _ in range(2):
            result = invoke("run", sweep, "--jobs", 0)
            assert result.exit_code == 1
            assert "3 done, 2 failed, 0 missing" in result.stdout
            assert "not applicable: toy_groups on toy_unlabelled: needs bias labels" in result.stdout
            assert "--retry-failed" in result.stdout
        assert "0 to run" in result.stdout

    def test_tries_failed_cells_and_what_they_start_from_again_when_told(
        self, invoke: Invoke, sweep_file: SweepFile, tmp_path: Path
    ) -> None:
        params = {"how": "raise", "flag": str(tmp_path / "flag"), "times": 1}
        path = sweep_file(methods=[{"name": "toy_bad_start", "params": params}])
        assert invoke("run", path, "--jobs", 0).exit_code == 1
        assert invoke("run", path, "--jobs", 0).exit_code == 1
        assert len((tmp_path / "flag").read_text().splitlines()) == 1
        result = invoke("run", path, "--jobs", 0, "--retry-failed")
        assert result.exit_code == 0
        assert "1 done, 0 failed, 0 missing" in result.stdout
        assert len((tmp_path / "flag").read_text().splitlines()) == 2

    def test_tries_again_to_add_diagnostics_that_could_not_be_added(
        self, invoke: Invoke, sweep_file: SweepFile, tmp_path: Path
    ) -> None:
        path = sweep_file(methods=["toy_erm"])
        assert invoke("run", path, "--jobs", 0).exit_code == 0
        store = Store(tmp_path / "results")
        (cell,) = expand(read_sweep(path), tmp_path).cells
        store.write(failed_record(cell, Failure("data were away"), "cpu", 1))
        assert "1 done, 0 failed" in invoke("run", path, "--jobs", 0).stdout
        path = sweep_file(methods=["toy_erm"], diagnostics=["pruned"])
        assert "0 done, 1 failed" in invoke("run", path, "--jobs", 0).stdout
        assert "1 done, 0 failed" in invoke("run", path, "--jobs", 0, "--retry-failed").stdout
        assert store.diagnosed(cell.key) == {"pruned"}

    def test_tells_programs_every_event_on_a_line(self, invoke: Invoke, sweep: Path) -> None:
        result = invoke("run", sweep, "--jobs", 0, "--json")
        *events, end = map(json.loads, result.stdout.splitlines())
        assert [event["event"] for event in events].count("done") == 3
        assert {event["title"] for event in events if event["event"] == "failed"} == {
            "toy rho 0.9 toy_bad seed 0",
            "toy_unlabelled natural rho toy_bad seed 0",
        }
        assert end == {"event": "end", "cells": 5, "done": 3, "failed": 2, "missing": 0}

    def test_works_with_processes(self, invoke: Invoke, sweep: Path, toy_plugin: Path) -> None:
        result = invoke("run", sweep, "--jobs", 2, "--plugin", toy_plugin)
        assert result.exit_code == 1
        assert "3 done, 2 failed, 0 missing" in result.stdout


class TestAfterARun:
    """Commands that read a results folder."""

    @pytest.fixture(autouse=True)
    def _run(self, invoke: Invoke, sweep: Path) -> None:
        invoke("run", sweep, "--jobs", 0)

    def test_status_counts_cells_and_says_why_some_failed(self, invoke: Invoke) -> None:
        found = parsed(invoke("status", "--json"))
        assert {(row["task"], row["method"]): row for row in found["cells"]}[("toy", "toy_bad")]["failed"] == 1
        assert sum(row.get("done", 0) for row in found["cells"]) == 3
        assert [cell["reason"] for cell in found["failed"]] == ["error: RuntimeError: as told: a failure"] * 2
        assert found["not_applicable"][0]["task"] == "toy_unlabelled"
        text = invoke("status").stdout
        assert "3 done, 0 running, 0 queued, 2 failed, 0 missing, 0 stale" in text
        assert "toy rho 0.9 toy_bad seed 0" in text

    def test_status_shows_running_missing_and_stale_cells(
        self, invoke: Invoke, sweep_file: SweepFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = sweep_file("more", methods=["toy_tune"], seeds=2)
        keys = [cell["key"] for cell in parsed(invoke("plan", path, "--json"))["cells"]]
        invoke("run", path, "--jobs", 0)
        Store(tmp_path / "results").record_path(keys[0]).unlink()
        Store(tmp_path / "results").record_path(keys[1]).unlink()
        claim = Claims(tmp_path / "results" / "claims").acquire(keys[1], "a running cell")
        assert claim is not None
        monkeypatch.setattr(METHODS.get("toy_groups"), "version", 2)
        found = parsed(invoke("status", "--json"))
        assert found["running"][0]["key"] == keys[1]
        assert found["running"][0]["seconds"] >= 0
        assert [cell["reason"] for cell in found["stale"]] == ["method version 1, now 2"]
        text = invoke("status").stdout
        assert "2 done, 1 running, 0 queued, 2 failed, 1 missing, 1 stale" in text
        assert "running: a running cell on " in text
        claim.release()

    def test_aggregate_writes_the_table(self, invoke: Invoke, tmp_path: Path) -> None:
        found = parsed(invoke("aggregate", "--json"))
        assert found["cells"] == {"done": 3, "failed": 2}
        assert found["damaged"] == []
        assert len(pd.read_parquet(found["path"])) == found["rows"]
        other = tmp_path / "elsewhere.parquet"
        assert str(other) in invoke("aggregate", "--output", other).stdout
        assert other.exists()

    def test_aggregate_warns_of_damaged_records(self, invoke: Invoke, tmp_path: Path) -> None:
        path = Path(Store(tmp_path / "results").record_files()[0][1])
        path.write_bytes(path.read_bytes()[:50])
        result = invoke("aggregate")
        assert result.exit_code == 0
        assert f"warning: record {path} is damaged" in result.stderr
        assert "1 missing" in result.stdout

    def test_plan_shows_what_is_done(self, invoke: Invoke, sweep: Path, sweep_file: SweepFile) -> None:
        found = parsed(invoke("plan", sweep, "--json"))
        assert sorted(cell["state"] for cell in found["cells"]) == ["done"] * 3 + ["failed"] * 2
        assert found["to_run"] == found["needed_upstream"] == []
        text = invoke("plan", sweep).stdout
        assert "5 cells: 3 done, 2 failed, 0 missing" in text
        found = parsed(invoke("plan", sweep_file("tune", methods=["toy_tune"], seeds=[7]), "--json"))
        assert [cell["title"] for cell in found["needed_upstream"]] == ["toy rho 0.9 toy_erm seed 7"]

    def test_show_cell_prints_a_record(self, invoke: Invoke) -> None:
        cells = {cell["title"]: cell["key"] for cell in parsed(invoke("status", "--json"))["failed"]}
        failed = cells["toy rho 0.9 toy_bad seed 0"]
        record = parsed(invoke("show", "cell", failed[:8], "--json"))
        assert (record["key"], record["status"]) == (failed, "failed")
        text = invoke("show", "cell", failed).stdout
        assert "as told: a failure" in text
        assert "toy_plugin.py" in text

    def test_show_cell_prints_candidates(self, invoke: Invoke, sweep: Path) -> None:
        cells = parsed(invoke("plan", sweep, "--json"))["cells"]
        key = next(cell["key"] for cell in cells if cell["title"] == "toy rho 0.9 toy_erm seed 0")
        record = parsed(invoke("show", "cell", key, "--json"))
        assert [candidate["label"] for candidate in record["candidates"]] == ["epoch 1", "epoch 2"]
        assert record["counts"]["test"] == {"shape": [2, 2, 2, 2]}
        assert "epoch 2" in invoke("show", "cell", key).stdout

    def test_a_prefix_of_several_keys_is_refused(self, invoke: Invoke) -> None:
        result = invoke("show", "cell", "")
        assert result.exit_code == 1
        assert "5 records" in result.stderr
        assert "0 records" in invoke("show", "cell", "zzz").stderr


class TestCatalogue:
    """What there is."""

    @pytest.mark.parametrize("what", ["tasks", "methods", "sources", "protocols", "metrics", "rules"])
    def test_lists_are_for_people_and_programs(self, invoke: Invoke, what: str) -> None:
        rows = parsed(invoke("list", what, "--json"))
        text = invoke("list", what).stdout
        assert rows
        assert all(row["name"] in text for row in rows)

    def test_a_list_says_what_methods_need(self, invoke: Invoke) -> None:
        rows = {row["name"]: row for row in parsed(invoke("list", "methods", "--json"))}
        assert rows["toy_groups"]["needs"] == "b on train + unbiased split"
        assert (rows["toy_tune"]["starts_from"], rows["toy_erm"]["starts_from"]) == ("toy_erm", "-")
        tasks = {row["name"]: row for row in parsed(invoke("list", "tasks", "--json"))}
        assert (tasks["toy"]["rho"], tasks["toy_unlabelled"]["rho"]) == ("0.9", "natural")
        assert (tasks["toy"]["bias"], tasks["toy_unlabelled"]["bias"]) == ("corner", "no labels")

    def test_a_method_shows_its_card_and_parameters(self, invoke: Invoke) -> None:
        shown = parsed(invoke("show", "method", "toy_erm", "--json"))
        assert shown["params"] == {"epochs": None, "pause": 0.0, "log": ""}
        assert shown["card"]["title"] == "Toy ERM"
        text = invoke("show", "method", "vanilla").stdout
        assert "Empirical risk minimisation" in text  # of its card.md
        assert "weight_decay = None" in text

    def test_the_embedded_digits_have_the_counts_that_rho_says(self, invoke: Invoke, tmp_path: Path) -> None:
        picture = tmp_path / "picture.png"
        arguments = ("show", "task", "biased_mnist", "--rho", ".99", "--param", "source=embedded")
        shown = parsed(invoke(*arguments, "--picture", picture, "--json"))
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert shown["rho"] == 0.99
        splits = shown["splits"]
        assert {name: split["samples"] for name, split in splits.items()} == {
            "train": 3000, "unbiased": 500, "val_biased": 500, "val_unbiased": 500, "test": 1000,
        }  # fmt: skip
        assert splits["train"]["input_shape"] == [3, 28, 28]
        for y, row in enumerate(splits["train"]["counts"]):
            assert (row[y], sum(row)) == (int(300 * 0.99), 300)
        assert splits["test"]["counts"] == [[10] * 10] * 10

    def test_a_task_without_bias_labels_is_counted_by_class(self, invoke: Invoke) -> None:
        shown = invoke("show", "task", "toy_unlabelled").stdout
        assert "training samples at its natural level of each class; there are no bias labels:" in shown
        counts = parsed(invoke("show", "task", "toy_unlabelled", "--json"))["splits"]["train"]["counts"]
        assert sum(counts) == parsed(invoke("show", "task", "toy_unlabelled", "--json"))["splits"]["train"]["samples"]
        for count in counts:
            assert f" {count}" in shown

    def test_complete_mnist_has_the_counts_that_rho_says(self, invoke: Invoke, data_root: Path) -> None:
        shown = parsed(invoke("show", "task", "biased_mnist", "--rho", ".99", "--data", data_root, "--json"))
        assert shown["params"]["source"] == "complete"
        counts = shown["splits"]["train"]["counts"]
        assert sum(map(sum, counts)) == 50_000
        for y, row in enumerate(counts):
            assert row[y] == int(sum(row) * 0.99)
        test = shown["splits"]["test"]["counts"]
        assert [row[y] for y, row in enumerate(test)] == [int(sum(row) * 0.1) for row in test]
        assert sum(map(sum, test)) == 10_000

    def test_doctor_says_what_is_there(self, invoke: Invoke, tmp_path: Path, toy_plugin: Path) -> None:
        found = parsed(invoke("doctor", "--json"))
        assert found["data"] == {
            "root": str(tmp_path / "data"),
            **dict.fromkeys(set(found["data"]) - {"root"}, "not here"),
        }
        assert {"toy", "colored_mnist"} <= set(found["tasks"])
        assert found["devices"][0].startswith("cpu, ")
        assert found["environment"]["libraries"]["torch"]
        assert "broken plugins" in invoke("doctor").stdout

    def test_missing_data_is_said_by_data_commands(self, invoke: Invoke, tmp_path: Path) -> None:
        result = invoke("data", "verify", "mnist", "--json")
        assert result.exit_code == 1
        assert parsed(result)["problems"]
        assert parsed(invoke("data", "status", "--json"))["root"] == str(tmp_path / "data")
        assert invoke("data", "verify", "mnist").exit_code == 1

    def test_complete_data_is_whole(self, invoke: Invoke, data_root: Path) -> None:
        result = invoke("data", "verify", "mnist", "--data", data_root, "--json")
        assert (result.exit_code, parsed(result)["problems"]) == (0, [])
        assert parsed(invoke("data", "fetch", "mnist", "--data", data_root, "--json"))["fetched"] == []


class TestErrors:
    """What a user gets wrong is said in one message."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["rum"], "unknown command 'rum'; did you mean 'run'"),
            (["run", "{absent}"], "cannot read .*absent.yaml: No such file or directory"),
            (["plan", "{absent}"], "cannot read .*absent.yaml: No such file or directory"),
            (["run", "{folder}"], "cannot read .*: Is a directory"),
            (["run", "{binary}"], "not a text file in UTF-8"),
            (["run", "{broken}"], "not valid YAML"),
            (["run", "{unknown_key}"], "unknown key in unknown_key.yaml 'sedes'; did you mean 'seeds'"),
            (["run", "{unknown_task}"], "unknown task 'toi'; did you mean 'toy'"),
            (["run", "{unknown_method}"], "unknown method 'toy_em'; did you mean 'toy_erm'"),
            (["run", "{bad_rho}"], r"rho is the share of bias-aligned samples, in \(0, 1\]; got 1.5"),
            (["run", "{whole}", "--results", "{file}/below"], "Not a directory"),
            (["run", "{whole}", "--device", "cuda:99"], "--device cuda:99: .*debias-bench doctor"),
            (["run", "{whole}", "--device", "quantum"], "--device quantum: .*debias-bench doctor"),
            (["show", "task", "toi"], "unknown task 'toi'; did you mean 'toy'"),
            (["show", "task", "toy", "--rho", "0"], r"in \(0, 1\]; got 0.0"),
            (
                ["show", "task", "toy", "--param", "nose=1"],
                "key in parameters of toy 'nose'; did you mean 'noise'",
            ),
            (["show", "task", "toy", "--param", "noise"], "--param takes name=value, got 'noise'"),
            (["show", "task", "toy_missing"], "toy.bin is not under .*; put it there"),
            (["show", "method", "vanila"], "unknown method 'vanila'; did you mean 'vanilla'"),
            (["data", "verify", "mnits"], "unknown data source 'mnits'; did you mean 'mnist'"),
            (["list", "tasks", "--plugin", "{absent}"], "--plugin .*absent.yaml: no such file"),
            (["list", "tasks", "--plugin", "{bad_plugin}"], "bad_plugin.py: ZeroDivisionError"),
            (["aggregate", "--results", "{folder}", "--output", "{file}/table.parquet"], "Not a directory|File exists"),
            (["aggregate", "--results", "{folder}/typo"], "there is no results folder .*typo; `debias-bench run"),
            (["publish", "{folder}/site", "--results", "{folder}/typo"], "there is no results folder"),
        ],
    )
    def test_errors_are_messages(self, invoke: Invoke, tmp_path: Path, arguments: list[str], message: str) -> None:
        files: dict[str, Any] = {
            "unknown_key": {"tasks": ["toy"], "methods": ["toy_erm"], "sedes": 1},
            "unknown_task": {"tasks": ["toi"], "methods": ["toy_erm"]},
            "unknown_method": {"tasks": ["toy"], "methods": ["toy_em"]},
            "bad_rho": {"tasks": [{"name": "toy", "rho": [1.5]}], "methods": ["toy_erm"]},
            "whole": {"tasks": ["toy"], "methods": ["toy_erm"], "protocol": "smoke"},
        }
        places = {name: tmp_path / f"{name}.yaml" for name in (*files, "absent", "binary", "broken")}
        for name, content in files.items():
            places[name].write_text(json.dumps(content))
        places["binary"].write_bytes(b"\xff\xfe")
        places["broken"].write_text("tasks: [")
        places |= {"folder": tmp_path, "file": tmp_path / "file", "bad_plugin": tmp_path / "bad_plugin.py"}
        places["file"].touch()
        places["bad_plugin"].write_text("1 / 0")
        result = invoke(*(argument.format_map(places) for argument in arguments))
        assert result.exit_code == 1
        assert re.search(message, result.stderr), result.stderr
        assert result.stderr.startswith("Error: ")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["run", "sweep.yaml", "--results", "{file}"], "Directory '.*file' is a file"),
            (["run"], "Missing argument 'SWEEP'"),
            (["run", "sweep.yaml", "--jobs", "many"], "'many' is not a valid integer"),
            (["list", "taks"], "'taks' is not one of"),
            (["--verbos"], "No such option"),
        ],
    )
    def test_wrong_usage_exits_with_2(self, invoke: Invoke, tmp_path: Path, arguments: list[str], message: str) -> None:
        (tmp_path / "file").touch()
        result = invoke(*(argument.format(file=tmp_path / "file") for argument in arguments))
        assert result.exit_code == 2
        assert re.search(message, result.stderr), result.stderr

    def test_a_broken_third_party_plugin_is_a_warning(
        self, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        point = EntryPoint("broken_method", "no_such_module:Broken", METHODS.group)
        monkeypatch.setitem(METHODS._entry_points, "broken_method", [point])
        with pytest.warns(UserWarning, match="'broken_method' cannot be loaded from no_such_module:Broken"):
            rows = parsed(invoke("list", "methods", "--json"))
        assert "vanilla" in {row["name"] for row in rows}
        assert "broken_method" not in {row["name"] for row in rows}
        assert "no_such_module" in parsed(invoke("doctor", "--json"))["broken plugins"][0]
        assert "cannot be loaded" in invoke("show", "method", "broken_method").stderr


def test_commands_that_only_read_never_import_torch(
    invoke: Invoke, sweep: Path, toy_plugin: Path, tmp_path: Path
) -> None:
    """All of them in one fresh process, in which torch and its like are looked for after each."""
    invoke("run", sweep, "--jobs", 0)
    key = Store(tmp_path / "results").record_files()[0][0]
    commands: list[list[str]] = [
        ["--help"],
        *([name, "--help"] for name, (path, _) in COMMANDS.items() if not path.startswith("slurm.")),
        *(["list", what] for what in ("tasks", "methods", "sources", "protocols", "metrics", "rules")),
        ["plan", str(sweep)],
        ["status"],
        ["aggregate"],
        ["leaderboard"],
        ["show", "method", "vanilla"],
        ["show", "cell", key],
        ["data", "status"],
    ]
    commands += [[*command, "--json"] for command in commands if "--help" not in command]
    code = """
import json, sys
from benchmark.cli import main
for command in json.loads(sys.argv[1]):
    options = ["--plugin", sys.argv[2]] if command[0] in ("plan", "status", "aggregate", "leaderboard", "list") else []
    try:
        main([*command, *options], standalone_mode=False)
    except SystemExit as end:
        assert not end.code, (command, end)
    heavy = {"torch", "torchvision", "transformers", "optuna", "pandas", "scipy.stats"} & set(sys.modules)
    assert not heavy, (command, heavy)
    if command == ["--help"]:
        assert not {"numpy", "msgspec", "rich", "benchmark.registry"} & set(sys.modules)
print("\\nnone of", len(json.loads(sys.argv[1])))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands), str(toy_plugin)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DEBIAS_BENCH_RESULTS": str(tmp_path / "results")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"none of {len(commands)}"
