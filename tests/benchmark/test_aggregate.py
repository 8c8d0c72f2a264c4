"""The table of all results: every cell is in it, its numbers come from the counts, and its schema is as documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.aggregate import COLUMNS, aggregate, write_table
from benchmark.cell import Cell
from benchmark.counts import PackedCounts
from benchmark.environment import code_version
from benchmark.executor import Event
from benchmark.metrics import METRICS
from benchmark.selection import RULES
from benchmark.store import Store

RunCells = Callable[..., list[Event]]


@pytest.fixture
def cells(cells_of: Callable[..., list[Cell]]) -> list[Cell]:
    """One that is done, one that has failed, one that is never run."""
    bad = {"name": "toy_bad", "params": {"how": "raise"}}
    return cells_of("toy_erm", bad, "toy_groups")


@pytest.fixture
def store(cells: list[Cell], run_cells: RunCells, tmp_path: Path) -> Store:
    run_cells(cells[:2], tmp_path / "results")
    return Store(tmp_path / "results")


def written(store: Store, cells: list[Cell], path: Path) -> pd.DataFrame:
    write_table(aggregate(store, {cell.key: cell for cell in cells}).rows, path)
    return pd.read_parquet(path)


def test_every_cell_is_there_and_a_finished_one_for_each_rule(store: Store, cells: list[Cell], tmp_path: Path) -> None:
    table = written(store, cells, tmp_path / "table.parquet")
    done, failed, missing = cells
    assert list(table[table.key == done.key].rule) == list(RULES)
    assert table.groupby("key").status.unique().map(list).to_dict() == {
        done.key: ["done"],
        failed.key: ["failed"],
        missing.key: ["missing"],
    }
    assert list(table[table.key == failed.key].failure) == ["error: RuntimeError: as told: a failure"]
    assert len(table) == len(RULES) + 2
    first = table[table.key == done.key].iloc[0]
    identity = ["task", "rho", "method", "seed", "protocol", "precision", "supervision", "headline", "variant"]
    assert list(first[identity]) == ["toy", 0.9, "toy_erm", 0, "smoke", "fp32", "none", "unbiased_accuracy", ""]
    assert json.loads(first.task_params) == {"noise": 0.3}
    assert json.loads(first.params) == {"epochs": None, "pause": 0.0, "log": ""}
    assert (first.task_version, first.method_version, first.candidates) == (1, 1, 2)
    assert first.code == code_version()
    assert table[table.key == failed.key].iloc[0].variant == ""
    assert table[table.key == missing.key].iloc[0].supervision == "b on train + unbiased split"


def test_numbers_are_those_of_the_chosen_candidates_test_counts(
    store: Store, cells: list[Cell], tmp_path: Path
) -> None:
    table = written(store, cells, tmp_path / "table.parquet")
    record = store.read(cells[0].key)
    assert record is not None
    counts = record.counts["test"].unpack()
    for row in table[table.key == cells[0].key].itertuples():
        index = [candidate.label for candidate in record.candidates].index(row.candidate)
        chosen = counts[index]
        cell_accuracy = np.array([[chosen[y, b, y] / chosen[y, b].sum() for b in range(2)] for y in range(2)])
        assert row.unbiased_accuracy == pytest.approx(cell_accuracy.mean(), abs=1e-12)
        assert row.worst_group_accuracy == pytest.approx(cell_accuracy.min(), abs=1e-12)
        aligned, total = chosen[0, 0, 0] + chosen[1, 1, 1], chosen[0, 0].sum() + chosen[1, 1].sum()
        assert row.aligned_accuracy == pytest.approx(aligned / total, abs=1e-12)
        unpacked = PackedCounts((1, *row.counts_shape), row.counts).unpack()[0]
        assert unpacked.tolist() == chosen.tolist()
    last = table[(table.key == cells[0].key) & (table.rule == "last")].iloc[0]
    assert last.candidate == "epoch 2"


def test_the_file_has_the_documented_schema_and_says_what_made_it(
    store: Store, cells: list[Cell], tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    written(store, cells, path)
    schema = pq.read_schema(path)
    assert schema.names == list(COLUMNS)
    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "binary": pa.binary()}
    types["list<int64>"] = pa.list_(pa.int64())
    for name, (kind, text) in COLUMNS.items():
        field = schema.field(name)
        assert field.type == types[kind]
        assert field.metadata[b"description"].decode() == text
    assert set(METRICS) <= set(COLUMNS)
    assert schema.metadata[b"debias_bench.table_version"] == b"1"
    assert schema.metadata[b"debias_bench.code"].decode() == code_version()
    rules = json.loads(schema.metadata[b"debias_bench.rules"])
    assert rules == {rule.name: rule.uses for rule in RULES.values()}


def test_rows_come_in_the_order_of_the_cells_whatever_the_order_of_files(
    store: Store, cells: list[Cell], tmp_path: Path
) -> None:
    expected = {cell.key: cell for cell in cells}
    rows = aggregate(store, expected).rows
    write_table(rows, tmp_path / "a.parquet")
    write_table([*rows[len(RULES) :], *rows[: len(RULES)]], tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert list(pd.read_parquet(tmp_path / "a.parquet").method.unique()) == ["toy_bad", "toy_erm", "toy_groups"]


def test_an_empty_folder_gives_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    table = written(Store(tmp_path / "nothing"), [], tmp_path / "table.parquet")
    assert (len(table), list(table.columns)) == (0, list(COLUMNS))


def test_variants_name_what_differs_from_the_defaults(cells_of: Callable[..., list[Cell]], tmp_path: Path) -> None:
    method = {"name": "toy_erm", "params": {"pause": 0.5, "epochs": 3, "log": ""}}
    (cell,) = cells_of(method)
    (row,) = aggregate(Store(tmp_path), {cell.key: cell}).rows
    assert row["variant"] == "epochs=3, pause=0.5"


class TestDamaged:
    """A damaged file is said, and costs nothing else."""

    def damage(self, store: Store, cell: Cell, change: Callable[[bytes], bytes]) -> Path:
        path = store.record_path(cell.key)
        path.write_bytes(change(path.read_bytes()))
        return path

    @pytest.mark.parametrize(
        "change",
        [
            lambda content: content[:-40],
            lambda content: b"",
            lambda content: content.replace(b'"data":"eJ', b'"data":"AA'),
            lambda content: content.replace(b'"shape":[2,2,2,2]', b'"shape":[2,2,2,3]'),
            lambda content: content.replace(b'"test":', b'"tset":'),
        ],
    )
    def test_records_are_listed_and_their_cells_missing(
        self, store: Store, cells: list[Cell], change: Callable[[bytes], bytes]
    ) -> None:
        path = self.damage(store, cells[0], change)
        found = aggregate(store, {cell.key: cell for cell in cells})
        (problem,) = found.damaged
        assert str(path) in problem
        assert "delete it and run the sweep again" in problem
        assert {row["key"]: row["status"] for row in found.rows} == {
            cells[0].key: "missing",
            cells[1].key: "failed",
            cells[2].key: "missing",
        }


def test_it_can_be_made_while_cells_run(
    cells_of: Callable[..., list[Cell]], run_cells: RunCells, tmp_path: Path
) -> None:
    """Failures are replaced by results and records come up while the folder is read over and over."""
    cells, store = cells_of("toy_erm", "toy_groups", seeds=6), Store(tmp_path / "results")
    expected, seen = {cell.key: cell for cell in cells}, list[int]()

    def collect() -> None:
        while not seen or seen[-1] < len(cells):
            found = aggregate(store, expected)
            assert {row["key"] for row in found.rows} == set(expected)
            assert not found.damaged
            seen.append(len({row["key"] for row in found.rows if row["status"] == "done"}))

    with ThreadPoolExecutor(1) as threads:
        collecting = threads.submit(collect)
        run_cells(cells, store.root)
        collecting.result(60)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def test_of_a_failure_and_a_result_the_result_counts(store: Store, cells: list[Cell]) -> None:
    record = store.read(cells[0].key)
    failure = store.read(cells[1].key)
    assert record is not None
    assert failure is not None
    path = store.failure_path(record.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    changed: dict[str, Any] = json.loads(store.record_path(record.key).read_bytes())
    path.write_text(json.dumps({**changed, "status": "failed", "failure": {"reason": "older"}}) + "\n")
    assert {row["status"] for row in aggregate(store, {}).rows if row["key"] == record.key} == {"done"}
