"""SLURM's answers as values, its silence as errors. The commands are small scripts that answer as the real ones do."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from slurm import scheduler
from slurm.scheduler import QueuedJob, SchedulerError

Command = Callable[[str, str], Path]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``command("squeue", "echo …")`` puts a script of that name on an otherwise empty path; returns its log."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, script: str) -> Path:
        log = tmp_path / f"{name}.log"
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return log

    return put


def test_every_job_of_an_array_is_queued_by_itself(command: Command) -> None:
    log = command("squeue", "printf '%s\\n' '12_3|PENDING|Priority|1:00:00|0:00|' '7|RUNNING|None|30:00|4:10|node7'")
    assert scheduler.queue(["zoe", "ada"]) == {
        "12_3": QueuedJob("12_3", "PENDING", "Priority", "1:00:00", "0:00", ""),
        "7": QueuedJob("7", "RUNNING", "None", "30:00", "4:10", "node7"),
    }
    assert "--array --user=ada,zoe" in log.read_text()


def test_an_empty_queue_is_no_error(command: Command) -> None:
    command("squeue", "true")
    assert scheduler.queue(["ada"]) == {}


def test_a_controller_that_is_down_is_an_error_with_its_words(command: Command) -> None:
    command("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SchedulerError, match=r"squeue .* failed: slurm_load_jobs error: Unable to contact"):
        scheduler.queue(["ada"])


def test_a_controller_that_is_silent_is_an_error(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command("squeue", "exec /bin/sleep 30")
    monkeypatch.setattr(scheduler, "SECONDS", 0.2)
    with pytest.raises(SchedulerError, match="squeue has not answered"):
        scheduler.queue(["ada"])


def test_where_there_is_no_slurm_is_said(command: Command) -> None:
    assert not scheduler.is_installed()
    with pytest.raises(SchedulerError, match="squeue is not on the PATH"):
        scheduler.queue(["ada"])


def test_the_array_limit_is_the_clusters(command: Command) -> None:
    command(
        "scontrol", "printf 'Configuration data as of now\\nMaxArraySize            = 1001\\nMaxJobCount = 10000\\n'"
    )
    assert scheduler.max_array_size() == 1001


def test_many_jobs_are_cancelled_in_calls_of_limited_length(command: Command) -> None:
    log = command("scancel", "true")
    scheduler.cancel([str(number) for number in range(2500)])
    calls = [line.split() for line in log.read_text().splitlines()]
    assert [len(call) - 1 for call in calls] == [1000, 1000, 500]
    assert {call[0] for call in calls} == {"--quiet"}
    assert [job for call in calls for job in call[1:]] == [str(number) for number in range(2500)]
