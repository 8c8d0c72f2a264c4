"""Processes of a cluster are found and ended; those of others are not touched."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.devcluster import DevClusterError, processes
from slurm.devcluster.config import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout(tmp_path)
    layout.log("any").parent.mkdir()
    yield layout
    processes.end(layout)


def roles(layout: Layout) -> list[str]:
    return sorted(processes.owned(layout).values())


def start_sleep(**environment: str) -> subprocess.Popen[bytes]:
    # The child's environment is its own only after exec, which Popen waits for.
    return subprocess.Popen(["sleep", "300"], env=environment | {"PATH": os.environ["PATH"]})


def test_a_daemon_is_found_by_its_role_and_ended(layout: Layout) -> None:
    processes.spawn("sleeper", ["sleep", "300"], layout)
    assert roles(layout) == ["sleeper"]
    assert processes.end(layout) == 1
    assert roles(layout) == []


def test_a_daemon_of_another_cluster_is_not_touched(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    other.log("any").parent.mkdir(parents=True)
    processes.spawn("sleeper", ["sleep", "300"], other)
    try:
        assert processes.end(layout) == 0
        assert roles(other) == ["sleeper"]
    finally:
        processes.end(other)


def test_a_process_that_ignores_the_request_is_killed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.2)
    script = "trap '' TERM; echo deaf; while :; do sleep 300; done"
    processes.spawn("deaf", ["sh", "-c", script], layout)
    processes.wait_until(lambda: "deaf" in layout.log("deaf").read_text(), "deaf", layout)
    processes.end(layout)
    assert roles(layout) == []


def test_a_process_that_changes_its_program_is_found_all_the_while(layout: Layout) -> None:
    script = '[ $1 -gt 0 ] && exec sh -c "$0" "$0" $(($1 - 1)); exec sleep 300'
    processes.spawn("restless", ["sh", "-c", script, script, "500"], layout)
    for _ in range(200):
        assert roles(layout) == ["restless"]


def test_a_job_belongs_to_the_cluster_and_a_users_shell_does_not(layout: Layout) -> None:
    conf = str(layout.slurm_conf)
    job = start_sleep(SLURM_CONF=conf, SLURMD_NODENAME="dev1")
    shell = start_sleep(SLURM_CONF=conf)
    elsewhere = start_sleep(SLURM_CONF="/other/slurm.conf", SLURMD_NODENAME="dev1")
    try:
        assert processes.owned(layout) == {job.pid: processes.JOB}
        assert processes.end(layout) == 1
        assert job.wait() != 0
        assert shell.poll() is None
        assert elsewhere.poll() is None
    finally:
        for process in (job, shell, elsewhere):
            process.kill()
            process.wait()


def test_waiting_for_a_daemon_that_has_ended_tells_its_last_words(layout: Layout) -> None:
    processes.spawn("slurmdbd", ["sh", "-c", "echo no database"], layout)
    with pytest.raises(DevClusterError, match=r"slurmdbd has ended; the end of its log:\nno database"):
        processes.wait_until(lambda: False, "slurmdbd", layout)


def test_waiting_for_a_node_shows_slurmds_own_log_too(layout: Layout) -> None:
    (layout.dir / "log" / "dev1.log").write_text("cannot bind\n")
    processes.spawn("slurmd-dev1", ["true"], layout)
    with pytest.raises(DevClusterError, match="cannot bind"):
        processes.wait_until(lambda: False, "slurmd-dev1", layout)


def test_waiting_for_a_daemon_that_never_gets_ready_ends(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LONGEST_START", 0.2)
    processes.spawn("slow", ["sleep", "300"], layout)
    began = time.monotonic()
    with pytest.raises(DevClusterError, match="slow is not ready"):
        processes.wait_until(lambda: False, "slow", layout)
    assert time.monotonic() - began < 5
