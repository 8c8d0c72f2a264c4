"""Records: what a finished or failed cell leaves. Metrics are computed from the counts, never stored rounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from benchmark.cell import Cell
from benchmark.counts import Groups, PackedCounts
from benchmark.method import Supervision

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Candidate:
    """A state that the method offered.

    Attributes:
        label: Unique within the cell.
        info: Numbers that the method reported of it; ``None`` for NaN and infinity, which JSON does not have.
        selectable: Whether selection rules may choose it; otherwise it is scored for diagnosis only.
        sparsity: Share of the weights of its convolutions and linear layers that are exactly zero or belong to
            masked units.
        macs: Its multiply-accumulates for one input, without masked units.
    """

    label: str
    info: dict[str, float | None] = field(default_factory=dict)
    selectable: bool = True
    sparsity: float = 0.0
    macs: int = 0


@dataclass(frozen=True)
class Resources:
    """What it took to run the cell, and what its model takes to use.

    Attributes:
        train_seconds: Wall time in the method.
        evaluate_seconds: Wall time scoring the candidates.
        peak_memory_bytes: Peak resident memory of the worker process so far.
        resumed: Whether the cell went on from a checkpoint; then the times cover its last part only.
        parameters: Of the last selectable candidate.
        weights: Entries of the weights of its convolutions and linear layers.
        macs: Its multiply-accumulates for one input, dense.
        peak_gpu_memory_bytes: What tensors took of a GPU at most; ``None`` on a CPU.
    """

    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    peak_memory_bytes: int = 0
    resumed: bool = False
    parameters: int = 0
    weights: int = 0
    macs: int = 0
    peak_gpu_memory_bytes: int | None = None


@dataclass(frozen=True)
class Failure:
    """Why a cell has no result.

    Attributes:
        reason: One line, starting with its kind ("diverged", "out of memory", "data missing", "error", …).
        traceback: Its last lines.
    """

    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class Record:
    """One finished or failed cell.

    Attributes:
        cell: What was run.
        key: The cell's key.
        status: ``done`` or ``failed``.
        supervision: What the method was given; ``None`` if the cell failed.
        groups: Axes of the count tables; ``None`` if the cell failed.
        candidates: The states offered, in order.
        counts: For each scored split, tables (candidates, C, B, C).
        resources: Time, memory, size.
        training: What the method logged of its epochs: by phase and name, one number per epoch.
        environment: Code version, libraries, hardware.
        finished_at: UTC, ISO 8601.
        failure: Set if ``status`` is ``failed``.
        diagnostics: Results of the diagnostics that were asked for, plain JSON values by name
            (:mod:`benchmark.diagnostics`).
        schema: Version of this layout.
    """

    cell: Cell
    key: str
    status: Literal["done", "failed"]
    environment: dict[str, Any]
    finished_at: str
    supervision: Supervision | None = None
    groups: Groups | None = None
    candidates: tuple[Candidate, ...] = ()
    counts: dict[str, PackedCounts] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    training: dict[str, dict[str, tuple[float | None, ...]]] = field(default_factory=dict)
    failure: Failure | None = None
    diagnostics: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA_VERSION

    def comparable(self) -> tuple[Any, ...]:
        """Everything that must be equal when the same cell is run again: all but times, memory, environment and what
        diagnostics measured.
        """
        return (
            self.key,
            self.cell,
            self.status,
            self.supervision,
            self.groups,
            self.candidates,
            self.counts,
            self.training,
            self.failure,
        )
