"""The throw-away SLURM does what the tests of the launcher, and the documentation, take for granted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import submitit

from slurm.devcluster import DevCluster, DevClusterError, Settings, Status, processes, start, status, stop
from slurm.devcluster.config import Layout

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

SLEEP_AT_FIRST = 'echo run ${SLURM_RESTART_COUNT:-0}; [ -n "$SLURM_RESTART_COUNT" ] || sleep 60'


def command(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)


def submit(script: str, output: Path, *options: str) -> str:
    done = command("sbatch", "--parsable", "--open-mode=append", f"--output={output}", *options, "--wrap", script)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def eventually(check: Callable[[], bool], seconds: float = 40) -> bool:
    deadline = time.monotonic() + seconds
    while not (ok := check()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return ok


def accounted(job: str) -> list[tuple[str, str]]:
    """State and exit code of every run of a job, as slurmdbd has them."""
    done = command("sacct", "--duplicates", "-X", "--noheader", "--parsable2", "--format=State,ExitCode", "-j", job)
    assert done.returncode == 0, done.stderr
    return [tuple(line.split("|")) for line in done.stdout.splitlines()]


def ends_as(job: str, state: str, exit_code: str, seconds: float = 40) -> bool:
    return eventually(lambda: accounted(job)[-1:] == [(state, exit_code)], seconds)


def node_state(name: str) -> str:
    """One of SLURM's words such as IDLE, with flags. Not from sinfo, which can be stale when asked often."""
    fields = command("scontrol", "--oneliner", "show", "node", name).stdout.split()
    return next(field.removeprefix("State=") for field in fields if field.startswith("State="))


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def healthy_status(directory: Path) -> Status:
    found = status(directory)
    assert found is not None
    assert found.healthy
    return found


def daemons_of(directory: Path) -> dict[str, int | None]:
    found = status(directory)
    assert found is not None
    return found.daemons


def kill(directory: Path, *roles: str) -> None:
    for role in roles:
        pid = daemons_of(directory)[role]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module", autouse=True)
