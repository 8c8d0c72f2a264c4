"""Submissions that tests send, honest and changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from benchmark.cell import Cell, make_cell
from benchmark.cli import main
from benchmark.counts import PackedCounts
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from benchmark.registry import TASKS
from leaderboard.submission import pack

SCORES = {"vanilla": 0.3, "bise": 0.7}


def cell(method: str, seed: int, **params: Any) -> Cell:
    kind = TASKS.get("colored_mnist")
    protocol = PROTOCOLS["short"]
    task = kind(kind.resolve(kind.Params(source="embedded"), Path(), protocol))
    return make_cell(task, 0.95, method, params, seed, protocol)


def honest(lab, method: str, seed: int) -> Record:
    """Its counts add up; the test split of the embedded digits has 10 samples per digit and colour."""
    return lab.sound(cell(method, seed), [0.2, SCORES[method]])


def check(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["validate", str(path), "--data", str(path.parent), *options])


def refused(path: Path, says: str, *options: str) -> str:
    found = check(path, *options)
    assert found.exit_code == 1, found.output
    assert says in found.output
    return found.output


def sent(records: list[Record], folder: Path) -> Path:
    path = folder / "sent.zip"
    pack(records, path)
    return path


def changed_counts(record: Record, change: Callable[[np.ndarray], None], split: str = "test") -> Record:
    counts = record.counts[split].unpack()
    change(counts)
    return replace(record, counts={**record.counts, split: PackedCounts.pack(counts)})


def one_more(counts: np.ndarray) -> None:
    counts[:, 3, 4, 3] += 1


def rekeyed(record: Record, **changes: Any) -> Record:
    other = replace(record.cell, **changes)
    return replace(record, cell=other, key=other.key)
