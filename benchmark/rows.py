"""Records as columns of the results table: a chunk of files at a time, so that chunks can be read side by side."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmark.cell import Cell, as_dict, supervision_of
from benchmark.counts import Groups, IntArray
from benchmark.errors import DebiasBenchError, ResultCorruptError
from benchmark.files import read_ahead
from benchmark.manifest import Staleness
from benchmark.metrics import METRICS
from benchmark.record import Failure, Record
from benchmark.registry import METHODS, TASKS
from benchmark.scoring import Counted, score_cells, unpack
from benchmark.selection import RULES
from benchmark.store import decode_record
from benchmark.tuning.note import NOT_YET_TUNED, Tuning

CHOSEN = ("rule", "candidate", *METRICS, "combinations", "info", "counts", "sparsity", "candidate_macs")
"""Columns that differ between the rules of one cell."""


EPOCHS_SHOWN = 16
"""Of a phase of training, in the table; records have them all."""


@dataclass
class Chunk:
    """Part of the table: what a cell's rows share, and its rows.

    Attributes:
        cells: Columns with one value per cell.
        rows: The columns ``CHOSEN``, one value per row, and ``cell``: the index of the row's cell.
        damaged: What is wrong with records that cannot be read.
    """

    cells: dict[str, list[Any]] = field(default_factory=dict)
    rows: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in ("cell", *CHOSEN)})
    damaged: list[str] = field(default_factory=list)

    @property
    def length(self) -> int:
        """How many cells."""
        return len(self.cells.get("key", ()))

    def add_cell(self, values: Mapping[str, Any]) -> int:
        """Append a cell; what ``values`` lacks is null. Returns its index."""
        index = self.length
        for name in values.keys() - self.cells.keys():
            self.cells[name] = [None] * index
        for name, column in self.cells.items():
            column.append(values.get(name))
        return index

    def add_row(self, cell: int) -> None:
        """Append a row of a cell for which no rule chose anything."""
        for name, column in self.rows.items():
            column.append(cell if name == "cell" else None)


def read_chunk(paths: Iterable[Path], plugins: Plugins) -> Chunk:
    """Read records; of damaged ones only the reason remains."""
    chunk = Chunk()
    alike: dict[tuple[Groups, str], tuple[list[int], list[Counted]]] = {}
    for path, content in read_ahead(paths):  # a failure that has just been replaced by a result is gone
        try:
            record = decode_record(path, content)
            counted = unpack(record) if record.status == "done" else None
        except ResultCorruptError as error:
            chunk.damaged.append(str(error))
            continue
        values = {**plugins.describe(record.cell), **_measured(record)}
        if counted is None:
            failure = record.failure or Failure("no reason recorded")
            values |= {"failure": failure.reason, "traceback": failure.traceback}
            chunk.add_row(chunk.add_cell(values))
            continue
        index = chunk.add_cell({**values, **_outcome(counted)})
        indices, cells = alike.setdefault((counted.groups, values["headline"] or "accuracy"), ([], []))
        indices.append(index)
        cells.append(counted)
    for (_, headline), (indices, cells) in alike.items():
        _add_scores(chunk, indices, cells, headline)
    return chunk


def missing_cells(cells: Iterable[Cell], plugins: Plugins) -> Chunk:
    """Cells without a record."""
    chunk = Chunk()
    for cell in cells:
        chunk.add_row(chunk.add_cell({**plugins.describe(cell), "stale": None, "status": "missing"}))
    return chunk


def _measured(record: Record) -> dict[str, Any]:
    resources = record.resources
    return {
        "status": record.status,
        "code": record.environment.get("code"),
        "hardware": record.environment.get("hardware"),
        "environment": canonical({name: value for name, value in record.environment.items() if name != "host"}),
        "finished_at": record.finished_at,
        "train_seconds": resources.train_seconds,
        "evaluate_seconds": resources.evaluate_seconds,
        "resumed": resources.resumed,
        "peak_memory_bytes": resources.peak_memory_bytes,
        "peak_gpu_memory_bytes": resources.peak_gpu_memory_bytes,
        "parameters": resources.parameters,
        "macs": resources.macs,
        # as they come, not sorted: phases are in their order, and so are layers
        "training": msgspec.json.encode(_thinned(record.training)).decode() if record.training else None,
        "diagnostics": msgspec.json.encode(record.diagnostics).decode() if record.diagnostics else None,
    }


@cache
def _places(epochs: int) -> tuple[int, ...]:
    return tuple(np.unique(np.linspace(0, epochs - 1, min(epochs, EPOCHS_SHOWN)).round().astype(int)).tolist())


def _thinned(training: Mapping[str, Mapping[str, Sequence[float | None]]]) -> dict[str, Any]:
    """By phase the numbers of some epochs and the curves there: the first and last epoch, the others evenly spaced."""
    found = {}
    for phase, curves in training.items():
        places = _places(min(map(len, curves.values()), default=0))  # all are as long, unless the record is made up
        found[phase] = {
            "epochs": [place + 1 for place in places],
            "curves": {name: [curve[place] for place in places] for name, curve in curves.items()},
        }
    return found


def _outcome(counted: Counted) -> dict[str, Any]:
    return {
        "supervision": str(counted.record.supervision),
        "candidates": int(counted.selectable.sum()),
        "groups": canonical(counted.groups),
        "counts_shape": list(counted.groups.shape),
    }


def _add_scores(chunk: Chunk, indices: Sequence[int], cells: Sequence[Counted], headline: str) -> None:
    """Rows of finished cells that have the same groups and headline metric."""
    scores = score_cells(cells, headline)
    blobs = [_compressed(counts) for counts in scores.counts]
    combinations: list[str | None] = [
        canonical({name: _defined(values[i]) for name, values in scores.combinations.items()})
        if scores.combinations
        else None
        for i in range(len(blobs))
    ]
    place = scores.place.ravel()
    columns: dict[str, list[Any]] = {
        "cell": np.repeat(np.array(indices), len(RULES)).tolist(),
        "rule": [*RULES] * len(cells),
        "counts": [blobs[i] if i >= 0 else None for i in place],
        "combinations": [combinations[i] if i >= 0 else None for i in place],
    }
    for name, values in scores.metrics.items():
        known = [_defined(value) for value in values.tolist()]
        columns[name] = [known[i] if i >= 0 else None for i in place]
    chosen = [
        cell.record.candidates[i] if i >= 0 else None
        for cell, row in zip(cells, scores.chosen.tolist(), strict=True)
        for i in row
    ]
    columns["candidate"] = [candidate and candidate.label for candidate in chosen]
    columns["info"] = [candidate and canonical(candidate.info) for candidate in chosen]
    columns["sparsity"] = [candidate and candidate.sparsity for candidate in chosen]
    columns["candidate_macs"] = [candidate and candidate.macs for candidate in chosen]
    for name, column in chunk.rows.items():
        column.extend(columns[name])


def _compressed(counts: IntArray) -> bytes:
    """One table; runs of zeros are all there is to gain, and looking for them alone takes a fifth of the time."""
    stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    return stream.compress(counts.astype("<u4").tobytes()) + stream.flush()


def _defined(value: float) -> float | None:
    """A float, or ``None`` in place of NaN."""
    return None if value != value else float(value)


class Plugins:
    """What the installed plugins say of cells, each asked once; nothing where they are not installed here."""

    def __init__(self, notes: Mapping[str, Tuning | None] | None = None) -> None:
        """``notes`` is what sweeps know of cells' tuning, by key; of other cells their record tells."""
        self._notes = notes or {}
        self._staleness = Staleness()
        self._headlines: dict[str, str | None] = {}
        self._supervision: dict[tuple[str, str], str | None] = {}
        self._variants: dict[tuple[str, str], str] = {}

    def describe(self, cell: Cell) -> dict[str, Any]:
        """The columns that follow from the cell alone."""
        params = canonical(cell.params)
        return {
            "key": cell.key,
            "task": cell.task,
            "task_version": cell.task_version,
            "task_params": canonical(cell.task_params),
            "rho": cell.rho,
            "method": cell.method,
            "method_version": cell.method_version,
            "params": params,
            "variant": self._variant(cell.method, params),
            "seed": cell.seed,
            "protocol": cell.protocol.name,
            "protocol_settings": canonical(cell.protocol),
            "precision": cell.precision,
            "engine_version": cell.engine_version,
            "stale": self._staleness(cell),
            "headline": self._headline(cell.task),
            "supervision": self._supervision_of(cell, params),
            **_tuning_of(self._notes.get(cell.key, cell.tuning)),
        }

    def _headline(self, task: str) -> str | None:
        if task not in self._headlines:
            self._headlines[task] = None
            with suppress(DebiasBenchError):
                self._headlines[task] = TASKS.get(task).headline
        return self._headlines[task]

    def _supervision_of(self, cell: Cell, params: str) -> str | None:
        if (cell.method, params) not in self._supervision:
            self._supervision[cell.method, params] = None
            with suppress(DebiasBenchError):
                chosen = {name: value for name, value in cell.params.items() if value != NOT_YET_TUNED}
                self._supervision[cell.method, params] = str(supervision_of(replace(cell, params=chosen)))
        return self._supervision[cell.method, params]

    def _variant(self, method: str, params: str) -> str:
        """Parameters that differ from the method's defaults: ``sparsity=0.9, structured=true``."""
        if (method, params) not in self._variants:
            defaults: dict[str, Any] = {}
            with suppress(DebiasBenchError):
                defaults = as_dict(METHODS.get(method).Params())
            chosen = msgspec.json.decode(params)
            self._variants[method, params] = ", ".join(
                f"{name}={canonical(value)}" for name, value in chosen.items() if defaults.get(name) != value
            )
        return self._variants[method, params]


def _tuning_of(note: Tuning | None) -> dict[str, Any]:
    if note is None:
        return {"purpose": "result", "tuning_trials": 0}
    return {
        "purpose": "result" if note.purpose == "result" else "tuning",
        "study": note.study,
        "trial": note.number,
        "tuning_trials": None if note.purpose == "result" and not note.trials else note.trials,
        "tuning_data": note.data or None,
        "tuned": canonical(note.values) if note.values else None,
    }


def canonical(value: Any) -> str:
    """JSON with sorted keys."""
    return msgspec.json.encode(value, order="sorted").decode()
