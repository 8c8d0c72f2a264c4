"""Options and sentences that the commands of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from benchmark.cli.status import duration
from slurm import scheduler
from slurm.packing import Array
from slurm.prepare import Prepared
from slurm.profile import Profile
from slurm.queued import LivePack, live_packs
from slurm.submission import Submission

F = TypeVar("F", bound=Callable[..., Any])

cluster_option = click.option(
    "--cluster",
    type=click.Choice(["slurm", "local", "debug"]),
    default="slurm",
    show_default=True,
    help="Where jobs go: to SLURM, to processes of this machine, or one after the other into this process.",
)


def profile_option(*, required: bool) -> Callable[[F], F]:
    """``--profile``."""
    return click.option(
        "--profile",
        "profile_file",
        type=click.Path(path_type=Path),
        required=required,
        help="How jobs of the cluster are asked for; slurm/profiles has examples, docs/cluster.md says what is in one.",
    )


def live_or_warn(submissions: list[Submission]) -> list[LivePack]:
    """Packs with a living job; where SLURM does not answer, a warning takes their place."""
    try:
        return live_packs(submissions)
    except scheduler.SchedulerError as error:
        click.echo(f"warning: what is queued is not known: {error}", err=True)
        return []


def say_prepared(prepared: Prepared, profile: Profile) -> None:
    """Packs, arrays and estimated hours."""
    guess = f", {prepared.guessed} of {prepared.cells} cells guessed" if prepared.guessed else ""
    unit = "GPU hours" if profile.gpus else "core hours"
    hours = prepared.seconds / 3600 * (profile.gpus or profile.cpus)
    click.echo(
        f"{prepared.cells} cells in {len(prepared.packs)} jobs and {len(prepared.arrays)} arrays, "
        f"about {hours:.3g} {unit}{guess}"
    )
    for number, array in enumerate(prepared.arrays, start=1):
        click.echo(f"  array {number}: {_describe(array, prepared)}")


def _describe(array: Array, prepared: Prepared) -> str:
    packs = [prepared.packs[index] for index in array.packs]
    cells = sum(len(pack.cells) for pack in packs)
    longest = duration(max(pack.seconds for pack in packs))
    waits = f", after {len(array.after)} other jobs" if array.after else ""
    return f"{len(packs)} jobs of {array.minutes} min for {cells} cells, the longest about {longest}{waits}"


def prepared_json(prepared: Prepared) -> dict[str, Any]:
    """The same for programs."""
    return {
        "cells": prepared.cells,
        "queued": [cell.key for cell in prepared.queued],
        "seconds": prepared.seconds,
        "guessed": prepared.guessed,
        "packs": [
            {"cells": [cell.key for cell in pack.cells], "seconds": pack.seconds, "measured": pack.measured}
            for pack in prepared.packs
        ],
        "arrays": [
            {"packs": array.packs, "minutes": array.minutes, "after": sorted(map(str, array.after))}
            for array in prepared.arrays
        ],
    }
