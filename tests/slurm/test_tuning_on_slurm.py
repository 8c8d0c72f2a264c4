"""The methods that one tunes, tuned by jobs of a real SLURM; a worker is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.claims import Claims
from benchmark.store import Store
from slurm.devcluster import DevCluster
from slurm.submission import read_submissions

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PROFILE = """
partition: debug
cpus: 1
memory_gb: 1.5
wall_minutes: 30
signal_seconds: 30
pack_minutes: 0.5
"""
SWEEP = {
    "tasks": [{"name": "colored_mnist", "rho": [0.95], "params": {"source": "embedded"}}],
    "methods": ["ffw_structured", {"name": "bise", "params": {"tau_stop": 0.1, "refine_epochs": 1}}],
    "seeds": 1,
    "protocol": "smoke",
    "tune": {"methods": {"ffw_structured": "default", "bise": "default"}, "trials": 10},
}


def eventually(what: str, check: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return found


def test_four_jobs_tune_two_methods_and_lose_a_worker(devcluster: DevCluster, tmp_path: Path) -> None:
    environment = {**os.environ, **devcluster.environment, "OMP_NUM_THREADS": "1"}
    results = tmp_path / "results"
    (tmp_path / "tuned.yaml").write_text(json.dumps(SWEEP))
    (tmp_path / "profile.yaml").write_text(PROFILE)

    def command(*arguments: object) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", "from benchmark.cli import main; main()", *map(str, arguments), "--json"],
            env={**environment, "DEBIAS_BENCH_RESULTS": str(results)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def queued() -> list[str]:
        return subprocess.run(
            ["squeue", "--noheader", "--array", "--format=%i"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    def submit() -> list[str]:
        jobs: list[str] = command("submit", tmp_path / "tuned.yaml", "--profile", tmp_path / "profile.yaml")["jobs"]
        return jobs

    trials = Claims(results / "tuning" / "claims")
    sent = submit()
    with_trials = [
        pack.job for pack in read_submissions(results)[0].packs if any(".trial" in key for key in pack.cells)
    ]
    assert len(with_trials) == 4
    assert len(sent) > 4  # starts go before them, seeds wait for them
    victim = eventually("a trial runs", lambda: [o.pid for _, o in trials.living() if o.is_known()])[0]
    os.kill(victim, signal.SIGKILL)
    assert submit() == []
    eventually("the queue is empty", lambda: not queued(), 300)
    status = command("status")
    assert [(s["finished"], s["running"], s["waiting"]) for s in status["tuning"]] == [(10, 0, 0), (10, 0, 0)]
    assert status["failed"] == []
    assert sum(row.get("done", 0) for row in status["cells"]) == 2
    store = Store(results)
    records = [store.read(key) for key, _ in store.record_files()]
    cells = [record.cell for record in records if record is not None and record.cell.tuning is not None]
    numbers = Counter((c.method, c.tuning.number) for c in cells if c.tuning and c.tuning.number is not None)
    assert numbers == {(method, number): 1 for method in ("ffw_structured", "bise") for number in range(10)}
    chosen = {study["method"]: study["chosen"]["gamma"] for study in status["tuning"]}
    assert {c.method: c.params["gamma"] for c in cells if c.tuning and c.tuning.purpose == "result"} == chosen
