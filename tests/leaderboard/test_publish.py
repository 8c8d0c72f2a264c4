from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from benchmark.aggregate import COLUMNS
from benchmark.cli import main
from benchmark.record import Failure
from leaderboard.scrub import without_paths

A = [0.8, 0.9, 0.8, 0.9]


@pytest.fixture
def table(lab) -> Path:
    lab.add("a", A)
    lab.add("b", [0.6, 0.7, 0.7])
    why = Failure("data missing: MNIST is not under /home/me/data", 'File "/home/me/methods/b.py", line 3, in run')
    lab.records.append(replace(lab.failure(lab.cell("b", 3)), failure=why))
    return lab.table()


def publish(folder: Path, table: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["publish", str(folder), "--table", str(table), *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_has_everything_that_its_readme_names(table: Path, tmp_path: Path) -> None:
    found = publish(tmp_path / "out", table, "--title", "Ours")
    assert found.exit_code == 0, found.output
    readme = (tmp_path / "out" / "README.md").read_text()
    head, body = readme.removeprefix("---\n").split("---\n", 1)
    assert YAML(typ="safe").load(head)["configs"] == [{"config_name": "results", "data_files": "results.parquet"}]
    assert "# Ours" in body
    named = re.findall(r"^- `([^`]+)`: ", body, re.MULTILINE)
    assert len(named) >= 7
    for name in named:
        assert (tmp_path / "out" / name).exists(), name


def test_publishing_again_changes_nothing_and_removes_what_is_gone(lab, table: Path, tmp_path: Path) -> None:
    publish(tmp_path / "out", table)
    first = contents(tmp_path / "out")
    publish(tmp_path / "out", table)
    assert contents(tmp_path / "out") == first
    (tmp_path / "out" / "tables" / "of_another_time.csv").write_text("x")
    (tmp_path / "out" / "CNAME").write_text("kept")
    publish(tmp_path / "out", table)
    assert contents(tmp_path / "out") == first | {"CNAME": b"kept"}


def test_nothing_published_names_a_folder_of_the_machine(table: Path, tmp_path: Path) -> None:
    publish(tmp_path / "out", table)
    rows = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    (failed,) = [row for row in rows if row["status"] == "failed"]
    assert failed["failure"] == "data missing: MNIST is not under …/data"
    assert failed["traceback"] == 'File "…/b.py", line 3, in run'
    for name, content in contents(tmp_path / "out").items():
        assert b"/home/me" not in content, name
    trusted = pq.read_table(table)
    ours = pq.read_table(tmp_path / "out" / "results.parquet")
    assert ours.schema.equals(trusted.schema, check_metadata=True)
    assert ours.drop_columns(["failure", "traceback"]) == trusted.drop_columns(["failure", "traceback"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("under /home/me/data: missing", "under …/data: missing"),
        ("(C:\\Users\\me\\x.py)", "(…/x.py)"),
        ("~/secret/run.log, then", "…/run.log, then"),
        ("see https://example.org/a/b and a/b/c", "see https://example.org/a/b and a/b/c"),
        ("loss is NaN", "loss is NaN"),
        ("1 / 2 and and/or", "1 / 2 and and/or"),
    ],
)
def test_only_absolute_paths_are_cut(text: str, expected: str) -> None:
    assert without_paths(text) == expected


def test_a_folder_with_other_things_is_left_alone(table: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    found = publish(tmp_path / "out", table)
    assert found.exit_code == 1
    assert "holds other files" in found.output
    assert contents(tmp_path / "out") == {"thesis.tex": b"years of work"}


def test_an_empty_git_checkout_is_fine(table: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / ".git").mkdir(parents=True)
    assert publish(tmp_path / "out", table).exit_code == 0


def test_provenance_counts_cells_and_names_code_and_machines(table: Path, tmp_path: Path) -> None:
    publish(tmp_path / "out", table)
    facts = json.loads((tmp_path / "out" / "PROVENANCE.json").read_text())
    assert facts["cells"] == {"done": 7, "failed": 1, "missing": 0}
    assert facts["ran_with"] == ["0.1.0+gabcdef012345"]
    assert facts["hardware"] == ["a processor"]
    assert facts["finished"] == {"first": "2026-01-01T00:00:00+00:00", "last": "2026-01-01T00:00:00+00:00"}


def test_the_dictionary_describes_every_column(table: Path, tmp_path: Path) -> None:
    publish(tmp_path / "out", table)
    text = (tmp_path / "out" / "DATA_DICTIONARY.md").read_text()
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == list(COLUMNS)


def test_licences_name_every_source_and_say_that_no_data_are_in_there(table: Path, tmp_path: Path) -> None:
    from benchmark.registry import SOURCES

    publish(tmp_path / "out", table)
    text = (tmp_path / "out" / "LICENCES.md").read_text()
    for name in SOURCES.load_all():
        assert f"- `{name}`: " in text
    assert "only counts of predictions" in text


def test_what_is_no_table_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    assert publish(tmp_path / "out", tmp_path / "x.parquet").exit_code == 1
    assert not (tmp_path / "out").exists()


def test_a_table_whose_texts_would_fill_the_memory_is_not_published(
    lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.add("vanilla", [0.5])
    table = pq.read_table(lab.table())
    bomb = pa.array(["x" * 1_000_000] * table.num_rows)
    place = table.column_names.index("traceback")
    pq.write_table(table.set_column(place, "traceback", bomb), tmp_path / "bomb.parquet", compression="zstd")
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    monkeypatch.setattr("leaderboard.publish.MOST_BYTES", 2_000_000)
    done = publish(tmp_path / "out", tmp_path / "bomb.parquet")
    assert done.exit_code == 1
    assert "unpacks to more than 2000000 bytes" in done.output
    assert not (tmp_path / "out" / "results.parquet").exists()


def test_a_table_that_cannot_be_published_leaves_the_folder_as_it_was(lab, table: Path, tmp_path: Path) -> None:
    publish(tmp_path / "out", table)
    before = contents(tmp_path / "out")
    content = pq.read_table(table)
    place = content.column_names.index("diagnostics")
    odd = tmp_path / "odd.parquet"
    pq.write_table(content.set_column(place, "diagnostics", pa.array(["[2]"] * len(content))), odd)
    assert publish(tmp_path / "out", odd).exit_code == 1
    assert contents(tmp_path / "out") == before


def test_an_error_names_the_table_that_was_given(lab, table: Path, tmp_path: Path) -> None:
    content = pq.read_table(table)
    place = content.column_names.index("status")
    odd = tmp_path / "odd.parquet"
    pq.write_table(content.set_column(place, "status", pa.array(["lost"] * len(content))), odd)
    found = publish(tmp_path / "out", odd)
    assert f"{odd} is not a valid results table: status is 'lost'" in found.output


def test_a_table_without_results_is_not_published(lab, table: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(table).slice(0, 0), empty)
    assert "nothing to publish" in publish(tmp_path / "out", empty).output
    assert not (tmp_path / "out").exists()


def test_columns_that_a_table_should_not_have_are_not_published(lab, table: Path, tmp_path: Path) -> None:
    content = pq.read_table(table)
    pq.write_table(content.append_column("more", pa.array(["x"] * len(content))), tmp_path / "more.parquet")
    publish(tmp_path / "out", tmp_path / "more.parquet")
    assert pq.read_schema(tmp_path / "out" / "results.parquet").names == list(COLUMNS)


def test_what_is_committed_can_be_published_again_with_the_same_numbers(tmp_path: Path) -> None:
    committed = Path(__file__).parents[2] / "leaderboard" / "published"
    for folder, table in ((tmp_path / "a", committed), (tmp_path / "b", tmp_path / "a")):
        done = publish(folder, table / "results.parquet", "--title", "debias-bench: first results")
        assert done.exit_code == 0, done.output
    assert pq.read_table(tmp_path / "a" / "results.parquet").equals(pq.read_table(committed / "results.parquet"))
    names = sorted(path.name for path in (committed / "tables").glob("*.csv"))
    assert sorted(path.name for path in (tmp_path / "a" / "tables").glob("*.csv")) == names
    for name in names:
        again = (tmp_path / "a" / "tables" / name).read_text(encoding="utf-8")
        assert again == (committed / "tables" / name).read_text(encoding="utf-8")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
