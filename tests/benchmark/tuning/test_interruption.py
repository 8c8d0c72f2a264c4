"""Whatever kills workers, a tuning ends with exactly its budget, and the seeds run with what it chose."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.claims import Claims
from benchmark.executor import Event
from benchmark.planner import make_plan
from benchmark.record import Record
from benchmark.store import Store
from benchmark.sweep import Expansion, expand, read_sweep
from benchmark.tuning.decision import read_decision
from benchmark.tuning.journal import Journal

Tuned = Callable[..., Expansion]
RunTuned = Callable[..., list[Event]]
Records = Callable[[Path], dict[str, Record]]
Start = Callable[..., subprocess.Popen[str]]


@pytest.mark.slow
def test_killed_at_random_moments_again_and_again(
    tuned: Tuned, run_tuned: RunTuned, records: Records, tmp_path: Path, start_command: Start
) -> None:
    log, results = tmp_path / "log", tmp_path / "results"
    methods = [{"name": "toy_gamma", "params": {"log": str(log), "pause": 0.02}}]
    expansion = tuned(sweep={"methods": methods, "seeds": 1}, trials=8, pruner="none")
    study, moments, kills = expansion.finals[0].study, random.Random(0), 0

    def begun() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    while read_decision(results, study) is None:
        known, quiet = len(begun()), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = start_command("run", tmp_path / "sweep.yaml", "--jobs", 0, "--results", results, **quiet)
        while process.poll() is None and len(begun()) == known:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.15) * 1.5**kills)  # more and more, for machines of any speed
        process.kill()
        kills += process.wait(60) == -signal.SIGKILL
    assert kills >= 1
    run_tuned(expansion, results)
    trials = [r.cell for r in records(results).values() if r.cell.tuning and r.cell.tuning.number is not None]
    assert sorted(cell.tuning.number for cell in trials if cell.tuning) == list(range(8))
    assert Journal(results).tally(study).complete == 8
    starts = Counter(line.split()[0] for line in begun())
    assert len(starts) == 8  # no value was proposed for a trial that another one had been given up for
    assert sum(starts.values()) - 8 - 1 <= kills


@pytest.mark.slow
class TestFourWorkers:
    """The methods that one tunes, on the digits, by the real command; one of its workers is killed."""

    @pytest.fixture
    def sweep(self, tmp_path: Path) -> Path:
        path = tmp_path / "digits.yaml"
        task = {"name": "colored_mnist", "rho": [0.95], "params": {"source": "embedded"}}
        methods = ["ffw_structured", {"name": "bise", "params": {"tau_stop": 0.1, "refine_epochs": 1}}]
        content = {"tasks": [task], "methods": methods, "seeds": 1, "protocol": "smoke"}
        tune = {"methods": {"ffw_structured": "default", "bise": "default"}, "trials": 10}
        path.write_text(json.dumps({**content, "tune": tune}))
        return path

    @pytest.fixture
    def ended(self, tmp_path: Path, sweep: Path, start_command: Start) -> tuple[Path, str]:
        """The results, and what the command printed."""
        results = tmp_path / "results"
        process = start_command("run", sweep, "--jobs", 4, "--results", results)
        expansion = expand(read_sweep(sweep), tmp_path)
        studies = {final.study.name: final.study for final in expansion.finals}.values()
        journal, claims = Journal(results), Claims(results / "tuning" / "claims")
        victim = None
        while victim is None:
            assert process.poll() is None, process.communicate()
            if sum(journal.tally(study).finished for study in studies) >= 2:
                victim = next((owner.pid for _, owner in claims.living()), None)
            time.sleep(0.05)
        os.kill(victim, signal.SIGKILL)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, out + err
        return results, out

    def test_twenty_trials_finish_each_once_and_the_seeds_run_with_the_choice(
        self, ended: tuple[Path, str], sweep: Path, records: Records
    ) -> None:
        results, out = ended
        assert "worker died (killed by SIGKILL) with trial of" in out
        expansion, store = expand(read_sweep(sweep), results), Store(results)
        plan = make_plan(expansion.cells, store, expansion.finals)
        assert plan.to_run == []
        assert [(state.tally.finished, state.tally.running) for state in plan.studies] == [(10, 0), (10, 0)]
        found = records(results)
        cells = [r.cell for r in found.values() if r.cell.tuning and r.cell.tuning.number is not None]
        numbers = Counter((cell.method, cell.tuning.number) for cell in cells if cell.tuning)
        assert numbers == {(method, n): 1 for method in ("ffw_structured", "bise") for n in range(10)}
        assert len({(cell.method, cell.params["gamma"]) for cell in cells}) == 20
        for state in plan.studies:
            assert state.decision is not None
            (cell,) = state.cells
            assert found[cell.key].status == "done"
            assert cell.params["gamma"] == state.decision.values["gamma"]
            note = found[cell.key].cell.tuning
            assert note is not None
            assert note.trials == 10
        data = {state.study.like.method: state.study.objective.name for state in plan.studies}
        assert data == {"ffw_structured": "unbiased_val", "bise": "balanced_val"}
