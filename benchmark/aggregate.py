"""All records of a results folder as one table: a row for each cell and selection rule, in parquet.

Works at any time, also while cells run. The columns are described by :data:`COLUMNS`; the file's metadata carry the
schema version, the code version and the definitions of metrics and rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmark.cell import Cell
from benchmark.counts import Groups, IntArray
from benchmark.environment import code_version
from benchmark.errors import ResultCorruptError
from benchmark.files import atomic_path
from benchmark.metrics import METRICS, combination_accuracies, score
from benchmark.record import Record
from benchmark.registry import TASKS
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
