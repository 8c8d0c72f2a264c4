"""The table against the definitions applied to one record at a time, and what becomes of records that are not right."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmark import aggregate as module
from benchmark.aggregate import COLUMNS, aggregate, write_table
from benchmark.cell import Cell, make_cell
from benchmark.counts import Groups, PackedCounts
from benchmark.environment import code_version
from benchmark.manifest import write_manifest
from benchmark.method import Supervision
from benchmark.metrics import METRICS, combination_accuracies, score
from benchmark.protocol import PROTOCOLS
from benchmark.record import Candidate, Failure, Record, Resources
from benchmark.registry import METHODS, TASKS
from benchmark.selection import RULES
from benchmark.store import Store
from benchmark.sweep import Expansion, MethodEntry, Sweep, TaskEntry, expand

TWO = Groups(3, ("left", "right"), (3, 2), ((0, 1, 2), (0, 1, 0)))
ONE = Groups(4, ("colour",), (5,), ((0, 1, 2, 3),))
NONE = Groups(2)
HEADLINES = {"multi": "alignment_group_mean", "single": "unbiased_accuracy", "unlabelled": "accuracy"}


def make_record(task: str, groups: Groups, seed: int, candidates: int, splits: tuple[str, ...]) -> Record:
    draws = np.random.default_rng([seed, candidates])
    cell = Cell(task, 1, {}, 0.9, "someones_method", 1, {"a": seed % 2}, seed, PROTOCOLS["short"])
    shape = (candidates, *groups.shape)
    return Record(
        cell=cell,
        key=cell.key,
        status="done",
        environment={"code": "1", "hardware": "a processor"},
        finished_at="2026-01-01T00:00:00+00:00",
        supervision=Supervision(bias_labels=True),
        groups=groups,
        candidates=tuple(
            Candidate(f"state {i}", selectable=bool(draws.integers(4)), sparsity=float(draws.random()), macs=i)
            for i in range(candidates)
        ),
        counts={split: PackedCounts.pack(draws.integers(0, 3, shape)) for split in splits},
        resources=Resources(1.0, 2.0, 3, True, 4, 5, 6),
    )


EVERY = ("val_biased", "val_unbiased", "test")
RECORDS = [
    *(make_record("multi", TWO, seed, 1 + seed % 7, EVERY) for seed in range(30)),
    *(make_record("single", ONE, seed, 3, EVERY) for seed in range(10)),
    *(make_record("unlabelled", NONE, seed, 4, ("val_biased", "test")) for seed in range(5)),
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("benchmark.rows.Plugins._headline", lambda self, task: HEADLINES[task])
    monkeypatch.setattr(module, "CHUNK", 8)
    store = Store(tmp_path)
    for record in RECORDS:
        store.write(record)
    return store


def rows_of(store: Store) -> list[dict[str, Any]]:
    path = store.root / "results.parquet"
    write_table(aggregate(store), path)
    table = pq.read_table(path)
    assert table.column_names == list(COLUMNS)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def expected(record: Record) -> list[dict[str, Any]]:
    """The rows of one record, from the rules and the definitions of metrics."""
    assert record.groups is not None
    counts = {split: packed.unpack() for split, packed in record.counts.items()}
    selectable = [candidate.selectable for candidate in record.candidates]
    found = []
    for rule in RULES.values():
        index = rule.choose(counts, record.groups, selectable, HEADLINES[record.cell.task]).index
        row: dict[str, Any] = {"key": record.key, "rule": rule.name, "candidate": None, "counts": None}
        row |= dict.fromkeys([*METRICS, "sparsity", "candidate_macs", "combinations"])
        if index is not None:
            chosen, test = record.candidates[index], counts["test"][index]
            row |= {"candidate": chosen.label, "sparsity": chosen.sparsity, "candidate_macs": chosen.macs}
            row["counts"] = test.astype("<u4").tobytes()
            row |= {name: none_for_nan(score(name, test, record.groups)) for name in METRICS}
            if len(record.groups.bias_names) > 1:
                row["combinations"] = {
                    n: none_for_nan(v) for n, v in combination_accuracies(test, record.groups).items()
                }
        found.append(row)
    return found


def none_for_nan(value: Any) -> float | None:
    return None if np.isnan(value) else pytest.approx(float(value), abs=1e-14)


def test_rows_say_what_rules_and_metrics_say_of_each_record(store: Store) -> None:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows_of(store):
        row["counts"] = row["counts"] and zlib.decompress(row["counts"])
        row["combinations"] = row["combinations"] and json.loads(row["combinations"])
        rows[row["key"], row["rule"]] = row
    assert len(rows) == len(RECORDS) * len(RULES)
    for record in RECORDS:
        for row in expected(record):
            found = rows[record.key, row["rule"]]
            assert {name: found[name] for name in row} == row
            assert found["seed"] == record.cell.seed
            assert found["task"] == record.cell.task
            assert found["candidates"] == sum(candidate.selectable for candidate in record.candidates)
            assert (found["train_seconds"], found["resumed"], found["macs"]) == (1.0, True, 6)


def test_several_processes_give_the_same_table_as_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = rows_of(store)
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr("benchmark.forked.os.sched_getaffinity", lambda pid: {0, 1})
    assert rows_of(store) == alone


def test_the_order_of_rows_depends_on_the_cells_alone(store: Store) -> None:
    rows = rows_of(store)
    order = [(row["task"], row["params"], row["seed"], list(RULES).index(row["rule"])) for row in rows]
    assert order == sorted(order)


def test_a_failure_is_one_row_with_its_reason_and_none_once_the_cell_has_finished(tmp_path: Path) -> None:
    store, done = Store(tmp_path), RECORDS[0]
    cell = replace(done.cell, seed=99)
    failed = Record(cell, cell.key, "failed", {}, "2026-01-01T00:00:00+00:00", failure=Failure("diverged: NaN"))
    store.write(failed)
    store.write(done)
    store.failure_path(done.key).parent.mkdir(exist_ok=True, parents=True)
    store.failure_path(done.key).write_bytes(msgspec.json.encode(replace(failed, cell=done.cell, key=done.key)) + b"\n")
    rows = rows_of(store)
    assert [(row["status"], row["failure"], row["rule"]) for row in rows if row["seed"] == 99] == [
        ("failed", "diverged: NaN", None)
    ]
    assert {row["status"] for row in rows if row["key"] == done.key} == {"done"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"counts": {}}, "no counts"),
        ({"candidates": RECORDS[0].candidates * 2}, "expected (2, 3, 6, 3)"),
        ({"counts": {"test": PackedCounts((1, 3, 6, 3), b"not zlib")}}, "incorrect header check"),
        ({"counts": {"test": PackedCounts((1, 3, 6, 3), zlib.compress(bytes(10**6)))}}, "need 216 bytes, found 217"),
        ({"groups": Groups(10**6, ("b",), (10**6,), ((0,),))}, "numbers are read"),
    ],
)
def test_a_record_whose_counts_do_not_fit_is_reported_and_left_out(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    store = Store(tmp_path)
    store.write(RECORDS[1])
    store.write(replace(RECORDS[0], **change))
    found = aggregate(store)
    assert len(found.damaged) == 1
    assert RECORDS[0].key in found.damaged[0]
    assert says in found.damaged[0]
    assert found.statuses == {"done": 1}


def test_a_truncated_record_is_reported(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(RECORDS[0])
    path.write_bytes(path.read_bytes()[:1000])
    assert "is damaged" in aggregate(store).damaged[0]


def test_cells_of_a_sweep_without_a_record_are_missing_and_pairs_that_cannot_run_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sweep = Sweep(
        tasks=[TaskEntry("colored_mnist", [0.95], {"source": "embedded"})],
        methods=["vanilla", MethodEntry("denetdm", {"branches": "bffhq"})],
        seeds=2,
        protocol="smoke",
    )
    expansion = expand(sweep, tmp_path)
    write_manifest(store, "one", sweep, expansion)
    found = aggregate(store)
    assert found.statuses == {"missing": 2}
    path = tmp_path / "results.parquet"
    write_table(found, path)
    assert [row["rule"] for row in pq.read_table(path).to_pylist()] == [None, None]
    refused = json.loads(pq.read_schema(path).metadata[b"debias_bench.not_applicable"])
    assert [pair[:2] for pair in refused] == [["colored_mnist", "denetdm"]]
    assert "ResNet-18" in refused[0][2]


def test_an_empty_results_folder_gives_an_empty_table(tmp_path: Path) -> None:
    assert rows_of(Store(tmp_path)) == []


def test_records_of_another_version_of_what_they_start_from_are_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = TASKS.get("colored_mnist")
    protocol = PROTOCOLS["smoke"]
    task = kind(kind.resolve(kind.Params(), tmp_path, protocol))
    cells = [make_cell(task, 0.95, name, {}, seed, protocol) for name in ("vanilla", "bise") for seed in (0, 1)]
    store = Store(tmp_path)
    for cell in cells:
        record = RECORDS[0]
        store.write(replace(record, cell=cell, key=cell.key))

    def stale() -> dict[tuple[str, int], str | None]:
        return {(row["method"], row["seed"]): row["stale"] for row in rows_of(store)}

    assert set(stale().values()) == {None}
    monkeypatch.setattr(METHODS.get("vanilla"), "version", 2)
    assert stale() == {
        ("vanilla", 0): "method version 1, now 2",
        ("vanilla", 1): "method version 1, now 2",
        ("bise", 0): "starts from another vanilla than it would now",
        ("bise", 1): "starts from another vanilla than it would now",
    }


class TestOfRealCells:
    """Tables of cells that were run, of the toy task."""

    def test_is_read_by_pandas_with_the_documented_columns(
        self, cells_of: Callable[..., list[Cell]], run_cells: Callable[..., Any], tmp_path: Path
    ) -> None:
        done, failed, missing = cells_of("toy_erm", {"name": "toy_bad", "params": {"how": "raise"}}, "toy_groups")
        store, path = Store(tmp_path / "results"), tmp_path / "table.parquet"
        run_cells([done, failed], store.root)
        write_manifest(store, "all", Sweep(["toy"], ["toy_erm"]), Expansion([done, failed, missing], []))
        write_table(aggregate(store), path)
        table = pd.read_parquet(path)
        assert table.groupby("key").status.unique().map(list).to_dict() == {
            done.key: ["done"],
            failed.key: ["failed"],
            missing.key: ["missing"],
        }
        row = table[(table.key == done.key) & (table.rule == "last")].iloc[0]
        identity = ["task", "rho", "method", "seed", "protocol", "precision", "supervision", "variant", "candidate"]
        assert list(row[identity]) == ["toy", 0.9, "toy_erm", 0, "smoke", "fp32", "none", "", "epoch 2"]
        record = store.read(done.key)
        assert record is not None
        test = record.counts["test"].unpack()[-1]
        accuracy = np.array([[test[y, b, y] / test[y, b].sum() for b in range(2)] for y in range(2)])
        assert row.unbiased_accuracy == pytest.approx(accuracy.mean(), abs=1e-12)
        assert row.worst_group_accuracy == pytest.approx(accuracy.min(), abs=1e-12)
        aligned, total = test[0, 0, 0] + test[1, 1, 1], test[0, 0].sum() + test[1, 1].sum()
        assert row.aligned_accuracy == pytest.approx(aligned / total, abs=1e-12)
        schema = pq.read_schema(path)
        for name, (kind, text) in COLUMNS.items():
            field = schema.field(name)
            assert field.metadata[b"description"].decode() == text
            assert str(field.type) == {"float64": "double", "list<int64>": "list<element: int64>"}.get(kind, kind)
        assert schema.metadata[b"debias_bench.code"].decode() == code_version()
        rules = {rule.name: rule.uses for rule in RULES.values()}
        assert json.loads(schema.metadata[b"debias_bench.rules"]) == rules

    def test_can_be_made_while_cells_run(
        self, cells_of: Callable[..., list[Cell]], run_cells: Callable[..., Any], tmp_path: Path
    ) -> None:
        """Records come up and failures are replaced while the folder is read over and over."""
        cells, store = cells_of("toy_erm", "toy_groups", seeds=6), Store(tmp_path / "results")
        write_manifest(store, "all", Sweep(["toy"], ["toy_erm"]), Expansion(cells, []))
        seen: list[int] = []

        def collect() -> None:
            while not seen or seen[-1] < len(cells):
                found = aggregate(store)
                assert sum(found.statuses.values()) == len(cells)
                assert found.damaged == ()
                seen.append(found.statuses.get("done", 0))

        with ThreadPoolExecutor(1) as threads:
            collecting = threads.submit(collect)
            run_cells(cells, store.root)
            collecting.result(60)
        assert seen == sorted(seen)
        assert len(set(seen)) > 3


def test_the_log_of_the_training_is_thinned_to_a_few_epochs_with_both_ends(store: Store) -> None:
    long, short = [1 / (1 + i) for i in range(100)], [0.5, None]
    logged = replace(RECORDS[0], training={"training": {"loss": tuple(long)}, "after": {"tau": tuple(short)}})
    store.write(logged)
    texts = {row["key"]: row["training"] for row in rows_of(store)}
    assert texts.pop(logged.key) is not None
    assert set(texts.values()) == {None}
    (text,) = {row["training"] for row in rows_of(store) if row["key"] == logged.key}
    found = json.loads(text)
    assert list(found) == ["training", "after"]
    epochs = found["training"]["epochs"]
    assert len(epochs) == 16
    assert (epochs[0], epochs[-1]) == (1, 100)
    assert max(np.diff(epochs)) - min(np.diff(epochs)) <= 1
    assert found["training"]["curves"] == {"loss": [long[epoch - 1] for epoch in epochs]}
    assert found["after"] == {"epochs": [1, 2], "curves": {"tau": short}}
