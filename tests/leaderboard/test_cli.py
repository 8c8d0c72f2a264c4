"""The leaderboard's commands, from records to files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from leaderboard.table import read_table

A = [0.8, 0.9, 0.8, 0.9]


@pytest.fixture
def results(lab) -> Path:
    lab.add("a", A)
    lab.add("b", [0.6, 0.7, 0.7, 0.6])
    root: Path = lab.store().root
    return root


def run(*arguments: object) -> str:
    found = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_the_leaderboard_is_written_in_every_format_asked_for(results: Path) -> None:
    shown = run("leaderboard", "--results", results, "--latex", "--csv", "--figures")
    text = (results / "LEADERBOARD.md").read_text()
    assert shown.strip() == text.strip()
    assert "| 1        | `a`" in text
    assert r"\begin{tabular}" in (results / "LEADERBOARD.tex").read_text()
    names = {path.name for path in (results / "LEADERBOARD_figures").iterdir()}
    assert {name.rpartition("-")[2] for name in names} == {
        f"{figure}.{ending}" for figure in ("intervals", "alignment", "cost") for ending in ("svg", "png")
    }
    assert (results / "LEADERBOARD_csv" / "colored_mnist_0.95_short_fp32.csv").is_file()


def test_the_leaderboard_of_a_table_needs_no_records(results: Path, tmp_path: Path) -> None:
    run("aggregate", "--results", results, "--output", tmp_path / "t.parquet")
    run("leaderboard", "--table", tmp_path / "t.parquet", "--output", tmp_path / "x.md")
    assert "| 1        | `a`" in (tmp_path / "x.md").read_text()


def test_programs_get_ranks_and_means(results: Path) -> None:
    first, second = json.loads(run("leaderboard", "--results", results, "--json"))
    assert (first["method"], first["rank"], first["worst_rank"], first["seeds"]) == ("a", 1, 1, 4)
    assert first["mean"] == pytest.approx(0.865)
    assert (second["method"], second["rank"]) == ("b", 2)


def test_what_programs_get_is_written_where_they_say(results: Path, tmp_path: Path) -> None:
    shown = run("leaderboard", "--results", results, "--json", "--output", tmp_path / "ranks.json")
    assert (tmp_path / "ranks.json").read_text() == shown
    assert [entry["method"] for entry in json.loads(shown)] == ["a", "b"]


@pytest.mark.parametrize("option", ["--csv", "--latex", "--figures"])
def test_json_is_not_combined_with_what_it_would_not_write(option: str, results: Path) -> None:
    found = CliRunner().invoke(main, ["leaderboard", "--results", str(results), "--json", option])
    assert found.exit_code == 1
    assert "--json goes without --latex, --csv and --figures" in found.output


def test_a_damaged_record_is_a_warning_not_an_end(results: Path) -> None:
    path = next(results.glob("records/??/*.json"))
    path.write_bytes(path.read_bytes()[:500])
    found = CliRunner().invoke(main, ["leaderboard", "--results", str(results)])
    assert found.exit_code == 0
    assert f"warning: record {path} is damaged" in found.stderr


@pytest.mark.parametrize("command", ["leaderboard", "aggregate", "diff", "publish", "submit-results", "validate"])
def test_no_command_imports_torch(command: str, results: Path, tmp_path: Path) -> None:
    run("aggregate", "--results", results)
    packed = tmp_path / "x.zip"
    CliRunner().invoke(main, ["submit-results", "--results", str(results), "--output", str(packed)])
    table = results / "results.parquet"
    arguments = {
        "leaderboard": ["--results", results],
        "aggregate": ["--results", results],
        "diff": [table, table],
        "publish": [tmp_path / "out", "--results", results],
        "submit-results": ["--results", results, "--output", packed],
        "validate": [packed],
    }[command]
    code = (
        "import sys; from benchmark.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, command, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.splitlines()[-1] == "False"


def test_a_table_without_rows_is_read(tmp_path: Path) -> None:
    run("aggregate", "--results", tmp_path)
    assert read_table(tmp_path / "results.parquet").length == 0
    assert "No cells yet." in run("leaderboard", "--results", tmp_path)
