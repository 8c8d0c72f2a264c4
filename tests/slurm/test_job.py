"""What a job does with its pack, run by submitit's own job process code, here."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import submitit
from submitit.core.submission import process_job
from submitit.slurm.test_slurm import mocked_slurm

from benchmark.planner import Plan
from benchmark.store import Store
from slurm.job import PackJob, WrongCodeError
from slurm.launcher import run_here, send
from slurm.packing import Array
from slurm.scheduler import SchedulerError
from slurm.submission import Submission, folder, write_submission

SLOW = {"epochs": 6, "pause": 0.3}
REQUEUE = "submitit.slurm.slurm.SlurmJobEnvironment._requeue"


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """submitit sets them for good in the process of a job, which this one is only for a while."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def start(results: Path, submission: Submission) -> None:
    """Send a job, and be it; its cells run in this process, as with the cluster ``debug``."""
    with mocked_slurm():
        submission = send(results, submission, [Array((0,), 10, frozenset())])
    write_submission(results, replace(submission, cluster="debug"))
    be_job(results, submission)


def be_job(results: Path, submission: Submission) -> None:
    """SLURM starts the job, for the first time or again."""
    with submitit.helpers.environment_variables(SUBMITIT_EXECUTOR="slurm", SLURM_JOB_ID="12"):
        process_job(folder(results, submission.id) / "jobs")


@pytest.fixture
def slow(tmp_path: Path) -> dict[str, Any]:
    """A cell that is stopped in its middle, and says when it runs."""
    return {"name": "toy_erm", "params": {**SLOW, "log": str(tmp_path / "log")}}


@contextmanager
def signal_when_it_runs(number: int, log: Path) -> Iterator[None]:
    """Send the signal to this process as soon as a cell runs in it, never outside of the block."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if log.exists():
                os.kill(os.getpid(), number)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def states(results: Path, plan: Plan) -> list[str]:
    return [Store(results).state(cell.key) for cell in plan.to_run]


def test_a_job_runs_its_pack_and_records_name_it(
    toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    plan, results = toy_plan("toy_tune", "toy_erm", seeds=2), tmp_path / "results"
    submission = sent(plan, "slurm")
    start(results, submission)
    assert states(results, plan) == ["done"] * 4
    record = Store(results).read(plan.to_run[0].key)
    assert record is not None
    assert record.environment["job"] == f"{submission.id}/12"


def test_a_failing_cell_does_not_fail_its_job(
    toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    plan = toy_plan({"name": "toy_bad", "params": {"how": "raise"}}, "toy_erm")
    start(tmp_path / "results", sent(plan, "slurm"))
    assert states(tmp_path / "results", plan) == ["failed", "done"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_warned_job_saves_and_queues_itself_again_and_goes_on(
    toy_plan: Callable[..., Plan],
    sent: Callable[..., Submission],
    tmp_path: Path,
    slow: dict[str, Any],
    number: int,
) -> None:
    plan, results = toy_plan(slow, "toy_erm"), tmp_path / "results"
    submission = sent(plan, "slurm")
    with (
        patch(REQUEUE) as requeue,
        signal_when_it_runs(number, tmp_path / "log"),
        pytest.raises(SystemExit),
    ):
        start(results, submission)
    requeue.assert_called_once()
    assert states(results, plan) == ["missing", "missing"]
    assert Store(results).checkpoint_path(plan.to_run[0].key).exists()
    be_job(results, submission)
    assert states(results, plan) == ["done", "done"]
    record = Store(results).read(plan.to_run[0].key)
    assert record is not None
    assert record.resources.resumed


def test_a_job_that_is_told_to_end_saves_and_does_not_queue_itself_again(
    toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path, slow: dict[str, Any]
) -> None:
    plan = toy_plan(slow)
    with patch(REQUEUE) as requeue, signal_when_it_runs(signal.SIGTERM, tmp_path / "log"):
        start(tmp_path / "results", sent(plan, "slurm"))
    requeue.assert_not_called()
    assert Store(tmp_path / "results").checkpoint_path(plan.to_run[0].key).exists()


def test_a_job_that_may_not_queue_itself_says_to_submit_again(
    toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path, slow: dict[str, Any]
) -> None:
    refused = OSError("scontrol: command not found")
    with (
        patch(REQUEUE, side_effect=refused),
        signal_when_it_runs(signal.SIGUSR2, tmp_path / "log"),
        pytest.raises(SchedulerError, match=r"command not found.*submit again"),
    ):
        start(tmp_path / "results", sent(toy_plan(slow), "slurm"))


@pytest.mark.parametrize("changes", [{"code": "0.0.1+gdeadbeef0000"}, {"code_root": "/elsewhere"}])
def test_a_job_with_other_code_does_nothing_and_says_so(
    toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path, changes: dict[str, str]
) -> None:
    plan, results = toy_plan("toy_erm"), tmp_path / "results"
    submission = replace(sent(plan, "debug"), **changes)
    write_submission(results, submission)
    with pytest.raises(WrongCodeError, match=r"was submitted.*PYTHONPATH"):
        PackJob(str(results), submission.id, 0)()
    assert states(results, plan) == ["missing"]


def test_debug_runs_all_packs_in_this_process(
    toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    plan = toy_plan({"name": "toy_erm", "params": {"log": str(tmp_path / "log")}}, seeds=3)
    run_here(tmp_path / "results", sent(plan, "debug", sizes=[2, 1]))
    assert states(tmp_path / "results", plan) == ["done"] * 3
    assert set((tmp_path / "log").read_text().splitlines()) == {f"toy_erm {os.getpid()}"}


def test_submitit_pickles_nothing_but_names(tmp_path: Path) -> None:
    job = PackJob("/results", "20260101-000000-abcd", 3)
    path = tmp_path / "job.pkl"
    submitit.helpers.DelayedSubmission(job).dump(path)
    assert path.stat().st_size < 600
    assert vars(job.checkpoint().function) == vars(job)
