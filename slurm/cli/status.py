"""``debias-bench status``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from benchmark.cli import status as overview
from benchmark.cli.options import json_option, plugin_option, print_json, results_option
from benchmark.cli.status import Overview
from benchmark.digest import Digests
from benchmark.store import Store
from slurm.cli.options import live_or_warn
from slurm.queued import LivePack, jobs_of_cells
from slurm.submission import SentPack, Submission, read_submissions

ENDED_SHOWN = 5
"""Jobs that ended with cells undone; more are counted."""


@click.command()
@click.option("--watch", is_flag=True, help="Look again and again until Ctrl-C, or until nothing is left to do.")
@click.option("--every", type=click.FloatRange(1), default=10.0, show_default=True, help="Seconds between two looks.")
@results_option
@plugin_option
@json_option
def status(watch: bool, every: float, results: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show finished, running, queued, failed, missing and stale cells of every sweep of a results folder.

    A cell is stale if its task, its method or the harness has changed its behaviour version since. What is queued is
    asked of SLURM, if something was submitted.
    """
    del plugins
    results = results.resolve()
    digests = Digests(Store(results))
    while True:
        found = _look(results, digests)
        if watch and not as_json:
            click.clear()
            click.echo(f"{results}, {datetime.now():%H:%M:%S}\n")
        _show(found, results, as_json)
        if not watch or not _is_going_on(found):
            return
        time.sleep(every)


@dataclass(frozen=True)
class _Found:
    overview: Overview
    live: list[LivePack]
    ended: list[tuple[Submission, SentPack, list[str]]]


def _look(results: Path, digests: Digests) -> _Found:
    submissions = read_submissions(results)
    live = live_or_warn(submissions)
    queued = jobs_of_cells(live)
    found = overview.look(Store(results), digests, queued)
    return _Found(found, live, _ended(submissions, queued, found))


def _ended(
    submissions: list[Submission], queued: dict[str, str], found: Overview
) -> list[tuple[Submission, SentPack, list[str]]]:
    """Jobs that are gone and have left cells undone that no other job has."""
    ended = []
    for submission in submissions:
        for pack in submission.packs:
            left = [
                key
                for key in pack.cells
                if found.states.get(found.made_as.get(key, key)) == "missing" and key not in queued
            ]
            if left and pack.job is not None:
                ended.append((submission, pack, left))
    latest = {key: pack for _, pack, left in ended for key in left}
    return [(submission, pack, left) for submission, pack, left in ended if any(latest[key] is pack for key in left)]


def _is_going_on(found: _Found) -> bool:
    return bool(found.live or found.overview.running)


def _show(found: _Found, results: Path, as_json: bool) -> None:
    if as_json:
        print_json({**overview.as_json(found.overview), **_as_json(found)})
        return
    if not found.overview.cells:
        click.echo(f"no sweep was run in {results} yet; start with `debias-bench run SWEEP.yaml --results {results}`")
        return
    overview.show(found.overview)
    if found.live:
        states = Counter((one.job.state.lower(), one.job.reason) for one in found.live)
        for (state, reason), count in sorted(states.items()):
            why = f" ({reason})" if state == "pending" else ""
            click.echo(f"queue: {count} jobs {state}{why}")
    for submission, pack, left in found.ended[:ENDED_SHOWN]:
        click.echo(
            f"ended: job {pack.job} of {submission.id} left {len(left)} of {len(pack.cells)} cells undone; "
            f"`debias-bench logs {left[0]}` shows why, submitting again goes on"
        )
    if len(found.ended) > ENDED_SHOWN:
        click.echo(f"ended: so did {len(found.ended) - ENDED_SHOWN} other jobs")


def _as_json(found: _Found) -> dict[str, Any]:
    return {
        "queue": [
            {
                "job": one.job.id,
                "submission": one.submission.id,
                "state": one.job.state,
                "reason": one.job.reason,
                "node": one.job.node,
                "elapsed": one.job.elapsed,
                "limit": one.job.limit,
            }
            for one in found.live
        ],
        "ended": [
            {"job": pack.job, "submission": submission.id, "left": left} for submission, pack, left in found.ended
        ],
    }
