"""``debias-bench run``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from benchmark.cli.options import data_option, json_option, plugin_option, results_option
from benchmark.cli.progress import report
from benchmark.errors import ConfigError
from benchmark.executor import execute
from benchmark.manifest import write_manifest
from benchmark.planner import Plan, make_plan, with_upstream
from benchmark.serve import Options
from benchmark.store import STATES, Store
from benchmark.sweep import Expansion, expand, read_sweep
from benchmark.tuning.survey import state_json, state_line, survey


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option(
    "--jobs", "-j", type=click.IntRange(0), default=1, show_default=True, help="Worker processes; 0: none, run here."
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Of every worker: cpu, cuda, cuda:1, …; or several, taken in turns: cuda:0,cuda:1.",
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of each worker on the CPU."
)
@click.option("--retry-failed", is_flag=True, help="Try failed cells again.")
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Between checkpoints inside a cell.",
)
@results_option
@data_option
@plugin_option
@json_option
def run(
    sweep: Path,
    jobs: int,
    device: str,
    threads: int,
    retry_failed: bool,
    checkpoint_seconds: float,
    results: Path,
    data_root: Path,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Run what is missing of SWEEP on this machine.

    Running the same command again continues: finished cells are kept, interrupted ones go on from their checkpoint,
    failed ones stay failed unless --retry-failed is given. Ctrl-C stops after the current epoch of each worker.

    Exits with 0 if every cell of the sweep is done, 1 if some failed, 130 if it was interrupted. With --json, there is
    a line for each event, and a last one with the numbers of cells.
    """
    for one in device.split(","):
        _check_device(one)
    store = Store(results)
    parsed = read_sweep(sweep)
    expansion = expand(parsed, data_root)
    write_manifest(store, sweep.stem, parsed, expansion)
    if retry_failed:
        _forget_failures(expansion, store)
    plan = make_plan(expansion.cells, store, expansion.finals)
    if not as_json:
        _announce(sweep.stem, plan, expansion, results)
    options = Options(results, data_root, jobs, device, threads, plugins, checkpoint_seconds)
    report(execute(plan, options), len(plan.to_run), as_json=as_json)
    after = make_plan(expansion.cells, store, expansion.finals)
    counts = {state: after.count(state) for state in STATES}
    if as_json:
        tuning = {"tuning": [state_json(state) for state in after.studies]} if after.studies else {}
        click.echo(msgspec.json.encode({"event": "end", "cells": len(after.states), **counts, **tuning}).decode())
    else:
        for state in after.studies:
            click.echo(state_line(state))
        click.echo(f"{sweep.stem}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["missing"]:
        click.echo("Interrupted; run the same command to go on.", err=as_json)
        sys.exit(130)
    if counts["failed"]:
        click.echo("See why with `debias-bench status`; after mending, run again with --retry-failed.", err=as_json)
        sys.exit(1)


def _forget_failures(expansion: Expansion, store: Store) -> None:
    """Let what has failed of a sweep be tried again; studies of which no trial ran through begin anew."""
    from benchmark.tuning.retry import forget_hopeless_studies

    studies = {final.study.name: final.study for final in expansion.finals}
    forget_hopeless_studies(store, studies)
    starts = [study.like for study in studies.values()]
    cells = [*expansion.cells, *(cell for state in survey(expansion.finals, store) for cell in state.cells), *starts]
    for key in store.failures() & set(with_upstream(cells)):
        store.forget_failure(key)


def _announce(name: str, plan: Plan, expansion: Expansion, results: Path) -> None:
    done, failed = plan.count("done"), plan.count("failed")
    click.echo(
        f"{name}: {len(plan.states)} cells, {done} done, {failed} failed, {len(plan.to_run)} to run -> {results}"
    )
    for state in plan.studies:
        click.echo(f"  {state_line(state)}")
    for pair in expansion.not_applicable:
        click.echo(f"  not applicable: {pair.method} on {pair.task}: {pair.reason}")


def _check_device(device: str) -> None:
    """Refuse a device that is not there before every cell fails on it."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {device}: {reason}; `debias-bench doctor` lists the devices") from error
