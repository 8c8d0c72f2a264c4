"""Send packs to a cluster through submitit, and leave: nothing has to stay alive here."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import submitit

from benchmark.errors import DebiasBenchError
from benchmark.processes import born
from benchmark.stopping import Stop, stopped_by_signals
from slurm.job import PackJob
from slurm.packing import Array, Place
from slurm.profile import Profile
from slurm.submission import Submission, folder, write_submission

REQUEUES = 1000
"""submitit's bound on time-outs of one job. Ours is finer: cells that do not get on are failed after three."""


class SendError(DebiasBenchError):
    """The cluster refused a job."""


def send(results: Path, submission: Submission, arrays: Sequence[Array]) -> Submission:
    """Send all arrays, writing down each one's jobs before the next is sent; Ctrl-C stops between two of them.

    Raises:
        SendError: The cluster refused; what was sent before stays sent, and is written down.
    """
    stop = Stop()
    with stopped_by_signals(stop):
        for number, array in enumerate(arrays):
            if stop.asked:
                raise SendError(f"stopped after {number} of {len(arrays)} arrays; submit again for the others")
            jobs = [PackJob(str(results), submission.id, pack) for pack in array.packs]
            for pack, job in zip(array.packs, _send_array(results, submission, array, jobs), strict=True):
                submission = submission.with_job(pack, job.job_id, _born(submission, job.job_id))
            write_submission(results, submission)
    return submission


def run_here(results: Path, submission: Submission) -> None:
    """Run all packs in this process, one after the other, where a debugger can stop them."""
    executor = submitit.DebugExecutor(folder(results, submission.id) / "jobs")
    for number in range(len(submission.packs)):
        executor.submit(PackJob(str(results), submission.id, number)).result()


def _send_array(results: Path, submission: Submission, array: Array, jobs: list[PackJob]) -> Any:
    where, python = folder(results, submission.id) / "jobs", submission.profile.python
    try:
        if submission.cluster == "local":
            executor = submitit.LocalExecutor(where, max_num_timeout=REQUEUES, python=python)
            executor.update_parameters(**_local_parameters(submission.profile, array))
            with submitit.helpers.environment_variables(**_code_environment(submission)), _silent():
                return executor.submit_array(jobs)
        executor = submitit.AutoExecutor(where, cluster="slurm", slurm_max_num_timeout=REQUEUES, slurm_python=python)
        executor.update_parameters(**_slurm_parameters(submission, array))
        with _outside_of_jobs():
            return executor.submit_array(jobs)
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedSubmissionError) as error:
        raise SendError(
            f"the cluster refused: {error}. What was sent before stays sent. If it is a limit on queued jobs, submit "
            "again when some have ended, or set max_jobs in the profile"
        ) from error


def _local_parameters(profile: Profile, array: Array) -> dict[str, Any]:
    return {
        "timeout_min": array.minutes,
        "signal_delay_s": profile.signal_seconds,
        "gpus_per_node": profile.gpus,
    }


def _slurm_parameters(submission: Submission, array: Array) -> dict[str, Any]:
    """What submitit is told; it drops what is ``None``."""
    profile = submission.profile
    return {
        "name": f"debias-bench.{submission.sweep}",
        "timeout_min": array.minutes,
        "cpus_per_task": profile.cpus,
        "gpus_per_node": profile.gpus or None,
        "mem_gb": profile.memory_gb,
        "slurm_partition": profile.partition,
        "slurm_account": profile.account,
        "slurm_qos": profile.qos,
        "slurm_constraint": profile.constraint,
        "slurm_signal_delay_s": profile.signal_seconds,
        "slurm_array_parallelism": profile.max_running or len(array.packs),
        "slurm_dependency": _dependency(submission, array.after),
        "slurm_setup": [*profile.setup, *_code_setup(submission)],
        "slurm_additional_parameters": {"requeue": True, **profile.parameters},
    }


def _dependency(submission: Submission, after: frozenset[Place]) -> str | None:
    """Jobs that must have ended, however: a job that finds its upstream cell missing makes it."""
    jobs = [place if isinstance(place, str) else submission.packs[place].job for place in after]
    return ":".join(["afterany", *sorted(job for job in jobs if job is not None)]) if after else None


def _code_setup(submission: Submission) -> list[str]:
    """The profile's lines have run; the copy of the code comes first on the path.

    Since SLURM 22.05 srun does not take over the number of CPUs that sbatch was given.
    """
    variables = _code_environment(submission)
    return [
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items() if name != "PYTHONPATH"),
        f'export PYTHONPATH={shlex.quote(submission.code_root)}"${{PYTHONPATH:+:$PYTHONPATH}}"',
        'export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"',
    ]


def _code_environment(submission: Submission) -> dict[str, str]:
    """Without the second, Python would look in the folder from which the job was sent first."""
    paths = [submission.code_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """A job that is sent from within a job must not inherit what that one was given; it is for the same cluster."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    cluster = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with submitit.helpers.clean_env(), submitit.helpers.environment_variables(**cluster):
        yield


@contextmanager
def _silent() -> Iterator[None]:
    """Jobs of this machine must not hold on to our output: whoever reads it would wait for them."""
    kept = [os.dup(number) for number in (1, 2)]
    with Path(os.devnull).open("w") as nothing:
        for number in (1, 2):
            os.dup2(nothing.fileno(), number)
        try:
            yield
        finally:
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)


def _born(submission: Submission, job: str) -> int:
    return born(int(job)) if submission.cluster == "local" else -1
