"""Where the processor time of each method's cell goes: ``make profile``.

A sampling profiler on the standard library alone: the system's timer of processor time (``ITIMER_PROF``) interrupts the
process, and the Python stack says what it was at. A call of C is charged as a whole to the function that made it, since
its signals wait for its end. :mod:`cProfile` would charge every Python call, and so double what calls small operations,
which is the subject here; torch's profiler tells operations apart, not what they are for.

Writes ``profiles.json`` beside this file and the table in docs/performance.md; ``--functions NAME`` also lists what
one cell's remaining time was spent in.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmark.cell import Cell, make_cell, upstream_cells
from benchmark.protocol import PROTOCOLS
from benchmark.registry import TASKS
from benchmark.store import Store
from benchmark.worker import Worker
from tests.performance.measure import CPU, DOCUMENT, machine

RESULTS = Path(__file__).parent / "profiles.json"
BEGIN, END = "<!-- make profile writes from here -->", "<!-- make profile writes to here -->"
TICK = 0.004
"""Seconds of processor time between two samples: Linux counts it in steps of 1/250 s."""
ENOUGH, MOST_RUNS = 2.0, 10
"""Processor seconds of samples for a cell; but no more runs of it."""
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "vanilla": ("vanilla", {}),
    "bise": ("bise", {}),
    "bise, fine-tuned": ("bise", {"finetune": True}),
    "bise_unsupervised": ("bise_unsupervised", {}),
    "ffw_structured": ("ffw_structured", {"gamma": 1.0}),
    "ffw_unstructured": ("ffw_unstructured", {"gamma": 1.0}),
    "denetdm": ("denetdm", {}),
    "random_pruning": ("random_pruning", {}),
    "magnitude_pruning": ("magnitude_pruning", {}),
}
"""Method and parameters of each profiled cell."""

Place = tuple[str, str]
"""End of a file's path (or a part of it that ends in ``/``), and a function in it; ``*`` is any."""
WHOLE: dict[str, tuple[Place, ...]] = {
    "splits": (("/tasks/", "split"),),
    "evaluation": (("benchmark/evaluate.py", "*"), ("benchmark/runner.py", "_table")),
    "heads": (
        *(("methods/shared/bias_head.py", name) for name in ("train_epoch", "refine", "cache")),
        ("benchmark/diagnostics/probe.py", "*"),
        ("methods/ffw/algorithm.py", "held_out_information"),
    ),
    "cost": (("benchmark/cost.py", "*"),),
    "storage": (
        *((f"benchmark/{name}.py", "*") for name in ("store", "artifacts", "checkpoint", "claims", "files", "run")),
        ("benchmark/counts.py", "pack"),
        ("methods/shared/gated.py", "pruned"),
    ),
}
"""What counts as a whole, with all that it calls; the outermost such function decides."""
STEP: dict[str, tuple[Place, ...]] = {
    "gather": (("benchmark/data.py", "*"), ("benchmark/augment.py", "*")),
    "backward": (("torch/_tensor.py", "backward"),),
    "optimiser": (("/torch/optim/", "*"), ("benchmark/training.py", "__call__")),
    "forward": (
        ("benchmark/training.py", "fit"),
        ("methods/shared/mask_training.py", "train_masks"),
        ("methods/shared/gated.py", "behind_frozen_layers"),
        ("methods/denetdm/algorithm.py", "train_target"),
    ),
}
"""The parts of training steps: the innermost such function decides; a loop's own time is forward passes and losses."""
REST = "rest"
KINDS = ("gather", "forward", "backward", "optimiser", "evaluation", "heads", "cost", "storage", "splits", REST)
"""The columns of the table."""

Stack = tuple[tuple[str, str], ...]
"""File and function of every frame, the innermost first."""


def kind_of(stack: Stack) -> str:
    """Which column a sample belongs to."""
    for frame in reversed(stack):
        for kind, places in WHOLE.items():
            if _is_at(frame, places):
                return kind
    for frame in stack:
        for kind, places in STEP.items():
            if _is_at(frame, places):
                return kind
    return REST


def _is_at(frame: tuple[str, str], places: Iterable[Place]) -> bool:
    path, function = frame
    return any(
        (path.endswith(file) or (file.endswith("/") and file in path)) and name in ("*", function)
        for file, name in places
    )


