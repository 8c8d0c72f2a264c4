"""The profiler of cells: what it counts where; nothing here depends on how fast the machine is."""

from __future__ import annotations

import ast
import itertools
import json
from pathlib import Path

import pytest

from tests.performance import profiles
from tests.performance.measure import DOCUMENT, ROOT
from tests.performance.profiles import KINDS, STEP, WHOLE, kind_of, sampled, shares

FIT = ("/any/benchmark/training.py", "fit")
LINEAR = ("/any/torch/nn/modules/linear.py", "forward")


@pytest.mark.parametrize(
    ("stack", "kind"),
    [
        ([("/any/benchmark/data.py", "_batch"), FIT], "gather"),
        ([LINEAR, FIT], "forward"),
        ([("/any/methods/shared/gates.py", "backward"), ("/any/torch/_tensor.py", "backward"), FIT], "backward"),
        ([("/any/torch/optim/adam.py", "step"), FIT], "optimiser"),
        ([LINEAR, ("/any/benchmark/evaluate.py", "predictions")], "evaluation"),
        ([("/any/torch/optim/sgd.py", "step"), ("/any/methods/shared/bias_head.py", "train_epoch")], "heads"),
        ([LINEAR, ("/any/benchmark/cost.py", "measure_cost")], "cost"),
        ([("/any/torch/serialization.py", "save"), ("/any/benchmark/run.py", "offer"), FIT], "storage"),
        ([("/any/numpy/core.py", "where"), ("/any/tasks/digits.py", "split")], "splits"),
        ([("/any/benchmark/runner.py", "run_cell")], "rest"),
    ],
)
def test_a_sample_counts_for_what_the_time_was_spent_on(stack: list[tuple[str, str]], kind: str) -> None:
    assert kind_of((*stack, ("/any/benchmark/worker.py", "_run"))) == kind


def test_shares_add_up_to_one_and_weigh_samples() -> None:
    found = shares({(FIT,): 3, (("/any/benchmark/data.py", "_batch"), FIT): 1, (("/any/other.py", "f"),): 4})
    assert list(found) == list(KINDS)
    assert sum(found.values()) == 1
    assert (found["forward"], found["gather"], found["rest"]) == (3 / 8, 1 / 8, 4 / 8)


def test_functions_that_decide_exist() -> None:
    places = itertools.chain.from_iterable([*WHOLE.values(), *STEP.values()])
    own = [(file, name) for file, name in places if not file.startswith(("/", "torch/"))]
    assert len(own) > 10
    for file, name in own:
        defined = {n.name for n in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(n, ast.FunctionDef)}
        assert name in ("*", *defined), f"{file} has no {name}"


def test_samples_are_as_many_as_ticks_of_processor_time_also_where_calls_of_c_hold_signals_back() -> None:
    def work() -> None:
        for _ in range(10):
            sum(range(2_000_000))  # one call of C, longer than a tick

    spent, stacks = sampled(work)
    inside = sum(count for stack, count in stacks.items() if stack[0][1] == "work")
    assert inside / sum(stacks.values()) > 0.75  # one of the ten calls may end outside
    assert 0.5 < sum(stacks.values()) * profiles.TICK / spent < 1.5


def test_a_cell_is_profiled_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MOST_RUNS", 2)
    seconds, stacks = profiles.profile("vanilla", tmp_path, protocol="smoke")
    assert seconds > 0
    assert {function for stack in stacks for _, function in stack} >= {"run_cell"}


def test_the_table_in_the_documentation_is_that_of_the_kept_profiles() -> None:
    kept = json.loads(profiles.RESULTS.read_text())
    assert list(kept["cells"]) == list(profiles.CELLS)
    text = DOCUMENT.read_text()
    assert text.split(profiles.BEGIN)[1].split(profiles.END)[0].strip() == profiles.table(kept)
