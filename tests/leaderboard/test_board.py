from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.errors import ResultCorruptError
from benchmark.protocol import PROTOCOLS
from benchmark.registry import METHODS
from leaderboard import table as table_module
from leaderboard.board import read_board
from leaderboard.budgets import plain, unequal_budgets


def unbiased(conflicting: float) -> float:
    """Of cells with equally many samples: one of ten is aligned and right."""
    return (1 + 9 * conflicting) / 10


@pytest.mark.parametrize(
    "change",
    [
        {"rho": 0.99},
        {"task_params": {"severity": 4, "source": "complete"}},
        {"protocol": PROTOCOLS["paper"]},
        {"protocol": replace(PROTOCOLS["short"], max_epochs=99)},
        {"precision": "bf16"},
        {"engine_version": 99},
        {"task_version": 99},
    ],
)
def test_what_cannot_be_compared_is_in_another_section(lab, change: dict) -> None:
    lab.add("vanilla", [0.5, 0.6])
    lab.add("vanilla", [0.7, 0.8], **change)
    board = lab.board()
    assert len(board.sections) == 2
    for section in board.sections:
        assert len(section.entries) == 1
        assert sorted(section.entries[0].by_rule["last"]) == [0, 1]


def test_scores_are_by_seed_with_gaps(lab) -> None:
    lab.add("vanilla", [0.5, 0.6, 0.7])
    lab.records.append(lab.record(lab.cell("bise", 2), [0.4]))
    lab.records.append(lab.failure(lab.cell("bise", 0), "out of memory"))
    (section,) = lab.board().sections
    bise, vanilla = section.entries
    assert vanilla.scores("unbiased_accuracy", "last").tolist() == pytest.approx([unbiased(c) for c in (0.5, 0.6, 0.7)])
    assert np.isnan(bise.scores("unbiased_accuracy", "last")).tolist() == [True, True, False]
    assert bise.failures == {0: "out of memory"}


def test_the_gap_to_the_oracle_is_what_the_rule_loses_on_test(lab) -> None:
    for seed in (0, 1):
        record = lab.record(lab.cell("vanilla", seed), [0.9, 0.5])
        best_first = record.counts["test"]
        best_last = lab.record(lab.cell("vanilla", seed), [0.5, 0.9]).counts["val_unbiased"]
        lab.records.append(replace(record, counts={"test": best_first, "val_unbiased": best_last}))
    (section,) = lab.board().sections
    gap = section.entries[0].oracle_gap("unbiased_accuracy", "unbiased_val")
    assert gap.mean == pytest.approx(unbiased(0.9) - unbiased(0.5))


def test_a_newer_version_of_a_method_keeps_the_older_from_being_ranked(lab) -> None:
    lab.add("somebodys", [0.5, 0.6, 0.5])
    lab.add("somebodys", [0.7, 0.8, 0.7], method_version=2)
    lab.add("vanilla", [0.3, 0.3, 0.4])
    (section,) = lab.board().sections
    assert [(e.label, e.superseded) for e in section.entries] == [
        ("somebodys", False),
        ("somebodys, version 1", True),
        ("vanilla", False),
    ]
    assert section.ranking("last").best == (1, None, 2)


