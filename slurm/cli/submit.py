"""``debias-bench submit``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import data_option, json_option, plugin_option, print_json, results_option
from benchmark.cli.status import code_warning
from benchmark.code import code_root, code_version
from benchmark.digest import Digests
from benchmark.estimate import Estimates
from benchmark.manifest import write_manifest
from benchmark.planner import Plan, make_plan
from benchmark.store import Store
from benchmark.sweep import Expansion, expand, read_sweep
from benchmark.tuning.survey import state_line
from slurm import scheduler
from slurm.cli.options import cluster_option, prepared_json, profile_option, say_prepared
from slurm.launcher import run_here, send
from slurm.prepare import Prepared, prepare
from slurm.profile import Profile, read_profile
from slurm.queued import live_packs
from slurm.snapshot import Snapshot, take_snapshot
from slurm.submission import (
    Cluster,
    PackCells,
    SentPack,
    Submission,
    new_submission,
    read_submissions,
    write_pack,
    write_submission,
)


@click.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@profile_option(required=True)
@cluster_option
@results_option
@data_option
@plugin_option
@json_option
def submit(
    sweep: Path,
    profile_file: Path,
    cluster: Cluster,
    results: Path,
    data_root: Path,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Send what is missing of SWEEP to a cluster, and exit; nothing has to stay alive here.

    Sending the same sweep again adds only what is neither done nor queued. Jobs run a copy of the code as it is now.
    """
    profile, parsed = read_profile(profile_file), read_sweep(sweep)
    if cluster == "slurm" and not scheduler.is_installed():
        raise scheduler.SchedulerError("squeue is not on the PATH: log in to a node of the cluster, or --cluster local")
    results = results.resolve()
    store, expansion = Store(results), expand(parsed, data_root)
    write_manifest(store, sweep.stem, parsed, expansion)
    plan, digests = make_plan(expansion.cells, store, expansion.finals), Digests(store).read()
    prepared = prepare(plan, Estimates(digests.values()), profile, cluster, live_packs(read_submissions(results)))
    if not as_json:
        _announce(sweep.stem, expansion, plan, prepared, profile)
        finished = [digests[key].code for key in digests.keys() & plan.states.keys()]
        warning = code_warning({code: finished.count(code) for code in set(finished)}, code_version())
        if warning:
            click.echo(f"warning: {warning}", err=True)
    if not prepared.packs:
        _tell(None, prepared, as_json)
        return
    submission = _write(results, sweep.stem, cluster, profile, data_root, plugins, prepared, plan)
    if cluster == "debug":
        run_here(results, submission)
    else:
        submission = send(results, submission, prepared.arrays)
    _tell(submission, prepared, as_json)


def _announce(name: str, expansion: Expansion, plan: Plan, prepared: Prepared, profile: Profile) -> None:
    click.echo(
        f"{name}: {len(plan.states)} cells, {plan.count('done')} done, {plan.count('failed')} failed, "
        f"{len(prepared.queued)} queued, {prepared.cells} to send"
    )
    for state in plan.studies:
        click.echo(f"  {state_line(state)}")
    for pair in expansion.not_applicable:
        click.echo(f"  not applicable: {pair.method} on {pair.task}: {pair.reason}")
    if plan.count("failed"):
        click.echo("  failed cells stay failed: see `debias-bench status`, mend, then `debias-bench retry`")
    if prepared.packs:
        say_prepared(prepared, profile)


def _write(
    results: Path,
    name: str,
    cluster: Cluster,
    profile: Profile,
    data_root: Path,
    plugins: tuple[Path, ...],
    prepared: Prepared,
    plan: Plan,
) -> Submission:
    """Copy the code and write down what the jobs will read; this process can import no copy any more."""
    here = Snapshot(code_root(), code_version(), plugins)
    snapshot = here if cluster == "debug" else take_snapshot(results, plugins)
    minutes = {pack: array.minutes for array in prepared.arrays for pack in array.packs}
    submission = new_submission(
        sweep=name,
        cluster=cluster,
        code=snapshot.version,
        code_root=snapshot.root,
        profile=profile,
        data_root=data_root,
        plugins=snapshot.plugins,
        packs=tuple(
            SentPack(tuple(cell.key for cell in pack.cells), pack.seconds, minutes[number])
            for number, pack in enumerate(prepared.packs)
        ),
    )
    for number, pack in enumerate(prepared.packs):
        keys = {cell.key for cell in pack.cells}
        waits = {key: plan.upstream[key] & keys for key in keys if plan.upstream[key] & keys}
        write_pack(results, submission.id, number, PackCells.of(pack.cells, waits))
    write_submission(results, submission)
    return submission


def _tell(submission: Submission | None, prepared: Prepared, as_json: bool) -> None:
    if as_json:
        jobs = [] if submission is None else [pack.job for pack in submission.packs]
        print_json({"submission": submission and submission.id, "jobs": jobs, **prepared_json(prepared)})
    elif submission is None:
        click.echo("nothing to send")
    elif submission.cluster == "debug":
        click.echo(f"{submission.id} has run; `debias-bench status` shows what came of it")
    else:
        click.echo(f"sent as {submission.id} with code {submission.code}; follow it with `debias-bench status --watch`")
