"""Results folders made of real records with invented scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.aggregate import aggregate, write_table
from benchmark.cell import Cell, supervision_of, task_of
from benchmark.counts import Groups, IntArray, PackedCounts
from benchmark.method import Supervision
from benchmark.protocol import PROTOCOLS
from benchmark.record import Candidate, Failure, Record, Resources
from benchmark.store import Store
from leaderboard.board import Board, read_board
from tests.leaderboard.sending import SCORES, honest

DIGITS = tuple(range(10))
ONE_BIAS = Groups(10, ("digit colour",), (10,), (DIGITS,))
NO_SUPERVISION = Supervision()
ENVIRONMENT = {"code": "0.1.0+gabcdef012345", "hardware": "a processor", "host": "somewhere"}


def counts_of(
    accuracy: float, conflicting: float, per_cell: int | IntArray = 10, groups: Groups = ONE_BIAS
) -> IntArray:
    """Counts (C, B, C) whose accuracies are as near to the given as ``per_cell`` samples, or (C, B), per (y, b) go."""
    classes, combinations, _ = groups.shape
    table = np.zeros(groups.shape, dtype=np.int64)
    aligned = groups.alignment().all(0)
    sizes = np.broadcast_to(per_cell, groups.shape[:2])
    for y in range(classes):
        for b in range(combinations):
            right = round(sizes[y, b] * (accuracy if aligned[y, b] else conflicting))
            table[y, b, y] = right
            table[y, b, (y + 1) % classes] = sizes[y, b] - right
    return table


@dataclass
class Lab:
    """Makes cells and records, and tables from them."""

    folder: Path
    records: list[Record] = field(default_factory=list)

    def cell(self, method: str = "vanilla", seed: int = 0, **changes: Any) -> Cell:
        cell = Cell(
            task="colored_mnist",
            task_version=1,
            task_params={"severity": 4, "source": "embedded"},
            rho=0.95,
            method=method,
            method_version=1,
            params={},
            seed=seed,
            protocol=PROTOCOLS["short"],
        )
        return replace(cell, **changes)

    def record(
        self,
        cell: Cell,
        scores: list[float],
        groups: Groups = ONE_BIAS,
        supervision: Supervision = NO_SUPERVISION,
        environment: Mapping[str, Any] = ENVIRONMENT,
        sparsity: float = 0.0,
        per_cell: int = 10,
    ) -> Record:
        """A finished cell whose candidates have these accuracies on conflicting samples, in every split."""
        table = np.stack([counts_of(1.0, score, per_cell, groups) for score in scores])
        packed = PackedCounts.pack(table)
        return Record(
            cell=cell,
            key=cell.key,
            status="done",
            environment=dict(environment),
            finished_at="2026-01-01T00:00:00+00:00",
            supervision=supervision,
            groups=groups,
            candidates=tuple(
                Candidate(f"epoch {i + 1}", {"epoch": i + 1}, sparsity=sparsity, macs=1000) for i in range(len(scores))
            ),
            counts={"val_biased": packed, "val_unbiased": packed, "test": packed},
            resources=Resources(60.0, 1.0, 10**9, False, 266_610, 266_200, 266_200),
        )

    def sound(self, cell: Cell, scores: list[float]) -> Record:
        """A finished cell that adds up: in every split to the samples of its data, in its supervision."""
        record = self.record(cell, scores, supervision=supervision_of(cell))
        counts = {}
        for split in record.counts:
            y, b = task_of(cell).labels(split, cell.setting(self.folder))
            sizes = np.zeros(ONE_BIAS.shape[:2], dtype=np.int64)
            np.add.at(sizes, (y, b[:, 0]), 1)
            counts[split] = PackedCounts.pack(np.stack([counts_of(1.0, score, sizes) for score in scores]))
        return replace(record, counts=counts)

    def failure(self, cell: Cell, reason: str = "diverged: a loss became NaN") -> Record:
        return Record(cell, cell.key, "failed", dict(ENVIRONMENT), "2026-01-01T00:00:00+00:00", failure=Failure(reason))

    def add(self, method: str, scores: list[float], groups: Groups = ONE_BIAS, **changes: Any) -> None:
        """A method with one candidate per seed; ``scores`` are accuracies on conflicting samples by seed."""
        for seed, score in enumerate(scores):
            self.records.append(self.record(self.cell(method, seed, **changes), [score], groups))

    def store(self, name: str = "results") -> Store:
        store = Store(self.folder / name)
        for record in self.records:
            store.write(record)
        return store

    def table(self, name: str = "results") -> Path:
        """The results table of all records."""
        store = self.store(name)
        path = store.root / "results.parquet"
        write_table(aggregate(store), path)
        return path

    def board(self) -> Board:
        return read_board(self.table())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def make_counts() -> Callable[..., IntArray]:
    return counts_of


@pytest.fixture
def records(lab) -> list[Record]:
    return [honest(lab, method, seed) for method in SCORES for seed in range(3)]
