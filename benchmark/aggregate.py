"""All records of a results folder as one table: a row for each cell and selection rule, in parquet.

Works at any time, also while cells run. The columns are described by :data:`COLUMNS`; the file's metadata carry the
schema version, the code version and the definitions of metrics and rules.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from benchmark.cell import Cell, as_dict
from benchmark.code import code_version
from benchmark.counts import Groups, IntArray, PackedCounts
from benchmark.errors import DebiasBenchError, ResultCorruptError
from benchmark.files import atomic_path
from benchmark.metrics import METRICS, combination_accuracies, score
from benchmark.record import Record
from benchmark.registry import METHODS, TASKS
from benchmark.selection import RULES
from benchmark.store import Store, read_record

TABLE_VERSION = 1

COLUMNS: dict[str, tuple[str, str]] = {
    "key": ("string", "content-addressed key of the cell"),
    "task": ("string", "name of the task"),
    "task_version": ("int64", "behaviour version of the task"),
    "task_params": ("string", "all parameters of the task, canonical JSON; the data source is among them"),
    "rho": ("float64", "share of bias-aligned training samples; null where natural"),
    "method": ("string", "name of the method"),
    "method_version": ("int64", "behaviour version of the method"),
    "params": ("string", "all parameters of the method, canonical JSON"),
    "variant": ("string", "the parameters of the method that differ from its defaults, for people; empty if none"),
    "seed": ("int64", "seed of data, initialisation and batch order"),
    "protocol": ("string", "budget and rules of the run"),
    "precision": ("string", "of forward passes"),
    "status": ("string", "done, failed or missing"),
    "failure": ("string", "reason, where the cell failed"),
    "supervision": ("string", "what the method was given beyond biased images and targets"),
    "headline": ("string", "the metric by which the literature compares methods on the task"),
    "rule": ("string", "selection rule that chose the candidate; null unless done"),
    "candidate": ("string", "label of the chosen candidate; null where the rule is not applicable"),
    "candidates": ("int64", "how many selectable candidates there were"),
    **{name: ("float64", f"{metric.definition}; on test, 0 to 1") for name, metric in METRICS.items()},
    "combinations": ("string", "accuracy of each aligned/conflicting combination of several biases, JSON"),
    "counts": ("binary", "test counts (y, b, prediction) of the chosen candidate: zlib of little-endian uint32"),
    "counts_shape": ("list<int64>", "shape of counts"),
    "groups": ("string", "axes of counts, JSON"),
    "sparsity": ("float64", "share of exactly zero weights of the chosen candidate"),
    "parameters": ("int64", "of the model"),
    "macs": ("int64", "multiply-accumulates for one input, dense"),
    "train_seconds": ("float64", "wall time in the method"),
    "evaluate_seconds": ("float64", "wall time scoring candidates"),
    "peak_memory_bytes": ("int64", "peak resident memory of the worker"),
    "code": ("string", "version of the code that ran the cell"),
    "hardware": ("string", "processor or device that ran the cell"),
    "finished_at": ("string", "UTC, ISO 8601"),
}
"""Every column: its Arrow type and what it holds."""


@dataclass
class Aggregation:
    """Rows of the table, and the files that could not be read.

    Attributes:
        rows: One for each finished (cell, rule), one for each failed or missing cell.
        damaged: What is wrong with records that cannot be read.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def aggregate(store: Store, expected: dict[str, Cell]) -> Aggregation:
    """Read every record of a results folder.

    Args:
        store: The results folder.
        expected: Cells by key; those without a record become rows with status ``missing``.
    """
    result = Aggregation()
    seen = set()
    for path in store.record_files():
        try:
            record = read_record(path)
        except FileNotFoundError:
            continue  # a failure that has just been replaced by a result
        except ResultCorruptError as error:
            result.damaged.append(str(error))
            continue
        if record.key not in seen:  # records come before failures
            try:
                result.rows.extend(list(_rows(record)))
            except (ValueError, LookupError, zlib.error) as error:
                result.damaged.append(f"the counts of {path} are damaged ({error}); delete it and run the sweep again")
                continue
            seen.add(record.key)
    result.rows.extend({**_identity(cell), "status": "missing"} for key, cell in expected.items() if key not in seen)
    return result


