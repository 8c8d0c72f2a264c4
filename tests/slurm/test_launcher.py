"""What sbatch is given, through submitit's own stand-in for SLURM."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import submitit
from submitit.core.test_core import MockedSubprocess
from submitit.slurm.test_slurm import mocked_slurm

from benchmark.planner import Plan
from slurm.launcher import SendError, send
from slurm.packing import Array
from slurm.profile import Profile
from slurm.submission import Submission, folder, read_submission

NOTHING: frozenset[int | str] = frozenset()


@pytest.fixture
def slurm() -> Iterator[MockedSubprocess]:
    """Gives out job ids from 12 on."""
    with mocked_slurm() as mock:
        yield mock


def script(results: Path, submission: Submission, job: str) -> list[str]:
    return (folder(results, submission.id) / "jobs" / f"{job}_submission.sh").read_text().splitlines()


def test_packs_are_sent_as_arrays_whose_jobs_are_written_down(
    slurm: MockedSubprocess, toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    submission = sent(toy_plan("toy_erm", seeds=5), "slurm", sizes=[1] * 5)
    arrays = [Array((0, 2, 3), 20, NOTHING), Array((1,), 10, NOTHING), Array((4,), 30, frozenset({0, 3, 1, "7_1"}))]
    after = send(tmp_path / "results", submission, arrays)
    assert [pack.job for pack in after.packs] == ["12_0", "13", "12_1", "12_2", "14"]
    assert read_submission(tmp_path / "results", submission.id) == after
    first, last = script(tmp_path / "results", after, "12"), script(tmp_path / "results", after, "14")
    assert "#SBATCH --array=0-2%3" in first
    assert "#SBATCH --time=20" in first
    assert not [line for line in first if "dependency" in line]
    assert "#SBATCH --dependency=afterany:12_0:12_2:13:7_1" in last


def test_a_job_is_asked_for_as_the_profile_says(
    slurm: MockedSubprocess, toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    profile = Profile(
        partition="gpu",
        account="physics",
        qos="low",
        constraint="a100|h100",
        gpus=2,
        cpus=8,
        memory_gb=31.5,
        cells_at_once=4,
        signal_seconds=90,
        max_running=7,
        setup=["module load cuda"],
        python="/opt/env/bin/python",
        parameters={"exclude": "node7", "wckey": "mine"},
    )
    submission = sent(toy_plan("toy_erm", seeds=2), "slurm", profile, sizes=[1, 1])
    lines = script(tmp_path / "results", send(tmp_path / "results", submission, [Array((0, 1), 45, NOTHING)]), "12")
    expected = {
        "#SBATCH --partition=gpu",
        "#SBATCH --account=physics",
        "#SBATCH --qos=low",
        "#SBATCH --constraint='a100|h100'",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=32256MB",
        "#SBATCH --signal=USR2@90",
        "#SBATCH --array=0-1%2",
        "#SBATCH --time=45",
        "#SBATCH --exclude=node7",
        "#SBATCH --wckey=mine",
        "#SBATCH --requeue",
        "#SBATCH --job-name=debias-bench.toy",
    }
    assert expected <= set(lines)
    assert lines.index("module load cuda") < next(n for n, line in enumerate(lines) if "export PYTHONPATH=" in line)
    assert "/opt/env/bin/python -u -m submitit.core._submit" in lines[-1] + lines[-2]


def test_a_job_finds_the_copy_of_the_code_first(
    slurm: MockedSubprocess, toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    submission = sent(toy_plan("toy_erm"), "slurm")
    lines = script(tmp_path / "results", send(tmp_path / "results", submission, [Array((0,), 9, NOTHING)]), "12")
    assert f'export PYTHONPATH={submission.code_root}"${{PYTHONPATH:+:$PYTHONPATH}}"' in lines
    assert "export PYTHONSAFEPATH=1" in lines


def test_a_refusal_keeps_what_was_sent_and_says_what_to_do(
    slurm: MockedSubprocess,
    toy_plan: Callable[..., Plan],
    sent: Callable[..., Submission],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accept = slurm.sbatch

    def sbatch(arguments: list[str]) -> str:
        if slurm.job_count > 12:
            raise submitit.core.utils.FailedJobError("sbatch: error: AssocMaxSubmitJobLimit")
        return accept(arguments)

    monkeypatch.setattr(slurm, "sbatch", sbatch)
    submission = sent(toy_plan("toy_erm", seeds=2), "slurm", sizes=[1, 1])
    arrays = [Array((0,), 10, NOTHING), Array((1,), 10, NOTHING)]
    with pytest.raises(SendError, match=r"AssocMaxSubmitJobLimit.*What was sent before stays sent.*max_jobs"):
        send(tmp_path / "results", submission, arrays)
    assert [pack.job for pack in read_submission(tmp_path / "results", submission.id).packs] == ["12", None]


def test_what_a_surrounding_job_was_given_is_not_handed_on(
    slurm: MockedSubprocess,
    toy_plan: Callable[..., Plan],
    sent: Callable[..., Submission],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"SLURM_JOB_ID": "3", "SLURM_CPUS_PER_TASK": "4", "SLURM_CONF": "/etc/x", "SBATCH_ACCOUNT": "a"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    seen = {}
    accept = slurm.sbatch

    def sbatch(arguments: list[str]) -> str:
        seen.update(os.environ)
        return accept(arguments)

    monkeypatch.setattr(slurm, "sbatch", sbatch)
    send(tmp_path / "results", sent(toy_plan("toy_erm"), "slurm"), [Array((0,), 10, NOTHING)])
    assert {name: seen[name] for name in given if name in seen} == {"SLURM_CONF": "/etc/x"}
    assert given.items() <= os.environ.items()
