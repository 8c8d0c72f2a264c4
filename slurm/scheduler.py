"""What SLURM says: one call of squeue, of scontrol or of scancel, and their answers as values."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.errors import DebiasBenchError

SECONDS = 60
"""A controller that does not answer for so long is taken for down."""
JOBS_PER_CALL = 1000
"""A command line has a limited length."""
FORMAT = "%i|%T|%r|%M|%l|%N"


class SchedulerError(DebiasBenchError):
    """SLURM is not there, does not answer, or refuses."""


@dataclass(frozen=True)
class QueuedJob:
    """A job that is pending, running or ending.

    Attributes:
        id: As sbatch and squeue have it: ``12`` or ``12_3``.
        state: ``PENDING``, ``RUNNING``, …
        reason: Why it is pending.
        elapsed: Of its wall time, as squeue prints it.
        limit: Its wall time.
        node: Where it runs.
    """

    id: str
    state: str
    reason: str = ""
    elapsed: str = ""
    limit: str = ""
    node: str = ""


def is_installed() -> bool:
    """Whether SLURM's commands are on the path."""
    return shutil.which("squeue") is not None


def queue(users: Iterable[str]) -> dict[str, QueuedJob]:
    """The queued and running jobs of these users, by id; each job of an array by itself.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    answer = _ask("squeue", "--noheader", "--array", f"--user={','.join(sorted(users))}", f"--format={FORMAT}")
    jobs = (QueuedJob(*line.split("|", 5)) for line in answer.splitlines() if line.count("|") >= 5)
    return {job.id: job for job in jobs}


def max_array_size() -> int:
    """How many jobs an array may have here.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    for line in _ask("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize":
            return max(1, int(value))
    raise SchedulerError("scontrol show config does not tell MaxArraySize")


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs, pending or running; one that has ended meanwhile is no error.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    for first in range(0, len(jobs), JOBS_PER_CALL):
        _ask("scancel", "--quiet", *jobs[first : first + JOBS_PER_CALL])


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except FileNotFoundError as error:
        raise SchedulerError(f"{command[0]} is not on the PATH: log in to a node of the cluster") from error
    except subprocess.TimeoutExpired as error:
        raise SchedulerError(f"{command[0]} has not answered for {SECONDS} s; try again later") from error
    if done.returncode != 0:
        raise SchedulerError(f"{' '.join(command)[:200]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
