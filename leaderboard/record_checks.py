"""Checks of one record: that its cell is one of ours, and that what it tells can be what the cell gave."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.cell import ENGINE_VERSION, Cell, as_dict, method_of, supervision_of, task_of
from benchmark.counts import IntArray, PackedCounts
from benchmark.errors import DebiasBenchError, UnknownNameError
from benchmark.protocol import PROTOCOLS
from benchmark.record import SCHEMA_VERSION, Record
from benchmark.registry import METHODS, TASKS
from benchmark.task import EVALUATED, SplitName, groups_of
from leaderboard.budget_checks import check_note
from leaderboard.page.diagnostics import summarised

MOST_CANDIDATES = 10_000
MOST_LOGGED = 1_000_000
"""Numbers of epochs, over all phases."""
MOST_NUMBER = 2**53
"""Of seeds, bytes, operations: what tables and pages can hold exactly."""
MOST_COUNTS_BYTES = 256 * 2**20
"""Of the counts of a split, unpacked."""


def check_cell(record: Record) -> Iterator[str]:
    """What is wrong with the cell: its key, its versions, its budget, its parameters."""
    cell = record.cell
    if record.schema != SCHEMA_VERSION:
        yield f"layout {record.schema} of records, expected {SCHEMA_VERSION}"
    if cell.key != record.key:
        yield f"its key belongs to another cell: the cell it holds has {cell.key}"
    if cell.engine_version != ENGINE_VERSION:
        yield f"harness version {cell.engine_version}, expected {ENGINE_VERSION}"
    if not 0 <= cell.seed <= MOST_NUMBER:
        yield f"seed {cell.seed}, expected 0 to {MOST_NUMBER}"
    if PROTOCOLS.get(cell.protocol.name) != cell.protocol:
        yield (
            f"protocol {cell.protocol.name!r} with settings that are not those of a protocol here: an unequal budget"
        )
    yield from _check_task(cell)
    yield from _check_method(cell)
    yield from check_note(record)
    if not isinstance(record.environment.get("code"), str):
        yield "it does not say which code made it (environment.code)"
    if not isinstance(record.environment.get("hardware", ""), str):
        yield f"environment.hardware is {record.environment['hardware']!r}, expected text"
    if not _is_time(record.finished_at):
        yield f"finished_at is {record.finished_at!r}, expected a time in ISO 8601"


def _check_task(cell: Cell) -> Iterator[str]:
    try:
        kind = TASKS.get(cell.task)
        task = task_of(cell)
    except DebiasBenchError as error:
        yield str(error)
        return
    if cell.task_version != kind.version:
        yield f"task version {cell.task_version}, expected {kind.version}"
    if as_dict(task.params) != cell.task_params or kind.resolve(task.params, Path(), cell.protocol) != task.params:
        yield "the task's parameters are not all given, or not resolved (such as source: auto)"
    problem = kind.check_rho(cell.rho)
    if problem is not None:
        yield problem


def _check_method(cell: Cell) -> Iterator[str]:
    try:
        kind = METHODS.get(cell.method)
    except UnknownNameError:
        return  # a warning for all its records together
    except DebiasBenchError as error:
        yield str(error)
        return
    try:
        method, task = method_of(cell), task_of(cell)
    except DebiasBenchError as error:
        yield str(error)
        return
    if cell.method_version != kind.version:
        yield f"method version {cell.method_version}, expected {kind.version}"
    if as_dict(method.params) != cell.params:
        yield "the method's parameters are not all given"
    reason = method.not_applicable(task)
    if reason is not None:
        yield f"the method cannot run on the task: {reason}"
    if method.upstream().keys() != cell.upstream.keys():
        yield f"it starts from {sorted(cell.upstream)}, expected {sorted(method.upstream())}"


def scored_splits(cell: Cell) -> list[SplitName]:
    """The splits of which a finished record has counts."""
    splits = task_of(cell).splits
    return [split for split in EVALUATED if split in splits]


def check_outcome(record: Record, sizes: Mapping[SplitName, IntArray]) -> Iterator[str]:
    """What is wrong with the result of a cell that is right.

    Args:
        record: The record.
        sizes: Samples per (y, b) of its splits: (C, B), as far as they are known.
    """
    if record.status == "failed":
        if record.failure is None or not record.failure.reason.strip():
            yield "it failed, and says no reason"
        if record.counts or record.candidates:
            yield "it failed, and has counts or candidates"
        return
    task = task_of(record.cell)
    if record.failure is not None:
        yield "it is done, and has a reason of failure"
    if record.groups != groups_of(task):
        yield "the axes of its counts (classes, biases) are not those of the task"
        return
    yield from _check_supervision(record)
    yield from _check_candidates(record)
    yield from _check_training(record)
    yield from _check_diagnostics(record)
    for name, value in vars(record.resources).items():
        if value is not None and not 0 <= value <= MOST_NUMBER:
            yield f"{name} is {value}, expected a number from 0 to {MOST_NUMBER}"
    expected = scored_splits(record.cell)
    if record.counts.keys() != set(expected):
        yield f"counts of {sorted(record.counts)}, expected {sorted(expected)}"
        return
    for split in sorted(expected):
        yield from _check_counts(record, split, record.counts[split], sizes.get(split))


def _check_training(record: Record) -> Iterator[str]:
    if sum(len(curve) for curves in record.training.values() for curve in curves.values()) > MOST_LOGGED:
        yield f"it logs more than {MOST_LOGGED} numbers of its epochs"
    for phase, curves in record.training.items():
        if len({len(curve) for curve in curves.values()}) > 1:
            yield f"phase {phase!r} logs more epochs of one number than of another"


def _check_diagnostics(record: Record) -> Iterator[str]:
    """Pages summarise them, and one record must not keep a page from being made."""
    try:
        summarised([record.diagnostics])
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        yield f"its diagnostics are of another form than this version writes: {error!r}"


def _check_supervision(record: Record) -> Iterator[str]:
    if record.supervision is None:
        yield "it does not say its supervision"
        return
    try:
        expected = supervision_of(record.cell)
    except DebiasBenchError:
        return
    if record.supervision != expected:
        yield f"supervision {record.supervision}, expected {expected}"


def _check_candidates(record: Record) -> Iterator[str]:
    candidates = record.candidates
    if not 1 <= len(candidates) <= MOST_CANDIDATES:
        yield f"{len(candidates)} candidates, expected 1 to {MOST_CANDIDATES}"
    if not any(candidate.selectable for candidate in candidates):
        yield "none of its candidates may be selected"
    if len({candidate.label for candidate in candidates}) != len(candidates):
        yield "two of its candidates have the same label"
    for candidate in candidates:
        if not 0 <= candidate.sparsity <= 1:
            yield f"candidate {candidate.label!r} has sparsity {candidate.sparsity}, expected 0 to 1"
        if not 0 <= candidate.macs <= MOST_NUMBER:
            yield f"candidate {candidate.label!r} has {candidate.macs} multiply-accumulates"
        if any(value is not None and not math.isfinite(value) for value in candidate.info.values()):
            yield f"candidate {candidate.label!r} tells a number that is not finite"


def _check_counts(record: Record, split: str, packed: PackedCounts, sizes: IntArray | None) -> Iterator[str]:
    assert record.groups is not None
    shape = (len(record.candidates), *record.groups.shape)
    if packed.shape != shape:
        yield f"counts of {split} have shape {packed.shape}, expected {shape}"
        return
    if 4 * math.prod(shape) > MOST_COUNTS_BYTES:
        yield f"counts of {split} take {4 * math.prod(shape)} bytes, at most {MOST_COUNTS_BYTES} are read"
        return
    try:
        totals = packed.unpack().sum(-1)
    except (ValueError, zlib.error) as error:
        yield f"counts of {split} cannot be unpacked: {error}"
        return
    if not totals[0].any():
        yield f"counts of {split} are all 0"
    elif (totals != totals[0]).any():
        yield f"counts of {split} add up to other samples for one candidate than for another"
    elif sizes is not None and not np.array_equal(totals[0], sizes):
        y, b = (int(i) for i in np.argwhere(totals[0] != sizes)[0])
        yield (
            f"counts of {split} add up to {int(totals[0].sum())} samples, {int(totals[0, y, b])} of them with y={y}, "
            f"b={b}; the split has {int(sizes.sum())}, {int(sizes[y, b])} of them"
        )


def _is_time(text: Any) -> bool:
    try:
        datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return False
    return True
