"""A results folder with as many records as one wants: real cells of real sweeps, with drawn counts."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from benchmark.cell import Cell, supervision_of, task_of
from benchmark.counts import PackedCounts
from benchmark.environment import environment
from benchmark.manifest import write_manifest
from benchmark.randomness import numpy_stream
from benchmark.record import Candidate, Record, Resources
from benchmark.store import Store
from benchmark.sweep import Expansion, expand, read_sweep
from benchmark.task import EVALUATED, groups_of

METHODS = ("vanilla", "denetdm", "bise", "ffw_structured", "ffw_unstructured", "random_pruning", "magnitude_pruning")
RHOS = (0.95, 0.98, 0.99, 0.995)
DRAWS = 4
"""Different records of each kind of cell (task, level, method, parameters); seeds take turns, as drawing and packing
every one would take minutes."""
SAMPLES = 1000
EPOCHS = 100


def write_sweep(path: Path, cells: int) -> Path:
    """A sweep of that many cells, or up to 27 more: colored_mnist at four levels, all methods, as many seeds."""
    seeds = max(1, math.ceil(cells / len(METHODS) / len(RHOS)))
    tasks = [{"name": "colored_mnist", "rho": list(RHOS), "params": {"source": "embedded"}}]
    path.write_text(json.dumps({"tasks": tasks, "methods": list(METHODS), "seeds": seeds, "protocol": "short"}))
    return path


def write_wide_sweep(path: Path, cells: int) -> Path:
    """The same for as many settings as a large leaderboard has: 60, with 54 methods and variants in each."""
    gammas = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
    sparsities = {"sparsity": [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99], "structured": [False, True]}
    tasks = [
        {"name": "colored_mnist", "rho": RHOS, "params": {"source": "embedded", "severity": severity}}
        for severity in range(1, 6)
    ]
    tasks += [
        {"name": "corrupted_cifar10", "rho": RHOS, "params": {"source": "binary", "kind": kind, "severity": severity}}
        for kind in (0, 1)
        for severity in range(1, 6)
    ]
    methods = [
        *("vanilla", "denetdm", "bise", "bise_unsupervised"),
        *({"name": "bise", "params": {name: True}} for name in ("finetune", "no_mi")),
        *({"name": name, "grid": {"gamma": gammas}} for name in ("ffw_structured", "ffw_unstructured")),
        *({"name": name, "grid": sparsities} for name in ("random_pruning", "magnitude_pruning")),
    ]
    seeds = max(1, math.ceil(cells / 60 / 54))
    path.write_text(json.dumps({"tasks": tasks, "methods": methods, "seeds": seeds, "protocol": "short"}))
    return path


def fill(results: Path, sweep: Path, *, candidates: int = 5) -> int:
    """Write the record of every cell of a sweep, and the sweep's manifest; returns how many there are."""
    store, parsed = Store(results), read_sweep(sweep)
    expansion: Expansion = expand(parsed, results)
    kinds: dict[tuple[object, ...], list[Record]] = {}
    for cell in expansion.cells:
        drawn = kinds.setdefault((cell.task, cell.rho, cell.method, json.dumps(cell.params)), [])
        if len(drawn) < DRAWS:
            drawn.append(_record(cell, len(drawn), candidates))
        record = replace(drawn[cell.seed % len(drawn)], cell=cell, key=cell.key)
        path = store.record_path(cell.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(record) + b"\n")
    write_manifest(store, sweep.stem, parsed, expansion)
    return len(expansion.cells)


def _record(cell: Cell, number: int, candidates: int) -> Record:
    groups = groups_of(task_of(cell))
    draws = numpy_stream("performance", cell.task, cell.method, json.dumps(cell.params), cell.rho, number)
    counts = {}
    for split in EVALUATED:
        shares = draws.dirichlet(np.full(math.prod(groups.shape), 0.2), candidates)
        counts[split] = PackedCounts.pack(
            np.stack([draws.multinomial(SAMPLES, share) for share in shares]).reshape(candidates, *groups.shape)
        )
    return Record(
        cell=cell,
        key=cell.key,
        status="done",
        environment=environment("cpu", 1),
        finished_at="2026-01-01T00:00:00+00:00",
        supervision=supervision_of(cell),
        groups=groups,
        candidates=tuple(Candidate(f"epoch {i}", {"epoch": i}, macs=1000) for i in range(1, candidates + 1)),
        counts=counts,
        resources=Resources(10.0, 1.0, 1 << 29, False, 266_610, 266_200, 266_200),
        training={"training": {"loss": tuple(draws.random(EPOCHS).round(5).tolist())}},
    )
