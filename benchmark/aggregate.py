"""All records of a results folder as one table: a row for each cell and selection rule, in parquet.

Works at any time, also while cells run. The columns are described by :data:`COLUMNS`; the file's metadata carry the
schema version, the code version, the selection rules and the pairs that are not applicable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.arrow import array, coded, numbers, plain
from benchmark.cell import Cell
from benchmark.code import code_version
from benchmark.files import atomic_path
from benchmark.forked import forked_map
from benchmark.garbage import garbage_stays
from benchmark.manifest import Manifest, read_manifests
from benchmark.metrics import METRICS
from benchmark.rows import CHOSEN, Chunk, Plugins, canonical, missing_cells, read_chunk
from benchmark.selection import RULES
from benchmark.store import Store
from benchmark.sweep import NotApplicable
from benchmark.tuning.note import Tuning

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
    "protocol_settings": ("string", "all settings of the protocol, canonical JSON"),
    "precision": ("string", "of forward passes"),
    "engine_version": ("int64", "behaviour version of the harness"),
    "status": ("string", "done, failed or missing"),
    "failure": ("string", "reason, where the cell failed"),
    "traceback": ("string", "end of the traceback, where the cell failed"),
    "stale": ("string", "why the code that wrote this table would give another result; null if it would not"),
    "supervision": ("string", "what the method was given beyond biased images and targets"),
    "purpose": ("string", "result; or tuning, where the cell was only computed to choose parameters"),
    "study": ("string", "the tuning that the cell belongs to; null if none"),
    "trial": ("int64", "its number in that tuning; null unless it is a trial"),
    "tuned": ("string", "parameters that were tried, or chosen, canonical JSON; null without tuning"),
    "tuning_trials": (
        "int64",
        "finished trials behind the choice of parameters; 0 if none were tuned, null if not yet",
    ),
    "tuning_data": ("string", "what these trials were judged by; null without tuning"),
    "headline": ("string", "the metric by which the literature compares methods on the task"),
    "rule": ("string", "selection rule that chose the candidate; null unless done"),
    "candidate": ("string", "label of the chosen candidate; null where the rule is not applicable"),
    "candidates": ("int64", "how many selectable candidates there were"),
    **{name: ("float64", f"{metric.definition}; on test, 0 to 1") for name, metric in METRICS.items()},
    "combinations": ("string", "accuracy of each aligned/conflicting combination of several biases, JSON"),
    "info": ("string", "numbers that the method reported of the chosen candidate, JSON"),
    "counts": ("binary", "test counts (y, b, prediction) of the chosen candidate: zlib of little-endian uint32"),
    "counts_shape": ("list<int64>", "shape of counts"),
    "groups": ("string", "axes of counts, JSON"),
    "sparsity": ("float64", "share of exactly zero weights of the chosen candidate"),
    "parameters": ("int64", "of the model"),
    "macs": ("int64", "multiply-accumulates for one input, dense"),
    "candidate_macs": ("int64", "the same of the chosen candidate, without masked units"),
    "train_seconds": ("float64", "wall time in the method"),
    "evaluate_seconds": ("float64", "wall time scoring candidates"),
    "resumed": ("bool", "whether the cell went on from a checkpoint; then the times cover its last part only"),
    "peak_memory_bytes": ("int64", "peak resident memory of the worker"),
    "peak_gpu_memory_bytes": ("int64", "peak memory of tensors on the GPU; null on a CPU"),
    "training": ("string", "what the method logged of its epochs, up to 16 of each phase, JSON; null if nothing"),
    "diagnostics": ("string", "results of the diagnostics of the cell's last candidate by name, JSON; null if none"),
    "code": ("string", "version of the code that ran the cell"),
    "hardware": ("string", "processor or device that ran the cell"),
    "environment": ("string", "versions, machine, device and threads of the worker, without the host's name; JSON"),
    "finished_at": ("string", "UTC, ISO 8601"),
}
"""Every column: its Arrow type and what it holds."""


CHUNK = 256
"""Records that are scored together: enough to spread the cost of a call, few enough to unpack at once."""
FEW = 4 * CHUNK
"""Up to as many records a second process takes longer to start than it saves."""
BLOCK = 8192
"""Cells per row group of the file."""


@dataclass(frozen=True)
class Aggregation:
    """The table, what could not be read, and what cannot be run.

    Attributes:
        cells: An Arrow table of the columns that all rows of a cell share, one line per cell.
        rows: An Arrow table of the other columns, one line per row, and of ``cell``, the row's line in ``cells``.
        damaged: What is wrong with records that cannot be read.
        not_applicable: Pairs of task and method that the folder's sweeps left out.
    """

    cells: Any
    rows: Any
    damaged: tuple[str, ...]
    not_applicable: tuple[NotApplicable, ...]

    @property
    def statuses(self) -> dict[str, int]:
        """How many cells are done, failed and missing."""
        return dict(sorted(Counter(self.cells.column("status").to_pylist()).items()))


@garbage_stays()
def aggregate(store: Store) -> Aggregation:
    """Read every record of a results folder; cells of its sweeps without one become rows with status ``missing``."""
    import pyarrow as pa

    manifests = read_manifests(store)
    parts, damaged, seen = [], [], set()
    tuned = [manifest.tuned(store) for manifest in manifests]
    notes = _notes(manifests, tuned)
    for cells, rows, problems in _read([path for _, path in store.record_files()], Plugins(notes)):
        damaged += problems
        parts.append((cells, rows))
        seen.update(cells.column("key").to_pylist())
    expected = {
        c.key: c
        for manifest, chosen in zip(manifests, tuned, strict=True)
        for c in (*manifest.cells, *chosen, *manifest.undecided(store))
    }
    missing = (cell for key, cell in expected.items() if key not in seen)
    parts.append(_arrow(missing_cells(missing, Plugins(notes)))[:2])
    offsets = np.cumsum([0, *(len(cells) for cells, _ in parts)])
    rows = [
        table.set_column(0, "cell", numbers(plain(table.column("cell")) + offset))
        for (_, table), offset in zip(parts, offsets[:-1], strict=True)
    ]
    return Aggregation(
        pa.concat_tables([cells for cells, _ in parts]).unify_dictionaries(),
        pa.concat_tables(rows).unify_dictionaries(),
        tuple(damaged),
        tuple(pair for manifest in manifests for pair in manifest.not_applicable),
    )


def write_table(aggregation: Aggregation, path: Path) -> None:
    """Write a table to parquet, in an order that depends on the cells alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [pa.field(name, _type(name), metadata={"description": text}) for name, (_, text) in COLUMNS.items()],
        metadata={
            "debias_bench.table_version": str(TABLE_VERSION),
            "debias_bench.code": code_version(),
            "debias_bench.rules": canonical({rule.name: rule.uses for rule in RULES.values()}),
            "debias_bench.not_applicable": canonical(sorted(map(astuple, aggregation.not_applicable))),
        },
    )
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for cells, rows in _blocks(aggregation):
            shared, own = aggregation.cells.take(numbers(cells)), aggregation.rows.take(numbers(rows))
            columns = {name: own.column(name) if name in CHOSEN else shared.column(name) for name in COLUMNS}
            writer.write_table(pa.table(columns).cast(schema))