def over_time_job(devcluster: DevCluster, open_dir: Path) -> str:
    """Submitted first and looked at last, because a minute is the shortest limit that SLURM knows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", devcluster.environment["SLURM_CONF"])
        return submit("sleep 300", open_dir / "over_time", "--time=0:05", "--nodelist=dev1")


def test_each_node_runs_a_batch_job_and_numbers_its_gpu_from_zero(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    script = "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"
    jobs = [
        subprocess.Popen(
            [
                "sbatch",
                "--wait",
                f"--nodelist={node}",
                "--gpus=1",
                f"--output={tmp_path / node}",
                "--wrap",
                script,
            ]
        )
        for node in slurm_cluster.settings.node_names
    ]
    assert [job.wait() for job in jobs] == [0, 0]
    assert [text(tmp_path / node) for node in ("dev1", "dev2")] == ["dev1 0\n", "dev2 0\n"]


def test_daemons_keep_their_files_to_their_own_directory(slurm_cluster: DevCluster) -> None:
    daemons = [pid for pid in daemons_of(slurm_cluster.dir).values() if pid is not None]
    opened = {str(fd.readlink()) for pid in daemons for fd in Path(f"/proc/{pid}/fd").iterdir()}
    files = {name for name in opened if name.startswith("/") and name != "/dev/null"}
    assert len(files) > 10
    assert [name for name in files if not name.startswith(f"{slurm_cluster.dir}/")] == []


def test_a_gpu_serves_one_job_at_a_time(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    script = "date +%s.%N; sleep 2; date +%s.%N"
    jobs = [submit(script, tmp_path / name, "--nodelist=dev2", "--gpus=1") for name in "ab"]
    assert all(ends_as(job, "COMPLETED", "0:0") for job in jobs)
    (_, first_end), (second_start, _) = sorted([float(line) for line in text(tmp_path / name).split()] for name in "ab")
    assert second_start >= first_end


def test_a_job_that_asks_for_no_gpu_is_told_of_none(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    job = submit("echo devices=$CUDA_VISIBLE_DEVICES", tmp_path / "out")
    assert ends_as(job, "COMPLETED", "0:0")
    assert text(tmp_path / "out") == "devices=\n"


def test_an_array_runs_every_index_below_the_limit(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    job = submit("echo $SLURM_ARRAY_TASK_ID", tmp_path / "out.%a", "--array=0-10", "--mem=20")
    assert eventually(lambda: accounted(job) == [("COMPLETED", "0:0")] * 11)
    assert [text(tmp_path / f"out.{index}") for index in range(11)] == [f"{index}\n" for index in range(11)]


def test_an_array_index_at_the_limit_is_refused(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    assert slurm_cluster.settings.max_array_size == 11
    refused = command("sbatch", "--array=11", f"--output={tmp_path / 'out'}", "--wrap", "true")
    assert refused.returncode != 0
    assert "Invalid job array specification" in refused.stderr


def test_sacct_tells_the_exit_code_of_a_failed_job(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    assert ends_as(submit("exit 3", tmp_path / "out"), "FAILED", "3:0")


def test_a_job_over_its_memory_is_killed_and_accounted_as_failed(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    script = f"{sys.executable} -S -c 'import time; block = bytearray(200 << 20); time.sleep(60)'; echo survived"
    job = submit(script, tmp_path / "out", "--mem=50")
    assert ends_as(job, "FAILED", "0:9", seconds=20)
    assert "exceeded memory limit" in text(tmp_path / "out")
    assert "survived" not in text(tmp_path / "out")


def test_a_requeued_job_starts_again_within_seconds(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = submit(SLEEP_AT_FIRST, out)
    assert eventually(lambda: text(out) == "run 0\n")
    began = time.monotonic()
    assert command("scontrol", "requeue", job).returncode == 0
    assert eventually(lambda: "run 1\n" in text(out))
    assert time.monotonic() - began < 30
    assert eventually(lambda: accounted(job) == [("REQUEUED", "0:0"), ("COMPLETED", "0:0")])


def test_a_job_of_higher_priority_requeues_a_preemptible_one(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lowly = submit(
        SLEEP_AT_FIRST,
        *(out, "--partition=preemptible", "--nodelist=dev2", "--gpus=1"),
    )
    assert eventually(lambda: text(out) == "run 0\n")
    lofty = submit("true", tmp_path / "high", "--partition=high", "--nodelist=dev2", "--gpus=1")
    assert ends_as(lofty, "COMPLETED", "0:0")
    assert eventually(lambda: accounted(lowly) == [("PREEMPTED", "0:0"), ("COMPLETED", "0:0")])
    assert "run 1\n" in text(out)


def test_a_node_set_down_loses_its_job_and_runs_it_again_when_resumed(
    slurm_cluster: DevCluster, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job = submit(SLEEP_AT_FIRST, out, "--nodelist=dev2")
    assert eventually(lambda: text(out) == "run 0\n")
    assert command("scontrol", "update", "nodename=dev2", "state=down", "reason=test").returncode == 0
    assert node_state("dev2").startswith("DOWN")
    assert eventually(lambda: accounted(job)[0][0] == "NODE_FAIL")
    assert command("scontrol", "update", "nodename=dev2", "state=resume").returncode == 0
    assert eventually(lambda: node_state("dev2") in {"IDLE", "MIXED"})
    assert eventually(lambda: "run 1\n" in text(out))


def test_any_user_may_submit(slurm_cluster: DevCluster) -> None:
    words = ("sbatch", "--wait", "--output=/dev/null", "--wrap", 'test "$(id -un)" = nobody')
    done = command(*words, user="nobody", group="nogroup", extra_groups=[], cwd="/")
    assert done.returncode == 0, done.stderr


def test_submitit_array_jobs_return_results_from_both_nodes(slurm_cluster: DevCluster, tmp_path: Path) -> None:
    def double(number: int) -> tuple[int, str]:
        import os
        import time

        time.sleep(2)
        return 2 * number, os.environ["SLURMD_NODENAME"]

    executor = submitit.AutoExecutor(folder=tmp_path / "%j")
    assert executor.cluster == "slurm"
    executor.update_parameters(timeout_min=5, gpus_per_node=1, mem_gb=0.3, slurm_array_parallelism=2)
    results = [job.result() for job in executor.map_array(double, [1, 2])]
    assert [number for number, _ in results] == [2, 4]
    assert {node for _, node in results} == {"dev1", "dev2"}


def test_a_job_whose_node_dies_runs_again_on_another(
    open_dir: Path, slurm_cluster: DevCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = open_dir / "node_dies"
    directory = open_dir / "mortal"
    try:
        mortal = start(Settings(nodes=2, memory_per_node=500), directory)
        monkeypatch.setenv("SLURM_CONF", mortal.environment["SLURM_CONF"])
        job = submit(f"echo on $SLURMD_NODENAME; {SLEEP_AT_FIRST}", out)
        assert eventually(lambda: "run 0\n" in text(out))
        first = text(out).split()[1]
        kill(directory, f"slurmd-{first}")
        assert eventually(lambda: node_state(first).startswith("DOWN"), 60)
        (other,) = {"dev1", "dev2"} - {first}
        assert eventually(lambda: f"on {other}\nrun 1\n" in text(out))
        assert eventually(lambda: [state for state, _ in accounted(job)] == ["NODE_FAIL", "COMPLETED"])
    finally:
        stop(directory)


def test_start_is_idempotent_and_mends_and_stop_leaves_nothing(
    open_dir: Path, slurm_cluster: DevCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One life of a cluster beside the session's, which must not notice."""
    directory = open_dir / "second"
    settings = Settings(nodes=1, memory_per_node=500)
    layout = Layout(directory)
    try:
        second = start(settings, directory)
        before = healthy_status(directory)
        assert start(settings, directory) == second
        assert healthy_status(directory) == before
        with pytest.raises(DevClusterError, match="stop it first"):
            start(Settings(nodes=2), directory)

        kill(directory, "slurmctld", "munged", "mariadbd")
        assert eventually(lambda: None in daemons_of(directory).values())
        start(settings, directory)
        assert not set(healthy_status(directory).daemons.values()) & set(before.daemons.values())

        monkeypatch.setenv("SLURM_CONF", second.environment["SLURM_CONF"])
        submit("setsid sleep 301 & echo up; wait", open_dir / "escaping")
        assert eventually(lambda: text(open_dir / "escaping") == "up\n")
        # slurmstepd, the batch script, and the child that left the script's session.
        assert list(processes.owned(layout).values()).count(processes.JOB) == 3
    finally:
        assert stop(directory)
    assert processes.owned(layout) == {}
    assert not directory.exists()
    assert not stop(directory)
    assert status(directory) is None
    assert healthy_status(slurm_cluster.dir)


def test_a_job_over_its_time_is_accounted_as_timed_out(
    slurm_cluster: DevCluster, over_time_job: str, open_dir: Path
) -> None:
    assert ends_as(over_time_job, "TIMEOUT", "0:0", seconds=120)
    assert "DUE TO TIME LIMIT" in text(open_dir / "over_time")
