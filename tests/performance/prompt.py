"""What one waits for at the prompt: commands, over folders of many records."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.performance.folder_of_records import fill, write_sweep
from tests.performance.measure import ROOT, WALL, Measured, debias_bench, figure

CELLS = 10_000
PLUGINS = (ROOT / "tests" / "benchmark" / "toy_plugin.py", ROOT / "tests" / "performance" / "fresh_plugin.py")


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder."""
    with tempfile.TemporaryDirectory(prefix="debias-bench-") as name:
        yield Path(name)


@cache
def _records() -> tuple[tempfile.TemporaryDirectory[str], int]:
    """A folder with ``results`` of ``CELLS`` finished cells and their sweep, kept for all figures of this process."""
    place = tempfile.TemporaryDirectory(prefix="debias-bench-")
    path = Path(place.name)
    return place, fill(path / "results", write_sweep(path / "many.yaml", CELLS))


def records() -> tuple[Path, int]:
    """The folder of :func:`_records`, and how many cells there are."""
    place, cells = _records()
    return Path(place.name), cells


def call(where: Path, *arguments: object, plugins: Sequence[Path] = ()) -> tuple[float, float]:
    """Run ``debias-bench`` as a user would; wall seconds, and processor seconds of all its processes."""
    options = [option for path in plugins for option in ("--plugin", str(path))]
    command, environment = debias_bench(*arguments, *options)
    before, began = os.times(), WALL()
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, check=False, text=True)
    took, after = WALL() - began, os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr[-2000:]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return took, spent


def waiting(where: Path, *arguments: object, repeats: int) -> Measured:
    """The wall time of a command."""
    call(where, *arguments)
    times = [call(where, *arguments) for _ in range(repeats)]
    wall, cpu = (statistics.median(values) for values in zip(*times, strict=True))
    return Measured(wall, {"wall s": wall, "processor s": cpu, "fastest wall s": min(t for t, _ in times)})


@figure("help", "`debias-bench --help`", 0.2, "s", "less")
def _help() -> Measured:
    return waiting(ROOT, "--help", repeats=9)


@figure("list", "`debias-bench list tasks`", 0.3, "s", "less")
def _list() -> Measured:
    return waiting(ROOT, "list", "tasks", repeats=9)


@figure("plan", "`plan` of 10,000 cells, nothing done", 1.5, "s", "less")
def _plan() -> Measured:
    with folder() as where:
        write_sweep(where / "many.yaml", CELLS)
        return waiting(where, "plan", "many.yaml", "--results", "none", repeats=5)


@figure("status", "`status` over 10,000 records", 1.0, "s", "less")
def _status() -> Measured:
    return waiting(records()[0], "status", "--results", "results", repeats=5)


@figure("aggregate", "`aggregate` of 10,000 records to parquet", 3.0, "s", "less")
def _aggregate() -> Measured:
    return waiting(records()[0], "aggregate", "--results", "results", repeats=3)


@figure("leaderboard", "`leaderboard` from the table of 10,000 records", 2.0, "s", "less")
def _leaderboard() -> Measured:
    where, _ = records()
    call(where, "aggregate", "--results", "results", "--output", "table.parquet")
    return waiting(where, "leaderboard", "--table", "table.parquet", "--output", "LEADERBOARD.md", repeats=3)


@figure("finished_cell", "`run` again, per cell that is finished already", 0.1, "ms", "less")
def _finished_cell() -> Measured:
    """The difference between a sweep of 10,000 finished cells and one of 28."""
    many, cells = records()
    with folder() as few:
        start = fill(few / "results", write_sweep(few / "few.yaml", 1))
        pairs = []
        for _ in range(4):
            long = call(many, "run", "many.yaml", "--results", "results")
            short = call(few, "run", "few.yaml", "--results", "results")
            pairs.append([(a - b) / (cells - start) * 1e3 for a, b in zip(long, short, strict=True)])
    wall, cpu = (statistics.median(values) for values in zip(*pairs[1:], strict=True))
    return Measured(wall, {"wall ms": wall, "processor ms": cpu})
