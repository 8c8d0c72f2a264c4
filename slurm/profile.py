"""Profiles: how the jobs of a cluster are asked for, in one small YAML file that many sweeps share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from benchmark.config import convert, read_yaml
from benchmark.errors import ConfigError

Count = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(gt=0)]


@dataclass(frozen=True)
class Profile:
    """What one job is given, and how cells are put into jobs.

    Attributes:
        partition: Of the cluster; default: the cluster's.
        account: That is charged.
        qos: Quality of service.
        constraint: Features that a node must have.
        gpus: Per job; with more than one, the workers take turns on them.
        cpus: Per job.
        memory_gb: Per job; default: the cluster's.
        wall_minutes: The longest that a job may ask for. Jobs ask for what their cells are estimated to take, go on in
            a new job if that was too short, and never ask for more than this.
        pack_minutes: Cells are packed into one job up to this much estimated work.
        cells_at_once: Worker processes of a job, on all its GPUs together.
        device: ``cuda`` or ``cpu``; default: ``cuda`` if there are GPUs.
        threads: Of each worker on the CPU; part of what makes results equal to the last digit.
        checkpoint_seconds: Between two checkpoints inside a cell.
        signal_seconds: How long before the end of its time a job is warned, to save and go on in a new one.
        max_running: Jobs of one array that run at once.
        max_jobs: Jobs of a results folder that may be queued and running at once; packs are made larger to fit.
        setup: Lines of shell that run first in every job (``module load …``).
        python: The interpreter; default: the one that submits.
        parameters: Further options of sbatch, by their long names (``exclude: node7``); they win over all others.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: Annotated[int, msgspec.Meta(ge=0)] = 0
    cpus: Count = 1
    memory_gb: Amount | None = None
    wall_minutes: Count = 720
    pack_minutes: Amount = 60
    cells_at_once: Count = 1
    device: str | None = None
    threads: Count = 1
    checkpoint_seconds: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    signal_seconds: Annotated[int, msgspec.Meta(ge=10)] = 120
    max_running: Count | None = None
    max_jobs: Count | None = None
    setup: list[str] = field(default_factory=list)
    python: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def devices(self) -> str:
        """Devices of the workers, with commas between them."""
        device = self.device or ("cuda" if self.gpus else "cpu")
        return ",".join(f"{device}:{number}" for number in range(self.gpus)) if self.gpus > 1 else device

    def problem(self) -> str | None:
        """What does not go together, or ``None``."""
        if self.gpus and self.cells_at_once < self.gpus:
            return f"gpus is {self.gpus} but cells_at_once is {self.cells_at_once}: some GPUs would idle; raise it"
        if self.gpus and self.device == "cpu":
            return "device is cpu, so the GPUs would idle; leave gpus out"
        if self.signal_seconds >= 60 * self.wall_minutes:
            return f"signal_seconds is {self.signal_seconds}, all of wall_minutes ({self.wall_minutes}); lower it"
        return None


def read_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raises:
        ConfigError: It is not there, not YAML, has a key or value that no profile has, or contradicts itself.
    """
    profile = convert(read_yaml(path) or {}, Profile, path.name)
    problem = profile.problem()
    if problem is not None:
        raise ConfigError(f"{path.name}: {problem}")
    return profile
