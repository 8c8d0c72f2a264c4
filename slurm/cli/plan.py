"""``debias-bench plan``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli import plan as overview
from benchmark.cli.options import data_option, json_option, plugin_option, print_json, results_option
from benchmark.cli.status import duration
from benchmark.digest import Digests
from benchmark.estimate import Estimates
from benchmark.planner import make_plan
from benchmark.store import Store
from benchmark.sweep import expand, read_sweep
from benchmark.tuning.study import like
from slurm.cli.options import cluster_option, live_or_warn, prepared_json, profile_option, say_prepared
from slurm.prepare import prepare
from slurm.profile import read_profile
from slurm.submission import Cluster, read_submissions


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@profile_option(required=False)
@cluster_option
@results_option
@data_option
@plugin_option
@json_option
def plan(
    sweep: Path,
    profile_file: Path | None,
    cluster: Cluster,
    results: Path,
    data_root: Path,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show what `run SWEEP` would do: cells by task and method, what is done, what is missing, how long it takes.

    With --profile it shows the jobs that `submit` would send. Times come from earlier records of the same task, method
    and protocol; where there are none they are guessed, and the output says so.
    """
    del plugins
    expansion = expand(read_sweep(sweep), data_root)
    planned = make_plan(expansion.cells, Store(results), expansion.finals)
    estimates = Estimates(Digests(Store(results)).read().values() if planned.to_run else ())
    answer = overview.as_json(expansion, planned)
    if not as_json:
        overview.show(expansion, planned)
    if profile_file is not None:
        profile = read_profile(profile_file)
        prepared = prepare(planned, estimates, profile, cluster, live_or_warn(read_submissions(results)))
        answer["jobs"] = prepared_json(prepared)
        if not as_json:
            if prepared.queued:
                click.echo(f"{len(prepared.queued)} cells are queued or running already")
            say_prepared(prepared, profile)
    else:
        each = [estimates.of(like(cell), "cpu") for cell in planned.to_run]
        seconds, guessed = sum(one.seconds for one in each), sum(not one.measured for one in each)
        answer["seconds"], answer["guessed"] = seconds, guessed
        if each and not as_json:
            guess = f" ({guessed} of {len(each)} cells guessed)" if guessed else ""
            click.echo(f"about {duration(seconds)} for one worker on the CPU{guess}; --profile shows jobs")
    if as_json:
        print_json(answer)
