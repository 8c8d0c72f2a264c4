"""Failed cells: a record with one line that says what kind of failure it was, and the end of the traceback."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

from benchmark.cell import Cell
from benchmark.environment import environment
from benchmark.errors import (
    DataCorruptError,
    DataMissingError,
    DivergedError,
    PluginError,
    PrunedError,
    ResultCorruptError,
    UpstreamError,
)
from benchmark.record import Failure, Record

TRACEBACK_LINES = 20

KINDS: tuple[tuple[str, type[BaseException]], ...] = (
    ("diverged", DivergedError),
    ("data missing", DataMissingError),
    ("data corrupt", DataCorruptError),
    ("result corrupt", ResultCorruptError),
    ("upstream failed", UpstreamError),
    ("plugin broken", PluginError),
    ("out of memory", MemoryError),
    ("pruned", PrunedError),
)


def failure_of(error: BaseException) -> Failure:
    """What to record of an error."""
    kind = next((name for name, type_ in KINDS if isinstance(error, type_)), f"error: {type(error).__name__}")
    # torch's errors, which this module does not import: one for GPUs, and a message for the CPU
    if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in str(error):
        kind = "out of memory"
    lines = "".join(traceback.format_exception(error)).splitlines()
    return Failure(f"{kind}: {' '.join(str(error).split())}"[:500], "\n".join(lines[-TRACEBACK_LINES:]))


def failed_record(cell: Cell, failure: Failure, device: str, threads: int) -> Record:
    """The record of a cell without a result."""
    return Record(
        cell=cell,
        key=cell.key,
        status="failed",
        environment=environment(device, threads),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        failure=failure,
    )
