"""Which packs have a job that is pending or running: our own files, and one question to SLURM."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from benchmark.processes import born
from slurm import scheduler
from slurm.scheduler import QueuedJob
from slurm.submission import SentPack, Submission


@dataclass(frozen=True)
class LivePack:
    """A pack whose job is pending or running.

    Attributes:
        submission: That it belongs to.
        pack: Its cells.
        job: What is known of its job.
    """

    submission: Submission
    pack: SentPack
    job: QueuedJob


def live_packs(submissions: Iterable[Submission]) -> list[LivePack]:
    """The packs that will still be worked on. Asks squeue once, and only if something was sent to SLURM.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    submissions = list(submissions)
    users = {submission.user for submission in submissions if submission.cluster == "slurm"}
    queue = scheduler.queue(users) if users else {}
    found = []
    for submission in submissions:
        for pack in submission.packs:
            if pack.job is None:
                continue
            job = queue.get(pack.job) if submission.cluster == "slurm" else _local_job(submission, pack)
            if job is not None:
                found.append(LivePack(submission, pack, job))
    return found


def jobs_of_cells(live: Iterable[LivePack]) -> dict[str, str]:
    """The job that will make a cell, by key."""
    return {key: found.job.id for found in live for key in found.pack.cells}


def cancel(live: Sequence[LivePack]) -> None:
    """Cancel the jobs of packs.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    of_slurm = [found.job.id for found in live if found.submission.cluster == "slurm"]
    if of_slurm:
        scheduler.cancel(of_slurm)
    for found in live:
        if found.submission.cluster == "local":
            with suppress(ProcessLookupError):
                os.kill(int(found.job.id), signal.SIGTERM)


def _local_job(submission: Submission, pack: SentPack) -> QueuedJob | None:
    """A job of the cluster ``local`` lives as long as its process, which only its own machine can see."""
    if submission.cluster != "local" or submission.host != socket.gethostname() or pack.job is None:
        return None
    if pack.born < 0 or born(int(pack.job)) != pack.born:
        return None
    return QueuedJob(pack.job, "RUNNING", node=submission.host)
