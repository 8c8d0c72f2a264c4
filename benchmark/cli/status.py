"""What a results folder holds, for ``debias-bench status``: counts, running and failed cells, versions of the code."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import click

from benchmark.cell import Cell
from benchmark.claims import Claims, Owner
from benchmark.digest import Digests
from benchmark.errors import ResultCorruptError
from benchmark.estimate import Estimates
from benchmark.manifest import Staleness, read_manifests
from benchmark.store import Store
from benchmark.tuning.survey import StudyState, state_json, state_line, survey

CellState = Literal["done", "running", "queued", "failed", "missing", "stale"]
STATES: tuple[CellState, ...] = ("done", "running", "queued", "failed", "missing", "stale")


@dataclass(frozen=True)
class Overview:
    """The state of all sweeps that were run in a results folder.

    Attributes:
        cells: By key.
        states: Of each.
        stale: Why, for stale cells.
        running: Who works on a cell; also on cells that no sweep lists but that others start from.
        failed: Why, for failed cells.
        not_applicable: What sweeps left out: task, method, reason.
        codes: How many finished cells each version of the code made.
        seconds_left: Estimated work on what is neither done nor failed, by key, in seconds of one worker.
        guessed: For which of these it is a guess.
        studies: How far the tuning of sweeps is.
        made_as: Keys of cells with chosen parameters, by the keys under which they waited and were sent.
    """

    cells: dict[str, Cell]
    states: dict[str, CellState]
    stale: dict[str, str]
    running: dict[str, Owner]
    failed: dict[str, str]
    not_applicable: list[tuple[str, str, str]]
    codes: dict[str, int]
    seconds_left: dict[str, float]
    guessed: set[str]
    studies: list[StudyState]
    made_as: dict[str, str]

    def count(self, state: CellState) -> int:
        """How many cells are in a state."""
        return sum(found == state for found in self.states.values())


def look(store: Store, digests: Digests, queued: Mapping[str, str]) -> Overview:
    """Look at a results folder.

    Args:
        store: The results folder.
        digests: Of its finished cells; kept between two looks, only new ones are read.
        queued: The job that will make a cell, by key.

    Raises:
        ResultCorruptError: A manifest is damaged.
    """
    manifests = read_manifests(store)
    studies = survey((final for manifest in manifests for final in manifest.finals), store)
    cells = {cell.key: cell for manifest in manifests for cell in manifest.cells}
    cells |= {cell.key: cell for state in studies for cell in state.cells}
    made_as = {final.key: cell.key for state in studies for final, cell in state.made}
    queued = {**queued, **{made_as[key]: job for key, job in queued.items() if key in made_as}}
    waiting = {final.key: state for state in studies for final in state.waiting}
    cells |= {final.key: final.like for state in studies for final in state.waiting}
    known = digests.read()
    finished = digests.finished
    failed = store.failed(finished)
    running = dict(Claims(store.root / "claims").living())
    staleness = Staleness()
    stale = {key: reason for key in finished & set(cells) if (reason := staleness(cells[key])) is not None}

    def state(key: str) -> CellState:
        if key in finished:
            return "stale" if key in stale else "done"
        if key in running:
            return "running"
        if key in waiting and not waiting[key].is_open:
            return "failed"
        return "failed" if key in failed else "queued" if key in queued else "missing"

    states = {key: state(key) for key in cells}
    left, guessed = _left(states, cells, running, Estimates(known.values()))
    return Overview(
        cells=cells,
        states=states,
        stale=stale,
        running=running,
        failed={
            **{key: _reason(store, key) for key in sorted(failed & set(cells))},
            **{key: f"tuning: {state.problem}" for key, state in waiting.items() if state.problem is not None},
        },
        not_applicable=[
            (pair.task, pair.method, pair.reason) for manifest in manifests for pair in manifest.not_applicable
        ],
        codes=dict(Counter(known[key].code for key in known.keys() & finished & set(cells))),
        seconds_left=left,
        guessed=guessed,
        studies=studies,
        made_as=made_as,
    )


def _left(
    states: Mapping[str, CellState], cells: Mapping[str, Cell], running: Mapping[str, Owner], estimates: Estimates
) -> tuple[dict[str, float], set[str]]:
    """Work that is left of each cell, and where it is a guess. Where both CPU and GPU were timed, the CPU counts."""
    left: dict[str, float] = {}
    guessed: set[str] = set()
    now = time.time()
    for key, state in states.items():
        if state in ("running", "queued", "missing"):
            estimate = max((estimates.of(cells[key], device) for device in ("cpu", "cuda")), key=lambda e: e.measured)
            spent = now - running[key].since if key in running else 0.0
            left[key] = max(0.0, estimate.seconds - spent)
            if not estimate.measured:
                guessed.add(key)
    return left, guessed


def _reason(store: Store, key: str) -> str:
    try:
        record = store.read(key)
    except ResultCorruptError as error:
        return str(error)
    return "unknown" if record is None or record.failure is None else record.failure.reason


def as_json(found: Overview) -> dict[str, Any]:
    """The same for programs."""
    now = time.time()
    return {
        "cells": [{"task": task, "method": method, **counts} for (task, method), counts in _table(found).items()],
        "running": [
            {
                "key": key,
                "title": owner.title,
                "host": owner.host,
                "seconds": now - owner.since,
                "progress": owner.progress,
                "seconds_left": None if key in found.guessed else found.seconds_left.get(key),
            }
            for key, owner in found.running.items()
        ],
        "failed": [
            {"key": key, "title": found.cells[key].title, "reason": reason} for key, reason in found.failed.items()
        ],
        "stale": [
            {"key": key, "title": found.cells[key].title, "reason": reason} for key, reason in found.stale.items()
        ],
        "tuning": [state_json(state) for state in found.studies],
        "not_applicable": [{"task": t, "method": m, "reason": reason} for t, m, reason in found.not_applicable],
        "codes": found.codes,
        "seconds_left": sum(found.seconds_left.values()),
        "guessed": len(found.guessed),
    }


def _table(found: Overview) -> dict[tuple[str, str], Counter[str]]:
    """How many cells are in which state, for each task and method."""
    table: dict[tuple[str, str], Counter[str]] = {}
    for key, state in found.states.items():
        table.setdefault((found.cells[key].task, found.cells[key].method), Counter())[state] += 1
    return table


def show(found: Overview) -> None:
    """Print it for people."""
    from tabulate import tabulate

    rows = [[*pair, *(counts[state] or "" for state in STATES)] for pair, counts in _table(found).items()]
    click.echo(tabulate(rows, headers=["task", "method", *STATES]))
    click.echo("\n" + ", ".join(f"{found.count(state)} {state}" for state in STATES) + _time_left(found))
    now = time.time()
    for key, owner in found.running.items():
        known = key in found.seconds_left and key not in found.guessed
        left = f", about {duration(found.seconds_left[key])} left" if known else ""
        click.echo(f"running: {owner.title} on {owner.host}, {duration(now - owner.since)}{_progress(owner)}{left}")
    for key, reason in found.failed.items():
        click.echo(f"failed: {found.cells[key].title} ({key}): {reason}")
    for study in found.studies:
        click.echo(state_line(study))
    if found.stale:
        click.echo("stale cells are kept; running their sweep again computes them anew under the installed code")
    if len(found.codes) > 1:
        click.echo("warning: the finished cells were made by different versions of the code:")
        for code, count in sorted(found.codes.items(), key=lambda item: -item[1]):
            click.echo(f"  {count} cells by {code}")
    for task, method, reason in found.not_applicable:
        click.echo(f"not applicable: {method} on {task}: {reason}")


def _time_left(found: Overview) -> str:
    total = sum(found.seconds_left.values())
    if not total:
        return ""
    about = "roughly" if found.guessed else "about"
    if not found.running:
        return f"; {about} {duration(total)} of work for one worker"
    return f"; {about} {duration(total / len(found.running))} left for {len(found.running)} workers"


def _progress(owner: Owner) -> str:
    if not owner.progress:
        return ""
    phase, done, total = owner.progress
    return f", {phase} epoch {done} of {total}"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def code_warning(codes: Mapping[str, int], now: str) -> str | None:
    """What to say before cells are added to those that other code made, or ``None``."""
    others = {code: count for code, count in codes.items() if code != now}
    if not others:
        return None
    listed = ", ".join(f"{count} by {code}" for code, count in sorted(others.items()))
    return (
        f"finished cells were made by other code than the present {now}: {listed}. They are kept, for the versions "
        "of their tasks and methods are the present ones; `status` shows which is which"
    )
