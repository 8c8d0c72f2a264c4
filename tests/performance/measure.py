"""Figures: how they are measured, so that a loaded machine disturbs both sides of a ratio alike, and how they are kept.

A figure is a function that returns a :class:`Measured`. Ratios come from :func:`interleaved`: A and B run in turns, and
the ratio is the median over the pairs, so that what else the machine does hits both. Work inside one thread is timed by
its processor time, which other processes hardly change; what waits (commands, worker processes) by the wall clock.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results.json"
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"
SIGNS = {"less": "<=", "more": ">="}
Clock = Callable[[], float]
CPU: Clock = time.process_time
WALL: Clock = time.perf_counter


@dataclass(frozen=True)
class Measured:
    """What a figure found.

    Attributes:
        value: What is compared with the target, in the figure's unit.
        parts: What it is made of, by name, with the unit in the name ("harness ms").
    """

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)


@cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="debias-bench-")


def debias_bench(*arguments: object) -> tuple[list[str], dict[str, str]]:
    """The command ``debias-bench`` of this working copy, and an environment for it: one thread, and with bytecode that
    is kept for all figures of this process, as it is for a user, even where ``PYTHONDONTWRITEBYTECODE`` is set.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _bytecode().name, "OMP_NUM_THREADS": "1"}
    return [sys.executable, "-c", "from benchmark.cli import main; main()", *map(str, arguments)], environment


class NotHereError(Exception):
    """A figure that cannot be measured on this machine, and why."""


@dataclass(frozen=True)
class Figure:
    """A figure and its target.

    Attributes:
        name: For ``make bench FIGURE=name``.
        what: One line for the table.
        target: The value aimed at; ``None`` where there is only something to report.
        unit: Of the value: ``x`` for ratios, ``s``, ``ms``.
        better: Whether smaller or larger values are better.
        measure: Takes the measurements.
    """

    name: str
    what: str
    target: float | None
    unit: str
    better: Literal["less", "more"]
    measure: Callable[[], Measured]

    def met(self, value: float) -> bool | None:
        """Whether a value reaches the target."""
        if self.target is None:
            return None
        return value <= self.target if self.better == "less" else value >= self.target


FIGURES: dict[str, Figure] = {}
"""All figures by name, in the order of the table."""


def figure(
    name: str, what: str, target: float | None, unit: str, better: Literal["less", "more"]
) -> Callable[[Callable[[], Measured]], Callable[[], Measured]]:
    """Decorator: make a function a figure."""

    def register(measure: Callable[[], Measured]) -> Callable[[], Measured]:
        FIGURES[name] = Figure(name, what, target, unit, better, measure)
        return measure

    return register


def interleaved(
    sides: Mapping[str, Callable[[], object]], repeats: int, *, clock: Clock = CPU, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every side, ``repeats`` times each, in turns; every other turn goes through them backwards."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(warm_up + repeats):
        for name in list(sides)[:: 1 if repeat % 2 else -1]:
            began = clock()
            sides[name]()
            took = clock() - began
            if repeat >= warm_up:
                times[name].append(took)
    return times


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median over pairs of measurements that were taken one after the other."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def contention() -> float:
    """Wall time over processor time of a busy loop: 1 where a core is free, 2 where it is shared with one other."""
    wall, cpu = WALL(), CPU()
    while CPU() - cpu < 0.1:
        sum(range(1000))
    return (WALL() - wall) / (CPU() - cpu)


@dataclass(frozen=True)
class Result:
    """A measured figure, as it is kept.

    Attributes:
        value: In the figure's unit.
        unit: See :class:`Figure`.
        target: See :class:`Figure`.
        met: Whether it is reached.
        parts: See :class:`Measured`.
        contention: Of the machine meanwhile, see :func:`contention`; absolute times grow with it, ratios hardly do.
        seconds: What taking the figure took.
        date: UTC, ISO 8601.
    """

    value: float
    unit: str
    target: float | None
    met: bool | None
    parts: Mapping[str, float]
    contention: float
    seconds: float
    date: str


def take(wanted: Figure) -> Result:
    """Measure a figure."""
    began, before = WALL(), contention()
    found = wanted.measure()
    busy = (before + contention()) / 2
    parts = {name: _digits(value) for name, value in found.parts.items()}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    value, took = _digits(found.value), round(WALL() - began, 1)
    return Result(value, wanted.unit, wanted.target, wanted.met(found.value), parts, round(busy, 2), took, date)


def _digits(value: float) -> float:
    """Three significant digits: no timing has more."""
    return float(f"{value:.3g}")


def machine() -> dict[str, Any]:
    """Where the figures were measured, and with what."""
    from benchmark.environment import environment

    found = environment("cpu", 1)
    return {
        **{name: found[name] for name in ("code", "python", "libraries", "hardware", "cores")},
        "system": platform.system(),
    }


def write_results(results: Mapping[str, Result], path: Path = RESULTS) -> None:
    """Keep results; figures that were not taken now stay as they were."""
    known = json.loads(path.read_text())["figures"] if path.exists() else {}
    figures = {**known, **{name: asdict(result) for name, result in results.items()}}
    ordered = {name: figures[name] for name in FIGURES if name in figures}
    path.write_text(json.dumps({"machine": machine(), "figures": ordered}, indent=1) + "\n")


def document(path: Path = DOCUMENT, results: Path = RESULTS) -> None:
    """Put the kept results into the table of docs/performance.md."""
    text = path.read_text()
    before, rest = text.split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{kept_table(results)}\n{END}{rest.split(END)[1]}")


def kept_table(results: Path = RESULTS) -> str:
    """The kept results in markdown; the parts of each figure are in the file."""
    kept = json.loads(results.read_text())
    machine, figures = kept["machine"], kept["figures"]
    lines = [
        f"{machine['hardware']}, {machine['cores']} cores, torch {machine['libraries']['torch']}, "
        f"Python {machine['python']}.",
        "",
        "| figure | what | target | measured | met | contention | date |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in figures.items():
        target = (
            "-" if found["target"] is None else f"{SIGNS[FIGURES[name].better]} {found['target']:g} {found['unit']}"
        )
        met = {True: "yes", False: "**no**", None: "-"}[found["met"]]
        value, date = f"{found['value']:g} {found['unit']}", found["date"][:10]
        what = f"| `{name}` | {FIGURES[name].what} | {target.strip()} "
        lines.append(f"{what}| {value.strip()} | {met} | {found['contention']:g} | {date} |")
    return "\n".join(lines)


def committed() -> dict[str, float]:
    """The values of the last committed results."""
    name = RESULTS.relative_to(ROOT).as_posix()
    shown = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, check=False, text=True)
    if shown.returncode:
        return {}
    return {name: result["value"] for name, result in json.loads(shown.stdout)["figures"].items()}


def table(results: Mapping[str, Result], before: Mapping[str, float]) -> str:
    """The results for people."""
    from tabulate import tabulate

    rows = []
    for name, result in results.items():
        sign = SIGNS[FIGURES[name].better]
        change = f"{result.value / before[name]:.2f}x" if before.get(name) else "-"
        rows.append(
            [
                name,
                FIGURES[name].what,
                "-" if result.target is None else f"{sign} {result.target:g} {result.unit}",
                f"{result.value:g} {result.unit}",
                {True: "yes", False: "NO", None: "-"}[result.met],
                change,
                f"{result.contention:g}",
            ]
        )
    headers = ["figure", "what", "target", "measured", "met", "of committed", "contention"]
    return tabulate(rows, headers=headers, maxcolwidths=[None, 56], disable_numparse=True)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
