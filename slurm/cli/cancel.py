"""``debias-bench cancel``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import json_option, print_json, results_option
from benchmark.errors import UnknownNameError
from slurm.queued import cancel as cancel_packs
from slurm.queued import live_packs
from slurm.submission import Submission, read_submissions


@click.command()
@click.argument("name", required=False)
@results_option
@json_option
def cancel(name: str | None, results: Path, as_json: bool) -> None:
    """Cancel the queued and running jobs of a results folder, or only those of sweep or submission NAME.

    Running cells save a checkpoint if they can; finished ones are kept. Submitting again goes on.
    """
    chosen = _chosen(read_submissions(results.resolve()), name)
    live = live_packs(chosen)
    cancel_packs(live)
    jobs = [found.job.id for found in live]
    if as_json:
        print_json({"cancelled": jobs})
    else:
        click.echo(f"cancelled {len(jobs)} jobs" if jobs else "no job is queued or running")


def _chosen(submissions: list[Submission], name: str | None) -> list[Submission]:
    """The submissions of this name: the sweep's (with or without folder and ending) or their own."""
    if name is None:
        return submissions
    chosen = [sent for sent in submissions if name == sent.id or Path(name).stem == sent.sweep]
    if not chosen:
        known = {sent.sweep for sent in submissions} | {sent.id for sent in submissions}
        raise UnknownNameError("sweep or submission", name, known)
    return chosen
