"""What is behind the numbers: every cell, in chunks that the browser loads when one of them is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.selection import RULES
from leaderboard.board import Entry, Section
from leaderboard.page.values import entry_ids, numbers, parsed
from leaderboard.table import Row, Rows

CELL = (
    "key",
    "status",
    "failure",
    "traceback",
    "code",
    "hardware",
    "finished_at",
    "train_seconds",
    "evaluate_seconds",
    "resumed",
    "peak_memory_bytes",
    "peak_gpu_memory_bytes",
    "parameters",
    "macs",
    "candidates",
)
"""What a cell tells that does not depend on the selection rule."""
CELLS_PER_CHUNK = 300


def chunks_of(section: Section) -> list[dict[str, Entry]]:
    """The entries of a section by id, in runs of a limited number of cells."""
    chunks: list[dict[str, Entry]] = []
    size = CELLS_PER_CHUNK
    for name, entry in entry_ids(section).items():
        if size + len(entry.cells) > CELLS_PER_CHUNK:
            chunks.append({})
            size = 0
        chunks[-1][name] = entry
        size += len(entry.cells)
    return chunks


def cells_part(section: Section, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Each cell of some entries.

    Returns:
        ``cells``: for each entry and seed the values of ``columns``, then by selection rule those of ``choice``, what
        the rule chose. ``environments``, which are mostly the same, are kept once; cells have their position.
    """
    environments: dict[str | None, int] = {}
    found: dict[str, dict[int, list[Any]]] = {name: {} for name in entries}
    owners = [(name, seed) for name, entry in entries.items() for seed in sorted(entry.cells)]
    rows = [entries[name].cells[seed] for name, seed in owners]
    columns = _columns(rows, (*CELL, "training", "environment"))
    for (name, seed), *values, training, environment in zip(owners, *columns, strict=True):
        place = environments.setdefault(environment, len(environments))
        found[name][seed] = [*values, parsed(training), place, {}]
    for rule in RULES:
        owners = [(name, seed) for name, entry in entries.items() for seed in entry.by_rule.get(rule, ())]
        rows = [entries[name].by_rule[rule][seed] for name, seed in owners]
        candidates, infos = _columns(rows, ("candidate", "info"))
        scores, sparsities = (_rounded(rows, name) for name in (section.headline, "sparsity"))
        for (name, seed), *chosen in zip(owners, candidates, map(parsed, infos), scores, sparsities, strict=True):
            found[name][seed][-1][rule] = chosen
    return {
        "environments": [parsed(text) for text in environments],
        "columns": (*CELL, "training", "environment", "rules"),
        "choice": ("candidate", "info", "score", "sparsity"),
        "cells": found,
    }


def _columns(rows: Sequence[Row], names: tuple[str, ...]) -> list[list[Any]]:
    """The values of some rows, by column."""
    places = _places(rows)
    return [rows[0].table.take(name, places) if rows else [] for name in names]


def _rounded(rows: Sequence[Row], name: str) -> list[float | None]:
    return numbers(rows[0].table.numbers(name, _places(rows))) if rows else []


def _places(rows: Sequence[Row]) -> Rows:
    return np.array([row.index for row in rows], dtype=np.int64)
