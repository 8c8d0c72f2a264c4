"""From a plan to packs and arrays: what would be sent, for ``plan`` to print and ``submit`` to send."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import ConfigError
from benchmark.estimate import Estimate, Estimates
from benchmark.planner import Plan
from benchmark.tuning.study import Unit, like
from slurm import scheduler
from slurm.packing import Array, Costs, Pack, balanced_packs, make_arrays, make_packs
from slurm.profile import Profile
from slurm.queued import LivePack, jobs_of_cells
from slurm.submission import Cluster

GROWTH = 1.25
"""Of the packs' size, until there are no more of them than may be queued."""


@dataclass(frozen=True)
class Prepared:
    """What is ready to be sent.

    Attributes:
        queued: Cells that a queued or running job will make.
        estimates: For each cell to be sent, by key.
        packs: Of the others that are missing.
        arrays: Of these packs, in the order in which they are sent.
    """

    queued: list[Unit]
    estimates: Mapping[str, Estimate]
    packs: list[Pack]
    arrays: list[Array]

    @property
    def cells(self) -> int:
        """How many cells will be sent."""
        return sum(len(pack.cells) for pack in self.packs)

    @property
    def seconds(self) -> float:
        """How long all jobs will take together."""
        return sum(pack.seconds for pack in self.packs)

    @property
    def guessed(self) -> int:
        """For how many of the cells the time is a guess."""
        return sum(not estimate.measured for estimate in self.estimates.values())


def prepare(plan: Plan, estimates: Estimates, profile: Profile, cluster: Cluster, live: Sequence[LivePack]) -> Prepared:
    """Put what is missing and not queued into packs and arrays.

    Raises:
        ConfigError: As many jobs are queued as the profile allows.
        SchedulerError: SLURM does not answer.
    """
    jobs = jobs_of_cells(live)
    queued = [cell for cell in plan.to_run if cell.key in jobs]
    cells = [cell for cell in plan.to_run if cell.key not in jobs]
    each = {cell.key: estimates.of(like(cell), profile.devices) for cell in cells}
    if not cells:
        return Prepared(queued, each, [], [])
    costs = Costs(each, profile.cells_at_once)
    if cluster == "slurm":
        packs = _within_limit(cells, plan, costs, profile, jobs, len(live))
        arrays = make_arrays(packs, profile.signal_seconds, profile.wall_minutes, scheduler.max_array_size())
    else:
        at_once = 1 if cluster == "debug" else profile.max_running or _room_here(profile)
        packs = balanced_packs(cells, plan.upstream, costs, at_once)
        arrays = [Array(tuple(range(len(packs))), profile.wall_minutes, frozenset())]
    return Prepared(queued, each, packs, arrays)


def _within_limit(
    cells: Sequence[Unit], plan: Plan, costs: Costs, profile: Profile, jobs: Mapping[str, str], live: int
) -> list[Pack]:
    """Packs of the profile's size, or larger if there would be too many."""
    target = profile.pack_minutes * 60
    packs = make_packs(cells, plan.upstream, costs, target, jobs)
    if profile.max_jobs is None:
        return packs
    room = profile.max_jobs - live
    if room < 1:
        raise ConfigError(
            f"{live} jobs are queued, and the profile's max_jobs is {profile.max_jobs}; submit again later"
        )
    while len(packs) > room:
        target *= GROWTH
        packs = make_packs(cells, plan.upstream, costs, target, jobs)
    return packs


def _room_here(profile: Profile) -> int:
    """How many jobs this machine has cores for."""
    return max(1, (os.cpu_count() or 1) // (profile.cells_at_once * profile.threads))
