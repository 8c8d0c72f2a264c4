"""What a job does: it runs the cells of its pack in worker processes that it watches over.

Whatever happens to a cell is a record or another try; whatever happens to the job leaves checkpoints. Warned before its
time is over, or preempted with a warning, it lets its workers save and queues itself again for the rest.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import submitit

from benchmark.code import code_root, code_version
from benchmark.environment import JOB_VARIABLE
from benchmark.errors import DebiasBenchError
from benchmark.executor import Event, execute
from benchmark.planner import what_is_left
from benchmark.serve import Options, load_plugins
from benchmark.stopping import WARNINGS, Stop
from benchmark.store import Store
from slurm.scheduler import SchedulerError
from slurm.submission import Submission, read_pack, read_submission

REQUEUE_SECONDS = 20
"""Of the time between the warning and the end of the job: for queueing it again."""

log = logging.getLogger("submitit")  # submitit sends it to the job's output

Requeue = Callable[[int, None], Any]


class WrongCodeError(DebiasBenchError):
    """A job runs other code than was submitted."""


class PackJob:
    """The callable that a job runs. It is pickled, so it holds names only: all else is read where the job runs."""

    def __init__(self, results: str, submission: str, pack: int) -> None:
        """``results`` is an absolute path, ``pack`` the number of the pack in its submission."""
        self.results = results
        self.submission = submission
        self.pack = pack

    def __call__(self) -> dict[str, int]:
        """Run the pack; returns how often each thing happened to a cell.

        Raises:
            WrongCodeError: This is not the code that was submitted.
            DebiasBenchError: No cell can be run here at all: a full disk, a broken GPU.
        """
        results = Path(self.results)
        sent = read_submission(results, self.submission)
        _refuse_other_code(sent)
        os.environ[JOB_VARIABLE] = f"{sent.id}/{submitit.JobEnvironment().job_id}"
        pack, store = read_pack(results, sent.id, self.pack), Store(results)
        load_plugins(map(Path, sent.plugins))
        requeue = _requeue_handler()
        stop = Stop(max(sent.profile.signal_seconds - REQUEUE_SECONDS, sent.profile.signal_seconds / 2))
        plan = what_is_left(pack.units, pack.upstream, store)
        log.info("pack %d of %s: %d of %d cells to run", self.pack, sent.id, len(plan.to_run), len(pack.units))
        counts: Counter[str] = Counter()
        for event in execute(plan, _options(sent, results), stop):
            counts[event.kind] += 1
            _tell(event)
        left = len(what_is_left(pack.units, pack.upstream, store).to_run)
        log.info("%d cells left; %s", left, dict(counts))
        if left and stop.warned and requeue is not None:
            _queue_again(requeue)
        return dict(counts)

    def checkpoint(self) -> Any:
        """What submitit runs when the job starts again: the same, for finished cells are known by their records."""
        return submitit.helpers.DelayedSubmission(self)


def _refuse_other_code(sent: Submission) -> None:
    """A setup line, a changed environment or a container may put other code before the copy."""
    if code_version() == sent.code and code_root() == Path(sent.code_root):
        return
    raise WrongCodeError(
        f"this job runs {code_version()} from {code_root()}, but {sent.code} in {sent.code_root} was submitted. "
        f"Something puts other code first on the path: see PYTHONPATH and the profile's setup lines. "
        f"Python is {sys.executable}, its path {sys.path}"
    )


def _requeue_handler() -> Requeue | None:
    """What submitit has set to answer the warning: it writes the job's new state and queues it again."""
    handlers = (signal.getsignal(number) for number in WARNINGS)
    return next((handler for handler in handlers if callable(handler)), None)


def _queue_again(requeue: Requeue) -> None:
    """Does not return where it succeeds."""
    try:
        requeue(signal.SIGUSR2, None)
    except (OSError, subprocess.SubprocessError) as error:
        raise SchedulerError(f"this job cannot queue itself again ({error}); submit again for the rest") from error


def _options(sent: Submission, results: Path) -> Options:
    profile = sent.profile
    return Options(
        results=results,
        data_root=Path(sent.data_root),
        jobs=0 if sent.cluster == "debug" else profile.cells_at_once,
        device=profile.devices,
        threads=profile.threads,
        plugins=tuple(map(Path, sent.plugins)),
        checkpoint_seconds=profile.checkpoint_seconds,
        memory_bytes=None if profile.memory_gb is None else int(profile.memory_gb * 2**30),
    )


def _tell(event: Event) -> None:
    log.info("%s %s %s %.1f s %s", event.kind, event.cell.key, event.cell.title, event.seconds, event.detail)