def _blocks(aggregation: Aggregation) -> Iterator[tuple[Any, Any]]:
    """For each row group: for each of its rows, the line in ``cells`` and the line in ``rows``."""
    import pyarrow as pa
    from pyarrow import compute

    names = ("task", "rho", "method", "params", "seed", "key")
    columns = {name: aggregation.cells.column(name).cast(_type(name)) for name in names}
    columns["rho"] = numbers(plain(columns["rho"]))  # what is natural is 0 and comes first
    order = plain(compute.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in names]))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    owners = plain(aggregation.rows.column("cell"))
    rows = np.argsort(rank[owners], kind="stable")
    ends = np.searchsorted(rank[owners[rows]], np.arange(0, len(order), BLOCK))
    for part in np.split(rows, ends[1:]):
        yield owners[part], part


def _notes(manifests: Sequence[Manifest], tuned: Sequence[Sequence[Cell]]) -> dict[str, Tuning | None]:
    """What sweeps know of their cells' tuning: a record may be older than the tuning that chose its parameters."""
    notes: dict[str, Tuning | None] = {cell.key: None for manifest in manifests for cell in manifest.cells}
    return notes | {cell.key: cell.tuning for cells in tuned for cell in cells}


def _read(paths: Sequence[str], plugins: Plugins) -> Iterator[tuple[Any, Any, list[str]]]:
    """The chunks; many are read by several processes, each of which remembers what plugins say."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    return (map if len(paths) <= FEW else forked_map)(partial(_read_arrow, plugins), chunks)


def _read_arrow(plugins: Plugins, paths: Sequence[str]) -> tuple[Any, Any, list[str]]:
    return _arrow(read_chunk(map(Path, paths), plugins))


def _arrow(chunk: Chunk) -> tuple[Any, Any, list[str]]:
    """The chunk's cells and rows as Arrow tables, texts kept once."""
    import pyarrow as pa

    def column(name: str, values: Sequence[Any]) -> Any:
        kind = COLUMNS[name][0]
        return coded(values, kind) if kind in ("string", "binary") and name != "key" else array(values, kind)

    nothing: list[Any] = [None] * chunk.length
    shared = {name: column(name, chunk.cells.get(name, nothing)) for name in COLUMNS if name not in CHOSEN}
    own = {name: column(name, chunk.rows[name]) for name in CHOSEN}
    return pa.table(shared), pa.table({"cell": array(chunk.rows["cell"], "int64"), **own}), chunk.damaged


def _type(name: str) -> Any:
    import pyarrow as pa

    kind = COLUMNS[name][0]
    return pa.list_(pa.int64()) if kind == "list<int64>" else pa.type_for_alias(kind)