def test_of_several_records_of_a_seed_the_one_that_is_not_stale_counts(lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.records.append(lab.record(lab.cell("somebodys", upstream={"vanilla": "a" * 20}), [0.2]))
    newer = replace(lab.record(lab.cell("somebodys", upstream={"vanilla": "b" * 20}), [0.8]), finished_at="2026-02-01")
    lab.records.append(newer)
    (section,) = lab.board().sections
    (entry,) = section.entries
    assert entry.left_out == 1
    assert entry.by_rule["last"][0]["key"] == newer.key


def test_stale_rows_say_why(lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add("vanilla", [0.5])
    monkeypatch.setattr(METHODS.get("vanilla"), "version", 7)
    assert lab.board().sections[0].entries[0].stale == "method version 1, now 7"


def test_unequal_tuning_budgets_are_seen_where_the_table_says_them(lab) -> None:
    lab.add("vanilla", [0.5])
    lab.add("somebodys", [0.6])
    path = lab.table()
    assert unequal_budgets(read_board(path).sections[0].entries) is None
    rewritten = with_column(path, "tuning_trials", lambda row: 0 if row["method"] == "vanilla" else 20, pa.int64())
    rewritten = with_column(rewritten, "tuning_data", lambda row: "seed 100", pa.string())
    (section,) = read_board(rewritten).sections
    said = plain(unequal_budgets(section.entries))
    assert said is not None
    assert said.startswith("Tuning budgets differ: 20 trials for somebodys (tuned); none for vanilla.")
    assert [(e.method, e.tuning_trials, e.competitor.variant) for e in section.entries] == [
        ("somebodys", 20, "tuned"),
        ("vanilla", 0, ""),
    ]


def with_column(path: Path, name: str, value, kind: pa.DataType) -> Path:
    table = pq.read_table(path)
    values = pa.array([value(row) for row in table.to_pylist()], kind)
    if name in table.column_names:
        table = table.drop_columns([name])
    target = path.with_name(f"with_{name}.parquet")
    pq.write_table(table.append_column(name, values), target)
    return target


def test_a_table_of_an_older_layout_is_read(lab) -> None:
    lab.add("vanilla", [0.5, 0.6])
    path = lab.table()
    table = pq.read_table(path).drop_columns(
        ["engine_version", "protocol_settings", "stale", "resumed", "groups", "tuning_trials", "purpose"]
    )
    pq.write_table(table, path)
    (section,) = read_board(path).sections
    (entry,) = section.entries
    assert (section.engine_version, section.groups, entry.stale, entry.tuning_trials) == (None, None, None, None)
    assert entry.by_rule["last"][0].get("resumed") is None


def test_another_rule_is_used_where_the_preferred_does_not_apply(lab) -> None:
    record = lab.record(lab.cell(), [0.5])
    lab.records.append(replace(record, counts={"test": record.counts["test"]}))
    (section,) = lab.board().sections
    assert section.usable_rule("unbiased_val") == "last"


def test_values_that_are_no_numbers_are_missing(lab) -> None:
    lab.add("vanilla", [0.5, 0.6])
    path = with_column(lab.table(), "unbiased_accuracy", lambda row: np.nan if row["seed"] else np.inf, pa.float64())
    summary = read_board(path).sections[0].entries[0].summary("unbiased_accuracy", "last")
    assert summary.n == 0


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("task", pa.array([1, 2] * 5), "column task has type int64"),
        ("accuracy", pa.array([[1.0]] * 10), "column accuracy has type list"),
        ("params", pa.array(["{"] * 10), "not a valid results table"),
        ("groups", pa.array(['{"classes": "many"}'] * 10), "not a valid results table"),
        ("groups", pa.array(['{"classes": 0}'] * 10), "groups of 0 classes"),
        ("params", pa.array(["[1, 2]"] * 10), "parameters are '\\[1, 2\\]', expected a JSON object"),
        ("params", pa.array(["[" * 5000 + "]" * 5000] * 10), "not a valid results table"),
        ("task_params", pa.array(["[1]"] * 10), "expected a JSON object"),
        ("task", pa.array([None] * 10, pa.string()), "does not say its task"),
        ("status", pa.array([None] * 10, pa.string()), "status is None, expected done, failed or missing"),
        ("headline", pa.array(["luck"] * 10), "headline is 'luck', expected one of accuracy, "),
        ("rho", pa.array([-1.0] * 10), "rho is -1.0, expected 0 to 1"),
    ],
)
def test_a_table_that_is_not_one_is_refused(lab, column: str, values: pa.Array, says: str) -> None:
    lab.add("vanilla", [0.5, 0.6])
    path = lab.table()
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    with pytest.raises(ResultCorruptError, match=says):
        read_board(path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ResultCorruptError, match="cannot read"):
        read_board(tmp_path / "x.parquet")


def test_a_table_that_unpacks_to_more_than_any_real_one_is_refused_before_it_is_unpacked(
    lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.add("vanilla", [0.5])
    row = pq.read_table(lab.table()).slice(0, 1).select([*table_module.REQUIRED, "accuracy"])
    bomb = tmp_path / "bomb.parquet"
    pq.write_table(row.take(pa.array(np.zeros(300_000, dtype=np.int64))), bomb, compression="zstd")
    assert bomb.stat().st_size < 20_000
    monkeypatch.setattr(table_module, "MOST_ROWS", 299_999)
    with pytest.raises(ResultCorruptError, match="unpacks to 300000 rows"):
        read_board(bomb)
    monkeypatch.setattr(table_module, "MOST_ROWS", 300_000)
    monkeypatch.setattr(table_module, "MOST_BYTES", 1000)
    with pytest.raises(ResultCorruptError, match="at most 300000 and 1000 are read"):
        read_board(bomb)


def test_equal_numbers_in_lists_count_as_many(lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add("vanilla", [0.5])
    table = pq.read_table(lab.table())
    lists = pa.array([[7] * 200_000] * len(table))
    place = table.column_names.index("counts_shape")
    bomb = tmp_path / "bomb.parquet"
    pq.write_table(table.set_column(place, "counts_shape", lists), bomb, compression="zstd")
    assert bomb.stat().st_size < 100_000
    monkeypatch.setattr(table_module, "MOST_BYTES", 1_000_000)
    with pytest.raises(ResultCorruptError, match="at most"):
        read_board(bomb)


def test_columns_that_a_table_should_not_have_are_not_read(lab, tmp_path: Path) -> None:
    lab.add("vanilla", [0.5])
    table = pq.read_table(lab.table())
    pq.write_table(table.append_column("more", pa.array(["x"] * len(table))), tmp_path / "more.parquet")
    assert "more" not in table_module.read_table(tmp_path / "more.parquet").columns


def test_metadata_are_read_as_data_only(lab) -> None:
    lab.add("vanilla", [0.5])
    path = lab.table()
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"debias_bench.not_applicable": json.dumps([["colored_mnist", 3]]).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(ResultCorruptError, match="not a valid results table"):
        read_board(path)
