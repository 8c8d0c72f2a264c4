"""What plan, submit and status say, without a cluster or with one that only answers."""

from __future__ import annotations

import getpass
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.planner import Plan
from slurm.queued import jobs_of_cells, live_packs
from slurm.submission import Submission, read_submission, write_submission


@pytest.fixture
def call(tmp_path: Path, toy_plugin: Path) -> Callable[..., str]:
    """Run a command on ``tmp_path/results``; its output."""

    def run(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(main, [*map(str, arguments), "--results", str(tmp_path / "results")])
        assert done.exit_code == code, done.output
        return done.output

    return run


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of a SLURM with arrays of 3 whose queue is the file that is returned."""
    queue = tmp_path / "queue"
    queue.write_text("")
    for name, script in {"squeue": f"cat {queue}", "scontrol": "echo MaxArraySize = 3", "srun": "true"}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return queue


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(json.dumps({"tasks": ["toy"], "methods": ["toy_erm", "toy_tune"], "protocol": "smoke", "seeds": 4}))
    return path


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """7 guessed seconds for a cell: a start and what starts from it take 14, which is too long."""
    path = tmp_path / "profile.yaml"
    path.write_text("{pack_minutes: 0.15, gpus: 1, wall_minutes: 90}")
    return path


def test_plan_shows_arrays_packs_and_hours_before_anything_is_sent(
    call: Callable[..., str], cluster: Path, sweep: Path, profile: Path, tmp_path: Path
) -> None:
    text = call("plan", sweep, "--profile", profile)
    assert "8 cells in 8 jobs and 6 arrays, about 0.0156 GPU hours, 8 of 8 cells guessed" in text
    assert "array 1: 3 jobs of 60 min for 3 cells, the longest about 7 s\n" in text
    assert "array 3: 1 jobs of 60 min for 1 cells, the longest about 7 s, after 1 other jobs" in text
    assert not (tmp_path / "results").exists()
    assert json.loads(call("plan", sweep, "--profile", profile, "--json"))["jobs"]["seconds"] == 56


def test_plan_without_a_profile_guesses_for_one_worker(call: Callable[..., str], sweep: Path) -> None:
    assert "about 56 s for one worker on the CPU (8 of 8 cells guessed)" in call("plan", sweep)


def test_measured_times_replace_guesses(call: Callable[..., str], sweep: Path, toy_plugin: Path) -> None:
    call("run", sweep, "--jobs", 0)
    answer = json.loads(call("plan", sweep.with_name(more(sweep)), "--json"))
    assert (len(answer["to_run"]), answer["guessed"]) == (8, 0)
    assert 0 < answer["seconds"] < 8


def more(sweep: Path) -> str:
    """The same sweep with twice the seeds."""
    sweep.with_name("more.yaml").write_text(sweep.read_text().replace('"seeds": 4', '"seeds": 8'))
    return "more.yaml"


def test_fewer_and_larger_packs_where_few_jobs_are_allowed(
    call: Callable[..., str], cluster: Path, sweep: Path, profile: Path
) -> None:
    profile.write_text("{pack_minutes: 0.15, max_jobs: 2}")
    answer = json.loads(call("plan", sweep, "--profile", profile, "--json"))["jobs"]
    assert len(answer["packs"]) <= 2
    assert sum(len(pack["cells"]) for pack in answer["packs"]) == 8


def test_queued_cells_are_not_planned_again_and_others_wait_for_their_jobs(
    call: Callable[..., str],
    cluster: Path,
    sweep: Path,
    profile: Path,
    toy_plan: Callable[..., Plan],
    sent: Callable[..., Submission],
    tmp_path: Path,
) -> None:
    plan = toy_plan("toy_erm", seeds=4)
    submission = sent(plan, "slurm", sizes=[2, 2]).with_job(0, "5_0").with_job(1, "5_1")
    write_submission(tmp_path / "results", submission)
    cluster.write_text("5_0|RUNNING|None|10:00|1:00|node1\n")  # 5_1 has ended
    answer = json.loads(call("plan", sweep, "--profile", profile, "--json"))["jobs"]
    assert sorted(answer["queued"]) == sorted(cell.key for cell in plan.to_run[:2])
    assert answer["cells"] == 6
    assert ["5_0"] in [array["after"] for array in answer["arrays"]]


def test_no_more_jobs_than_the_profile_allows(
    call: Callable[..., str],
    cluster: Path,
    sweep: Path,
    profile: Path,
    toy_plan: Callable[..., Plan],
    sent: Callable[..., Submission],
    tmp_path: Path,
) -> None:
    write_submission(tmp_path / "results", sent(toy_plan("toy_erm"), "slurm").with_job(0, "5"))
    cluster.write_text("5|PENDING|Priority|10:00|0:00|\n")
    profile.write_text("max_jobs: 1")
    assert "1 jobs are queued, and the profile's max_jobs is 1" in call("plan", sweep, "--profile", profile, code=1)


def test_status_counts_queued_cells_and_tells_what_jobs_left(
    call: Callable[..., str],
    cluster: Path,
    sweep: Path,
    toy_plan: Callable[..., Plan],
    sent: Callable[..., Submission],
    tmp_path: Path,
) -> None:
    plan = toy_plan("toy_erm", seeds=4)
    call("run", sweep, "--jobs", 0, "--device", "cpu")
    for cell in plan.to_run[:3]:
        (tmp_path / "results" / "records" / cell.key[:2] / f"{cell.key}.json").unlink()
    submission = sent(plan, "slurm", sizes=[1, 1, 2]).with_job(0, "5_0").with_job(1, "5_1").with_job(2, "5_2")
    write_submission(tmp_path / "results", submission)
    cluster.write_text("5_0|RUNNING|None|10:00|1:00|node1\n5_1|PENDING|Priority|10:00|0:00|\n")
    text = call("status")
    assert "5 done, 0 running, 2 queued, 0 failed, 1 missing, 0 stale" in text
    assert "queue: 1 jobs pending (Priority)\nqueue: 1 jobs running\n" in text
    assert f"ended: job 5_2 of {submission.id} left 1 of 2 cells undone" in text
    queue = json.loads(call("status", "--json"))["queue"]
    assert [(one["job"], one["state"], one["node"]) for one in queue] == [
        ("5_0", "RUNNING", "node1"),
        ("5_1", "PENDING", ""),
    ]


def test_status_works_where_slurm_does_not_answer(
    call: Callable[..., str],
    cluster: Path,
    sweep: Path,
    toy_plan: Callable[..., Plan],
    sent: Callable[..., Submission],
    tmp_path: Path,
) -> None:
    write_submission(tmp_path / "results", sent(toy_plan("toy_erm"), "slurm").with_job(0, "5"))
    cluster.unlink()
    call("run", sweep, "--jobs", 0)
    text = call("status")
    assert "8 done" in text
    assert "warning: what is queued is not known: squeue" in text


def test_results_of_different_code_are_pointed_out(
    call: Callable[..., str], sweep: Path, tmp_path: Path, cluster: Path, profile: Path
) -> None:
    call("run", sweep, "--jobs", 0)
    records = sorted((tmp_path / "results" / "records").glob("??/*.json"))
    for path in records[:3]:
        record = json.loads(path.read_text())
        record["environment"]["code"] = "0.0.1+gfeedbeef0000"
        path.write_text(json.dumps(record) + "\n")
    text = call("status")
    assert "warning: the finished cells were made by different versions of the code" in text
    assert "3 cells by 0.0.1+gfeedbeef0000" in text
    assert "finished cells were made by other code" in call("submit", sweep, "--profile", profile)


def test_submit_needs_slurm_or_another_cluster(
    call: Callable[..., str], sweep: Path, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "squeue is not on the PATH" in call("submit", sweep, "--profile", profile, code=1)


def test_one_question_for_all_submissions_and_users(
    cluster: Path, toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    plan, log = toy_plan("toy_erm", seeds=2), tmp_path / "asked"
    (tmp_path / "bin" / "squeue").write_text(f'#!/bin/sh\necho "$@" >> {log}\ncat {cluster}\n')
    cluster.write_text("5|RUNNING|None|10:00|1:00|node1\n6_0|PENDING|Priority|10:00|0:00|\n7|RUNNING|None|1|1|node1\n")
    first, second = (sent(plan, "slurm", sizes=[1, 1]) for _ in range(2))
    second = replace(second, user="zoe").with_job(0, "6_0").with_job(1, "6_1")
    live = live_packs([first.with_job(0, "5"), second, replace(first, cluster="debug").with_job(0, "7")])
    assert [found.job.id for found in live] == ["5", "6_0"]
    assert jobs_of_cells(live) == {plan.to_run[0].key: "6_0"}
    (asked,) = log.read_text().splitlines()
    assert f"--user={','.join(sorted({getpass.getuser(), 'zoe'}))}" in asked


def test_a_recycled_pid_is_no_local_job(toy_plan: Callable[..., Plan], sent: Callable[..., Submission]) -> None:
    import os

    from benchmark.processes import born

    submission = sent(toy_plan("toy_erm"), "local")
    assert len(live_packs([submission.with_job(0, str(os.getpid()), born(os.getpid()))])) == 1
    assert live_packs([submission.with_job(0, str(os.getpid()), born(os.getpid()) - 1)]) == []
    elsewhere = replace(submission, host="elsewhere").with_job(0, str(os.getpid()), born(os.getpid()))
    assert live_packs([elsewhere]) == []


def test_a_submission_reads_back_as_it_was_written(
    toy_plan: Callable[..., Plan], sent: Callable[..., Submission], tmp_path: Path
) -> None:
    submission = sent(toy_plan("toy_erm", seeds=3), "slurm", sizes=[2, 1]).with_job(1, "12_1")
    write_submission(tmp_path / "results", submission)
    assert read_submission(tmp_path / "results", submission.id) == submission