def sampled(work: Callable[[], object], clock: Callable[[], float] = CPU) -> tuple[float, Counter[Stack]]:
    """Processor seconds of ``work``, and how many samples found it at each stack."""
    found: Counter[tuple[CodeType, ...]] = Counter()
    last = clock()

    def sample(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = clock()
        codes = []
        while frame is not None:
            if frame.f_code is not sample.__code__:  # a signal that came while the last one was counted
                codes.append(frame.f_code)
            frame = frame.f_back
        found[tuple(codes)] += max(1, int((now - last) / TICK))  # signals that waited for a call of C have become one
        last = now

    began = clock()
    with _timer(sample):
        work()
    spent = clock() - began
    stacks: Counter[Stack] = Counter()
    for codes, count in found.items():
        stacks[tuple((code.co_filename, code.co_name) for code in codes)] += count
    return spent, stacks


@contextmanager
def _timer(sample: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def shares(stacks: Mapping[Stack, int]) -> dict[str, float]:
    """The share of each column, 0 to 1."""
    total = sum(stacks.values())
    counts: Counter[str] = Counter()
    for stack, count in stacks.items():
        counts[kind_of(stack)] += count
    return {kind: counts[kind] / total for kind in KINDS}


def profile(name: str, folder: Path, protocol: str = "short") -> tuple[float, Counter[Stack]]:
    """Run one of ``CELLS`` on colored_mnist (rho .95, embedded digits); a short cell again until there are samples.

    What it starts from is made before, and the cell goes once unseen at two epochs, for imports and first calls.

    Returns:
        Processor seconds of one run, and the samples of all.
    """
    method, params = CELLS[name]
    kind = TASKS.get("colored_mnist")
    task = kind(kind.Params(source="embedded"))
    worker = Worker(Store(folder), folder)
    unseen, cell = (make_cell(task, 0.95, method, params, 0, PROTOCOLS[of]) for of in ("smoke", protocol))
    for first in (unseen, *upstream_cells(cell).values()):
        _attempt(worker, first)
    seconds, stacks = [], Counter[Stack]()
    while sum(seconds) < ENOUGH and len(seconds) < MOST_RUNS:
        worker.store.record_path(cell.key).unlink(missing_ok=True)
        spent, found = sampled(lambda: _attempt(worker, cell))
        seconds.append(spent)
        stacks += found
    return statistics.median(seconds), stacks


def _attempt(worker: Worker, cell: Cell) -> None:
    if worker.attempt(cell) != "done":
        raise RuntimeError(f"{cell.title} has failed")


def table(kept: Mapping[str, Any]) -> str:
    """The kept profiles in markdown: shares in percent."""
    made = kept["machine"]
    lines = [
        f"{made['hardware']}, one thread, torch {made['libraries']['torch']}, {kept['date'][:10]}. Seconds "
        f"of processor time of a cell, and percent of them, from {1 / TICK:.0f} samples a second.",
        "",
        f"| cell | s | {' | '.join(KINDS)} |",
        f"|---|{'---|' * (1 + len(KINDS))}",
    ]
    for name, found in kept["cells"].items():
        percent = " | ".join(f"{100 * found['shares'][kind]:.1f}" for kind in KINDS)
        lines.append(f"| {name} | {found['seconds']:.2f} | {percent} |")
    return "\n".join(lines)


def document(path: Path = DOCUMENT, results: Path = RESULTS) -> None:
    """Put the kept profiles into docs/performance.md."""
    before, rest = path.read_text().split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{table(json.loads(results.read_text()))}\n{END}{rest.split(END)[1]}")


def functions(stacks: Mapping[Stack, int], most: int = 60) -> str:
    """The functions of a cell with most samples of their own or beneath them, by column."""
    own: Counter[tuple[str, tuple[str, str]]] = Counter()
    beneath: Counter[tuple[str, tuple[str, str]]] = Counter()
    for stack, count in stacks.items():
        kind = kind_of(stack)
        own[kind, stack[0]] += count
        outside = [function for _, function in stack].index("_run")  # of the worker
        beneath.update({(kind, frame): count for frame in set(stack[:outside])})
    percent = 100 / sum(stacks.values())
    lines = ["beneath    own  column     function"]
    for at, count in beneath.most_common(most):
        kind, (path, function) = at
        where = "/".join(Path(path).parts[-3:])
        lines.append(f"{percent * count:6.1f} {percent * own[at]:6.1f}  {kind:10} {where}:{function}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile every cell, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.performance.profiles", description=__doc__.splitlines()[0])
    parser.add_argument("--functions", metavar="NAME", choices=CELLS, help="only list the functions of one cell")
    given = parser.parse_args(arguments)
    cells = {}
    for name in [given.functions] if given.functions else CELLS:
        with tempfile.TemporaryDirectory(prefix="debias-bench-") as folder:
            began = time.monotonic()
            seconds, stacks = profile(name, Path(folder))
        sys.stderr.write(f"{name}: {seconds:.2f} s ({time.monotonic() - began:.0f} s)\n")
        if given.functions:
            sys.stdout.write(functions(stacks))
            return
        rounded = {kind: round(share, 4) for kind, share in shares(stacks).items()}
        cells[name] = {"seconds": float(f"{seconds:.3g}"), "samples": sum(stacks.values()), "shares": rounded}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    RESULTS.write_text(json.dumps({"machine": machine(), "date": date, "cells": cells}, indent=1) + "\n")
    document()
    sys.stdout.write(table(json.loads(RESULTS.read_text())) + "\n")


if __name__ == "__main__":
    main()