def write_table(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Write rows to parquet, in an order that depends on the cells alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda row: (row["task"], row["rho"] or 0, row["method"], row["params"], row["seed"]))
    types = {"list<int64>": pa.list_(pa.int64())}
    schema = pa.schema(
        [
            pa.field(name, types.get(kind) or pa.type_for_alias(kind), metadata={"description": text})
            for name, (kind, text) in COLUMNS.items()
        ],
        metadata={
            "debias_bench.table_version": str(TABLE_VERSION),
            "debias_bench.code": code_version(),
            "debias_bench.rules": msgspec.json.encode({rule.name: rule.uses for rule in RULES.values()}).decode(),
        },
    )
    columns = {name: [row.get(name) for row in ordered] for name in COLUMNS}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    common = {
        **_identity(record.cell),
        "status": record.status,
        "code": record.environment.get("code"),
        "hardware": record.environment.get("hardware"),
        "finished_at": record.finished_at,
        "train_seconds": record.resources.train_seconds,
        "evaluate_seconds": record.resources.evaluate_seconds,
        "peak_memory_bytes": record.resources.peak_memory_bytes,
        "parameters": record.resources.parameters,
        "macs": record.resources.macs,
    }
    if record.status == "failed" or record.groups is None:
        yield {**common, "failure": record.failure.reason if record.failure else "no reason recorded"}
        return
    groups = record.groups
    counts = {split: packed.unpack() for split, packed in record.counts.items()}
    test = counts["test"]
    scores = {name: score(name, test, groups) for name in METRICS}
    selectable = [candidate.selectable for candidate in record.candidates]
    common |= {
        "supervision": str(record.supervision),
        "candidates": sum(selectable),
        "groups": canonical(groups),
        "counts_shape": list(test.shape[1:]),
    }
    headline = common["headline"] or "accuracy"
    for rule in RULES.values():
        index = rule.choose(counts, groups, selectable, headline).index
        if index is None:
            yield {**common, "rule": rule.name}
        else:
            yield {
                **common,
                "rule": rule.name,
                "candidate": record.candidates[index].label,
                "sparsity": record.candidates[index].sparsity,
                "counts": PackedCounts.pack(test[index : index + 1]).data,
                "combinations": _combinations(test[index], groups),
                **{name: _defined(values[index]) for name, values in scores.items()},
            }


def _combinations(counts: IntArray, groups: Groups) -> str | None:
    if len(groups.bias_names) < 2:
        return None
    return canonical({name: _defined(value) for name, value in combination_accuracies(counts, groups).items()})


def _defined(value: Any) -> float | None:
    """A float, or ``None`` in place of NaN."""
    return None if value != value else float(value)


def _identity(cell: Cell) -> dict[str, Any]:
    return {
        "key": cell.key,
        "task": cell.task,
        "task_version": cell.task_version,
        "task_params": canonical(cell.task_params),
        "rho": cell.rho,
        "method": cell.method,
        "method_version": cell.method_version,
        "params": canonical(cell.params),
        "variant": _variant(cell.method, canonical(cell.params)),
        "seed": cell.seed,
        "protocol": cell.protocol.name,
        "precision": cell.precision,
        **_declared(cell.task, cell.method),
    }


@cache
def _declared(task: str, method: str) -> dict[str, Any]:
    """What the installed plugins say of a task and a method; nothing where they are not installed here."""
    declared: dict[str, Any] = {"headline": None, "supervision": None}
    with suppress(DebiasBenchError):
        declared["headline"] = TASKS.get(task).headline
    with suppress(DebiasBenchError):
        declared["supervision"] = str(METHODS.get(method).supervision)
    return declared


@cache
def _variant(method: str, params: str) -> str:
    """Parameters that differ from the method's defaults: ``sparsity=0.9, structured=true``."""
    try:
        defaults = as_dict(METHODS.get(method).Params())
    except DebiasBenchError:
        defaults = {}
    chosen = msgspec.json.decode(params)
    return ", ".join(f"{name}={canonical(value)}" for name, value in chosen.items() if defaults.get(name) != value)


def canonical(value: Any) -> str:
    """JSON with sorted keys."""
    return msgspec.json.encode(value, order="sorted").decode()
