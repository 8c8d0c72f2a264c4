"""``debias-bench logs``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import json_option, print_json, results_option
from benchmark.errors import ConfigError
from benchmark.store import Store
from slurm.logs import JobLog, logs_of


@click.command()
@click.argument("key", metavar="CELL")
@click.option("--lines", type=click.IntRange(1), default=100, show_default=True, help="Of each file, its last ones.")
@click.option("--all", "all_jobs", is_flag=True, help="Of all jobs that had the cell, not only of the latest.")
@results_option
@json_option
def logs(key: str, lines: int, all_jobs: bool, results: Path, as_json: bool) -> None:
    """Print what the job that ran CELL wrote. CELL is a key, or how it starts; `status` shows keys.

    A job runs many cells: the lines that name CELL say when it ended, and how.
    """
    found = logs_of(Store(results.resolve()), key)
    if not found:
        raise ConfigError(f"no job of {results} has had a cell whose key starts with {key!r}; `run` keeps no logs")
    chosen = found if all_jobs else found[-1:]
    if as_json:
        print_json([{"job": log.job, "submission": log.submission, "files": log.files} for log in chosen])
        return
    for log in chosen:
        _print(log, lines)


def _print(log: JobLog, lines: int) -> None:
    click.secho(f"job {log.job} of {log.submission}", bold=True)
    if not log.files:
        click.echo("has written nothing yet")
    for path in log.files:
        text = path.read_text(errors="replace").splitlines()
        if text:
            click.secho(f"{path}, the last {min(lines, len(text))} of {len(text)} lines:", bold=True)
            click.echo("\n".join(text[-lines:]))
