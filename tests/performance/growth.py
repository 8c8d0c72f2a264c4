"""How costs grow with cells, candidates, groups and seeds: docs/images/growth.png, and the exponents among the results.

The exponent is the slope in the log-log plot over the larger half of the sizes: 1 is linear.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmark.aggregate import aggregate, write_table
from benchmark.counts import Groups, PackedCounts
from benchmark.planner import make_plan
from benchmark.registry import load_plugin_file
from benchmark.scoring import score_cells, unpack
from benchmark.store import Store, read_record
from benchmark.sweep import MethodEntry, Sweep, expand, read_sweep
from benchmark.worker import Worker
from leaderboard.board import read_board
from leaderboard.content import document
from leaderboard.references import read_references
from tests.performance.folder_of_records import fill, write_sweep
from tests.performance.measure import CPU, ROOT, Measured, figure
from tests.performance.prompt import PLUGINS, folder

PICTURE = ROOT / "docs" / "images" / "growth.png"
CELLS = (100, 1_000, 10_000, 100_000)
CANDIDATES = (1, 4, 20, 100, 400)
GROUPS = ((2, 2), (2, 8), (5, 5), (10, 5), (10, 10))
SEEDS = (3, 10, 30, 100)


@contextmanager
def _timed(times: list[float]) -> Iterator[None]:
    began = CPU()
    yield
    times.append(CPU() - began)


def _plan(cells: int) -> float:
    with folder() as where:
        sweep, times = read_sweep(write_sweep(where / "many.yaml", cells)), list[float]()
        for _ in range(1 if cells > 10_000 else 3):
            with _timed(times):
                make_plan(expand(sweep, where).cells, Store(where / "results"))
    return statistics.median(times)


def _cell(candidates: int) -> float:
    for path in PLUGINS:
        load_plugin_file(path)
    with folder() as where:
        sweep = Sweep(["toy"], [MethodEntry("fresh", {"candidates": candidates})], seeds=6, protocol="smoke")
        worker, times = Worker(Store(where / "results"), where), list[float]()
        for cell in expand(sweep, where).cells:
            with _timed(times):
                worker.attempt(cell)
    return statistics.median(times[1:])


def _score(groups: tuple[int, int], candidates: int = 5, cells: int = 200) -> float:
    classes, values = groups
    axes = Groups(classes, ("b",), (values,), (tuple(y % values for y in range(classes)),))
    draws, times = np.random.default_rng(0), list[float]()
    packed = PackedCounts.pack(draws.integers(0, 50, (candidates, classes, values, classes)))
    with folder() as where:
        fill(where / "results", write_sweep(where / "few.yaml", 1), candidates=candidates)
        record = read_record(Path(Store(where / "results").record_files()[0][1]))
    record = replace(record, groups=axes, counts=dict.fromkeys(record.counts, packed))
    for _ in range(3):
        with _timed(times):
            score_cells([unpack(record) for _ in range(cells)], "unbiased_accuracy")
    return statistics.median(times) / cells


def _board(seeds: int) -> float:
    with folder() as where:
        fill(where / "results", write_sweep(where / "many.yaml", 28 * seeds))
        write_table(aggregate(Store(where / "results")), where / "table.parquet")
        times, references = list[float](), read_references()
        for _ in range(3):
            with _timed(times):
                document(read_board(where / "table.parquet"), "unbiased_val", references)
    return statistics.median(times)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the line through the larger half of the points, logarithms on both axes."""
    half = len(sizes) // 2
    return float(np.polyfit([math.log(s) for s in sizes[half:]], [math.log(s) for s in seconds[half:]], 1)[0])


@figure(
    "growth",
    "largest exponent of growth with cells, candidates, groups and seeds; docs/images/growth.png",
    1.1,
    "",
    "less",
)
def growth() -> Measured:
    """Near-linear or less."""
    panels: list[tuple[str, str, list[float], Callable[[int], float]]] = [
        ("cells", "plan a sweep", [*map(float, CELLS)], lambda i: _plan(CELLS[i])),
        ("candidates", "a trivial cell", [*map(float, CANDIDATES)], lambda i: _cell(CANDIDATES[i])),
        ("groups", "score a record", [float(a * b) for a, b in GROUPS], lambda i: _score(GROUPS[i])),
        ("seeds", "leaderboard", [*map(float, SEEDS)], lambda i: _board(SEEDS[i])),
    ]
    parts, curves = {}, []
    for what, title, sizes, work in panels:
        seconds = [work(i) for i in range(len(sizes))]
        curves.append((what, title, sizes, seconds))
        parts[f"exponent in {what}"] = exponent(sizes, seconds)
        parts[f"{title}, {sizes[-1]:.0f} {what}: s"] = seconds[-1]
    _draw(curves, PICTURE)
    return Measured(max(value for name, value in parts.items() if name.startswith("exponent")), parts)


def _draw(curves: Sequence[tuple[str, str, list[float], list[float]]], path: Path) -> None:
    """Four panels; the dotted line is what is linear in the last point."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 2.6), layout="constrained")
    for axis, (what, title, sizes, seconds) in zip(drawing.subplots(1, len(curves)), curves, strict=True):
        axis.loglog(sizes, [seconds[-1] * size / sizes[-1] for size in sizes], ":", color="0.6")
        axis.loglog(sizes, seconds, "o-", color="#2a6fb0")
        axis.set(xlabel=what, title=title, ylabel="processor s")
        axis.grid(alpha=0.3)
    drawing.savefig(path, dpi=80)
