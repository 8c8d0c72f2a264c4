"""What is behind the numbers: every cell, in chunks that the browser loads when one of them is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from leaderboard.board import Entry, Section
from leaderboard.page.values import entry_ids, number, parsed
from leaderboard.table import Row

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
    """Each cell of some entries; environments, which are mostly the same, once."""
    environments: dict[str, int] = {}
    found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in entries}
    rows = [(name, seed, row) for name, entry in entries.items() for seed, row in sorted(entry.cells.items())]
    for (name, seed, _), cell in zip(rows, _columns([row for *_, row in rows], (*CELL, "environment")), strict=True):
        cell["environment"] = environments.setdefault(cell.get("environment") or "{}", len(environments))
        found[name][seed] = {**cell, "rules": {}}
    for name, rule, seed, choice in _choices(section, entries):
        found[name][seed]["rules"][rule] = choice
    return {"environments": [parsed(text) for text in environments], "cells": found}


def _choices(section: Section, entries: Mapping[str, Entry]) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """What each rule chose in each cell: (entry, rule, seed, choice)."""
    rows = [
        (name, rule, seed, row)
        for name, entry in entries.items()
        for rule, cells in entry.by_rule.items()
        for seed, row in cells.items()
    ]
    columns = _columns([row for *_, row in rows], ("candidate", "info", section.headline, "sparsity"))
    for (name, rule, seed, _), chosen in zip(rows, columns, strict=True):
        choice = {
            "candidate": chosen.get("candidate"),
            "info": parsed(chosen.get("info")),
            "score": number(chosen.get(section.headline)),
            "sparsity": number(chosen.get("sparsity")),
        }
        yield name, rule, seed, choice


def _columns(rows: list[Row], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The values of each row that are not null, by column."""
    places = np.array([row.index for row in rows], dtype=np.int64)
    columns = [rows[0].table.take(name, places) for name in names] if rows else []
    for values in zip(*columns, strict=True):
        yield {name: value for name, value in zip(names, values, strict=True) if value is not None}
