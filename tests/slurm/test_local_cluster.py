"""The commands, from submit to the last record, on processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmark.claims import Claims
from benchmark.processes import born, parent
from benchmark.store import Store
from benchmark.sweep import expand, read_sweep
from benchmark.tuning.journal import Journal
from slurm.queued import live_packs
from slurm.submission import read_submissions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from benchmark.cli import main; main()"]


@dataclass
class Here:
    """A folder with sweeps, a profile and results, and the commands."""

    folder: Path
    plugin: Path

    @property
    def store(self) -> Store:
        return Store(self.folder / "results")

    def start(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "DEBIAS_BENCH_RESULTS": str(self.folder / "results")}
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def __call__(self, *arguments: object) -> str:
        done = self.start(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sweep(self, name: str, *methods: Any, seeds: int = 1, **settings: Any) -> Path:
        path = self.folder / f"{name}.yaml"
        content = {"tasks": ["toy"], "methods": methods, "protocol": "smoke", "seeds": seeds, **settings}
        path.write_text(json.dumps(content))
        return path

    def submit(self, sweep: Path, profile: str = "{}") -> dict[str, Any]:
        (self.folder / "profile.yaml").write_text(profile)
        where = ("--profile", self.folder / "profile.yaml", "--cluster", "local", "--plugin", self.plugin)
        answer: dict[str, Any] = json.loads(self("submit", sweep, *where, "--json"))
        return answer

    def states(self, sweep: Path) -> list[str]:
        return [self.store.state(cell.key) for cell in expand(read_sweep(sweep), self.folder).cells]

    def is_over(self) -> bool:
        return not live_packs(read_submissions(self.folder / "results"))

    def runs(self) -> bool:
        return any(Claims(self.folder / "results" / "claims").living())

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self("status", "--plugin", self.plugin, "--json"))
        return answer


@pytest.fixture
def here(toy_plugin: Path, tmp_path: Path) -> Iterator[Here]:
    made = Here(tmp_path, toy_plugin)
    yield made
    if (tmp_path / "results" / "submissions").exists():
        made("cancel")


def eventually(check: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)
    return found


def children(pid: int) -> list[int]:
    return [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and parent(int(entry.name)) == pid
    ]


def descendants(pid: int) -> set[int]:
    found = set(children(pid))
    return found | {below for child in found for below in descendants(child)}


def test_submit_leaves_at_once_and_its_jobs_finish_the_sweep(here: Here) -> None:
    sweep = here.sweep("mixed", "toy_tune", {"name": "toy_bad", "params": {"how": "kill"}}, seeds=2)
    answer = here.submit(sweep, "{cells_at_once: 2, max_running: 1}")
    assert here.submit(sweep)["jobs"] == []
    queue = here.status()["queue"]
    assert [one["job"] for one in queue] == answer["jobs"]
    eventually(here.is_over)
    assert here.states(sweep) == ["done"] * 2 + ["failed"] * 2
    found = here.status()
    assert found["ended"] == []
    assert {one["reason"] for one in found["failed"]} == {
        "poisoned: 3 workers died with this cell, the last one: killed by SIGKILL"
    }
    log = here("logs", found["failed"][0]["key"])
    assert f"failed {found['failed'][0]['key']}" in log
    assert here.submit(sweep)["cells"] == 0
    here("retry", "--reason", "poisoned")
    assert here.states(sweep) == ["done"] * 2 + ["missing"] * 2


def test_a_warned_job_goes_on_and_the_cell_equals_one_that_ran_through(here: Here) -> None:
    sweep = here.sweep("slow", {"name": "toy_erm", "params": {"epochs": 20, "pause": 0.2}})
    (controller,) = here.submit(sweep)["jobs"]
    eventually(here.runs)
    (job,) = children(int(controller))
    time.sleep(1)
    os.kill(job, signal.SIGUSR2)
    eventually(lambda: born(job) < 0)
    assert here.states(sweep) == ["missing"]
    eventually(here.is_over)
    (cell,) = expand(read_sweep(sweep), here.folder).cells
    resumed = here.store.read(cell.key)
    here("run", sweep, "--plugin", here.plugin, "--results", here.folder / "through")
    through = Store(here.folder / "through").read(cell.key)
    assert resumed is not None
    assert through is not None
    assert (resumed.resources.resumed, through.resources.resumed) == (True, False)
    assert resumed.comparable() == through.comparable()


def test_cancelled_jobs_leave_checkpoints_and_say_what_is_undone(here: Here) -> None:
    sweep = here.sweep("slow", {"name": "toy_erm", "params": {"epochs": 400, "pause": 0.2}})
    (controller,) = here.submit(sweep)["jobs"]
    eventually(here.runs)
    time.sleep(0.5)
    assert here("cancel", "slow.yaml") == "cancelled 1 jobs\n"
    eventually(lambda: born(int(controller)) < 0)
    (cell,) = expand(read_sweep(sweep), here.folder).cells
    assert here.store.checkpoint_path(cell.key).exists()
    assert here.status()["ended"] == [
        {"job": controller, "submission": here.status()["ended"][0]["submission"], "left": [cell.key]}
    ]
    assert "no job is queued or running" in here("cancel")
    refused = here.start("cancel", "slwo")
    assert refused.returncode != 0
    assert "unknown sweep or submission 'slwo'; did you mean 'slow'?" in refused.stderr


def test_jobs_run_the_code_and_the_plugin_that_were_submitted(here: Here, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    text = here.plugin.read_text().replace('name = "toy_groups"', 'name = "mine"').replace("fresh", "as submitted")
    plugin.write_text(text)
    here.plugin = plugin
    sweep = here.sweep("mine", "mine")
    here.submit(sweep)
    plugin.write_text("raise ImportError('edited meanwhile')")
    here.plugin = ROOT / "tests" / "benchmark" / "toy_plugin.py"
    eventually(here.is_over)
    ((key, _),) = here.store.finished_files()
    record = here.store.read(key)
    assert record is not None
    assert [candidate.label for candidate in record.candidates] == ["as submitted"]
    assert record.environment["code"] == next(iter(here.status()["codes"]))


def test_jobs_share_the_trials_of_a_tuning_and_then_run_the_seeds(here: Here) -> None:
    """Two jobs with two workers each; a worker is killed, and one job with all that it has."""
    tune = {"methods": {"toy_gamma": "default"}, "trials": 8, "pruner": "none"}
    method = {"name": "toy_gamma", "params": {"pause": 0.5}}
    sweep = here.sweep("tuned", method, seeds=2, tune=tune)
    first, second = here.submit(sweep, "{cells_at_once: 2, max_running: 2}")["jobs"]
    results = here.folder / "results"
    searched = expand(read_sweep(sweep), here.folder).finals[0].study
    trials, journal = Claims(results / "tuning" / "claims"), Journal(results)
    eventually(lambda: journal.tally(searched).finished >= 2)
    workers = eventually(lambda: {owner.pid for _, owner in trials.living()} & descendants(int(second)))
    os.kill(workers.pop(), signal.SIGKILL)
    for pid in (int(first), *descendants(int(first))):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert here.submit(sweep)["queued"] != []
    eventually(here.is_over)
    (study,) = here.status()["tuning"]
    assert (study["finished"], study["complete"], study["running"]) == (8, 8, 0)
    if here.status()["ended"]:  # the job that was killed had the cells of a seed
        here.submit(sweep, "{cells_at_once: 2, max_running: 2}")
        eventually(here.is_over)
    (counts,) = here.status()["cells"]
    assert counts["done"] == 2
    found = [here.store.read(key) for key, _ in here.store.finished_files()]
    notes = [record.cell.tuning for record in found if record is not None and record.cell.tuning is not None]
    assert sorted(note.number for note in notes if note.number is not None) == list(range(8))
    assert {note.values["gamma"] for note in notes if note.purpose == "result"} == {study["chosen"]["gamma"]}
    assert here.submit(sweep)["cells"] == 0
