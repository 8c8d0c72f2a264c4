"""Starting, stopping and looking at a cluster."""

import os
from dataclasses import dataclass
from pathlib import Path

from slurm.devcluster import daemons, files, processes, requirements
from slurm.devcluster.config import Layout, Settings, load
from slurm.devcluster.requirements import DevClusterError

DEFAULT_DIR = Path("/var/lib/slurm-devcluster")


@dataclass(frozen=True)
class DevCluster:
    """A running cluster."""

    dir: Path
    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """What a process must have in its environment for sbatch, sacct and submitit to use this cluster."""
        return {"SLURM_CONF": str(Layout(self.dir).slurm_conf)}


@dataclass(frozen=True)
class Status:
    """What is there of a cluster.

    Attributes:
        daemons: The process number for each role that the cluster should have; None where it is not running.
        job_processes: How many processes belong to jobs.
        nodes: What sinfo says, one "name state" for each node; empty if a daemon is missing or silent.
    """

    daemons: dict[str, int | None]
    job_processes: int
    nodes: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """All daemons run and slurmctld answers."""
        return bool(self.nodes) and None not in self.daemons.values()


def start(settings: Settings, directory: Path = DEFAULT_DIR) -> DevCluster:
    """Start a cluster, or return the one that already runs there with the same settings.

    What a crashed or killed cluster left behind, processes and files, is removed first.

    Raises:
        DevClusterError: a package or root is missing; the directory holds something else, or a running
            cluster with other settings; or a daemon does not come up (then none is left running).
    """
    if (problem := requirements.unmet()) is not None:
        raise DevClusterError(problem)
    layout = Layout(directory)
    with files.locked(layout):
        files.refuse_foreign(layout)
        running = load(layout)
        if running is not None and _status(layout, running).healthy:
            if running != settings:
                raise DevClusterError(
                    f"a cluster with {running} already runs in {directory}, not {settings}; stop it first "
                    f"(python -m slurm.devcluster stop --dir {directory}) or name another --dir"
                )
            return DevCluster(directory, running)
        processes.end(layout)
        files.remove(layout)
        try:
            files.create(settings, layout)
            daemons.bring_up(settings, layout)
        except BaseException:
            processes.end(layout)
            raise
    return DevCluster(directory, settings)


def stop(directory: Path = DEFAULT_DIR) -> bool:
    """End every process of the cluster, running jobs included, and remove its directory.

    Returns:
        Whether there was anything to stop.

    Raises:
        DevClusterError: not root, the directory is something else's, or a process does not end.
    """
    layout = Layout(directory)
    _require_root(layout)
    with files.locked(layout):
        files.refuse_foreign(layout)
        ended = processes.end(layout)
        return files.remove(layout) or ended > 0


def status(directory: Path = DEFAULT_DIR) -> Status | None:
    """Say what is there of the cluster in this directory; None if there is none.

    Raises:
        DevClusterError: not root.
    """
    layout = Layout(directory)
    _require_root(layout)
    settings = load(layout)
    return None if settings is None else _status(layout, settings)


def _status(layout: Layout, settings: Settings) -> Status:
    alive = processes.owned(layout)
    by_role = {role: pid for pid, role in sorted(alive.items(), reverse=True)}
    found = {role: by_role.get(role) for role in daemons.roles(settings)}
    # A question to a cluster that lacks a daemon is repeated by sinfo for many seconds, in vain.
    nodes = () if None in found.values() else daemons.node_states(layout)
    return Status(found, sum(role == processes.JOB for role in alive.values()), nodes)


def _require_root(layout: Layout) -> None:
    if os.geteuid() != 0:
        raise DevClusterError(f"the processes of {layout.dir} are root's, and this is user {os.geteuid()}: use sudo")
