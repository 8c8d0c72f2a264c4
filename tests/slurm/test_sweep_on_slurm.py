"""A sweep on a real SLURM whose jobs are cancelled, requeued, killed and timed out while they run.

Everything happens once, in the fixture ``story``; the tests look at what came of it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmark.cell import Cell
from benchmark.claims import Claims
from benchmark.record import Record
from benchmark.registry import load_plugin_file
from benchmark.store import Store
from benchmark.sweep import expand, read_sweep
from slurm.devcluster import DevCluster
from slurm.submission import read_submissions

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "benchmark" / "toy_plugin.py"
SICK = Path(__file__).parent / "sick_plugin.py"

PROFILE = """
partition: debug
cpus: 1
memory_gb: 1.5
wall_minutes: 30
signal_seconds: 30
pack_minutes: 0.5
"""
SLOW = {"epochs": 8, "pause": 0.7}
HEALTHY = {
    "methods": ["toy_erm", "toy_tune", {"name": "toy_erm", "params": SLOW}],
    "seeds": 20,
}
FAMILY = {"methods": [{"name": "toy_tune", "params": {"pause": 0.01}}]}
SICK_METHODS = {
    "raises": {"name": "toy_bad", "params": {"how": "raise"}},
    "kills": {"name": "toy_bad", "params": {"how": "kill"}},
    "diverges": {"name": "toy_bad", "params": {"how": "nan loss"}},
    "eats": {"name": "hungry"},
    "cannot load": {"name": "unportable"},
}
LONG = {"methods": [{"name": "toy_erm", "params": {"epochs": 60, "pause": 0.5}}]}


@dataclass
class Story:
    """What happened.

    Attributes:
        folder: Of the sweeps, the profiles and the results.
        environment: In which commands find the cluster.
        happened: The disturbances, and the job of each.
    """

    folder: Path
    environment: dict[str, str]
    happened: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def command(self, *arguments: object) -> str:
        """Run ``debias-bench``, whatever it exits with."""
        done = subprocess.run(
            [sys.executable, "-c", "from benchmark.cli import main; main()", *map(str, arguments)],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, sweep: str, profile: str = "profile", plugins: tuple[Path, ...] = (TOY,)) -> dict[str, Any]:
        options = [option for path in plugins for option in ("--plugin", path)]
        where = ("--results", self.results, "--profile", self.folder / f"{profile}.yaml")
        answer: dict[str, Any] = json.loads(
            self.command("submit", self.folder / f"{sweep}.yaml", *where, *options, "--json")
        )
        return answer

    def run_locally(self) -> subprocess.Popen[bytes]:
        """Start to run the same sweeps on this machine, without a cluster."""
        command = "from benchmark.cli import main; import sys\nfor sweep in ('healthy', 'long'):\n"
        command += "    main(['run', f'{sweep}.yaml', *sys.argv[1:]], standalone_mode=False)"
        options = ("--results", "reference", "--jobs", "8", "--plugin", str(TOY))
        environment = {**self.environment, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-c", command, *options], env=environment, cwd=self.folder, stdout=subprocess.DEVNULL
        )

    def cells(self, sweep: str) -> list[Cell]:
        return expand(read_sweep(self.folder / f"{sweep}.yaml"), self.folder).cells

    def records(self, sweep: str, results: Path | None = None) -> dict[str, Record | None]:
        store = Store(results or self.results)
        return {cell.key: store.read(cell.key) for cell in self.cells(sweep)}

    def slurm(self, *command: str) -> str:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def queued(self) -> list[str]:
        return self.slurm("squeue", "--noheader", "--array", "--format=%i").split()


def eventually(what: str, check: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return found


def running(story: Story, keys: set[str]) -> Iterator[tuple[int, str, str]]:
    """Pid, job and node of the workers that have one of these cells."""
    for key, owner in Claims(story.results / "claims").living():
        try:
            lines = Path(f"/proc/{owner.pid}/environ").read_text().split("\0")
        except OSError:
            continue
        known = dict(line.split("=", 1) for line in lines if "=" in line)
        if key in keys and "SLURM_ARRAY_JOB_ID" in known:
            job = f"{known['SLURM_ARRAY_JOB_ID']}_{known['SLURM_ARRAY_TASK_ID']}"
            yield owner.pid, job, known["SLURMD_NODENAME"]


def disturb(story: Story) -> None:
    """Each disturbance to another running job, where it hits a cell in the middle."""
    slow = {cell.key for cell in story.cells("healthy") if cell.params.get("epochs") == SLOW["epochs"]}

    def victim(node: str | None = None) -> tuple[int, str, str]:
        def find() -> tuple[int, str, str] | None:
            found = [one for one in running(story, slow) if node in (None, one[2])]
            return next((one for one in found if one[1] not in story.happened.values()), None)

        chosen: tuple[int, str, str] = eventually("a slow cell runs", find)
        return chosen

    pid, job, _ = victim()
    os.kill(pid, signal.SIGKILL)
    story.happened["killed worker"] = job
    _, job, _ = victim()
    story.slurm("scancel", job)
    story.happened["cancelled"] = job
    _, job, _ = victim()
    story.slurm("scontrol", "requeue", job)
    story.happened["requeued"] = job
    _, job, node = victim()
    story.slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    story.happened["node down"] = job
    time.sleep(1)
    story.slurm("scontrol", "update", f"nodename={node}", "state=resume")


@pytest.fixture(scope="module")
def story(devcluster: DevCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    load_plugin_file(TOY)
    load_plugin_file(SICK)
    folder = tmp_path_factory.mktemp("story")
    told = Story(folder, {**os.environ, **devcluster.environment, "OMP_NUM_THREADS": "1"})
    (folder / "profile.yaml").write_text(PROFILE)
    (folder / "unportable.yaml").write_text(PROFILE + "setup: [export SICK_PLUGIN_CANNOT_LOAD=1]\n")
    (folder / "short.yaml").write_text(PROFILE.replace("wall_minutes: 30", "wall_minutes: 1"))
    (folder / "small.yaml").write_text(PROFILE.replace("pack_minutes: 0.5", "pack_minutes: 0.1"))
    sweeps = {"healthy": HEALTHY, "long": LONG, "family": FAMILY}
    sweeps["sick"] = {"methods": [method for name, method in SICK_METHODS.items() if name != "cannot load"]}
    sweeps["unloaded"] = {"methods": [SICK_METHODS["cannot load"], "toy_erm"]}
    for name, content in sweeps.items():
        (folder / f"{name}.yaml").write_text(json.dumps({"tasks": ["toy"], "protocol": "smoke", "seeds": 1, **content}))
    told.submit("long", "short")
    told.submit("healthy")
    told.submit("family", "small")
    told.submit("sick", plugins=(TOY, SICK))
    told.submit("unloaded", "unportable", plugins=(TOY, SICK))
    disturb(told)
    reference = told.run_locally()
    eventually("the queue is empty", lambda: not told.queued(), 300)
    told.submit("healthy")
    eventually("the queue is empty", lambda: not told.queued(), 120)
    assert reference.wait(300) == 0
    try:
        yield told
    finally:
        for job in told.queued():
            told.slurm("scancel", job)


def test_all_disturbances_hit_different_jobs(story: Story) -> None:
    assert len(set(story.happened.values())) == 4


def test_the_sweep_is_complete_and_equals_a_local_run(story: Story) -> None:
    found, expected = story.records("healthy"), story.records("healthy", story.folder / "reference")
    assert len(found) == 60
    for key, record in found.items():
        assert record is not None
        assert record.status == "done"
        other = expected[key]
        assert other is not None
        assert record.comparable() == other.comparable()


def test_a_cell_whose_job_ran_out_of_time_went_on_and_equals_one_that_ran_through(story: Story) -> None:
    ((key, record),) = story.records("long").items()
    assert record is not None
    assert record.resources.resumed
    other = story.records("long", story.folder / "reference")[key]
    assert other is not None
    assert not other.resources.resumed
    assert record.comparable() == other.comparable()
    assert "Requeued job" in story.command("logs", key, "--results", story.results, "--lines", 1000)


def test_arrays_stay_below_the_limit_and_cells_share_jobs(story: Story, devcluster: DevCluster) -> None:
    first = next(sent for sent in read_submissions(story.results) if sent.sweep == "healthy")
    jobs = [str(pack.job) for pack in first.packs]
    indices = [int(job.partition("_")[2]) for job in jobs]
    assert max(indices) < devcluster.settings.max_array_size
    assert len({job.partition("_")[0] for job in jobs}) > 1
    assert len(jobs) == len(set(jobs))
    assert all(len(pack.cells) >= 4 for pack in first.packs)


def test_a_job_whose_cells_start_from_anothers_waits_for_it(story: Story) -> None:
    (sent,) = [sent for sent in read_submissions(story.results) if sent.sweep == "family"]
    (tune,) = story.cells("family")
    start, further = sent.packs
    assert further.cells == (tune.key,)
    assert start.cells == tuple(tune.upstream.values())
    folder = story.results / "submissions" / sent.id / "jobs"
    first, second = ((folder / f"{pack.job}_0_log.out").read_text() for pack in (start, further))
    times = [re.findall(r"INFO \((.*?)\)", log) for log in (first, second)]
    assert times[0][-1] <= times[1][0]
    assert Store(story.results).state(tune.key) == "done"


def test_submitting_again_sent_only_what_the_cancelled_job_had_left(story: Story) -> None:
    first, second = [sent for sent in read_submissions(story.results) if sent.sweep == "healthy"]
    cancelled = next(pack for pack in first.packs if pack.job == story.happened["cancelled"])
    sent = {key for pack in second.packs for key in pack.cells}
    assert sent
    assert sent <= set(cancelled.cells)


def test_no_cell_is_done_twice(story: Story) -> None:
    lines = [line for log in story.results.glob("submissions/*/jobs/*.out") for line in log.read_text().splitlines()]
    done = [line.split(" - done ", 1)[1].split()[0] for line in lines if " - done " in line]
    healthy = [key for key in done if key in story.records("healthy")]
    assert sorted(healthy) == sorted(story.records("healthy"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "error: RuntimeError: as told: a failure"),
        ("kills", "poisoned: 3 workers died with this cell, the last one: killed by SIGKILL"),
        ("diverges", "diverged: "),
        ("eats", "poisoned: 3 workers died with this cell, the last one: out of memory: it held "),
    ],
)
def test_a_sick_cell_is_a_failed_record_with_its_reason(story: Story, name: str, reason: str) -> None:
    method = SICK_METHODS[name]
    params = method.get("params", {})
    cells = [c for c in story.cells("sick") if c.method == method["name"] and params.items() <= c.params.items()]
    (cell,) = cells
    record = Store(story.results).read(cell.key)
    assert record is not None
    assert record.failure is not None
    assert record.failure.reason.startswith(reason)


def test_a_plugin_that_cannot_be_loaded_fails_its_own_cells_only(story: Story) -> None:
    by_method = {record.cell.method: record for record in story.records("unloaded").values() if record is not None}
    assert by_method["toy_erm"].status == "done"
    failure = by_method["unportable"].failure
    assert failure is not None
    assert failure.reason.startswith("plugin broken: ")
    assert "libsick.so" in failure.reason


def test_status_tells_reasons_and_counts(story: Story) -> None:
    answer = json.loads(story.command("status", "--results", story.results, "--plugin", TOY, "--json"))
    assert sum(row.get("done", 0) for row in answer["cells"]) == 62
    assert len(answer["failed"]) == 5
    assert answer["queue"] == []
    assert answer["ended"] == []
    assert len(answer["codes"]) == 1


def test_cells_can_be_submitted_cancelled_and_retried(story: Story) -> None:
    key = next(key for key, r in story.records("sick").items() if r and r.failure and "as told" in r.failure.reason)
    assert story.submit("sick", plugins=(TOY, SICK))["jobs"] == []
    story.command("retry", key, "--results", story.results)
    answer = story.submit("sick", plugins=(TOY, SICK))
    assert answer["cells"] == 1
    assert story.submit("sick", plugins=(TOY, SICK))["queued"] == [key]
    assert f"cancelled {len(answer['jobs'])} jobs" in story.command("cancel", "sick", "--results", story.results)
    eventually("the queue is empty", lambda: not story.queued())
    assert Store(story.results).state(key) in ("missing", "failed")
