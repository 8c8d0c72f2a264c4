"""The benchmark suite itself works; nothing here depends on how fast the machine is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.training import fit
from tests.performance import gpu, measure
from tests.performance.cells import no_op_cell
from tests.performance.folder_of_records import fill, write_sweep
from tests.performance.growth import exponent
from tests.performance.measure import ROOT, Figure, Measured, interleaved, ratio, take, write_results
from tests.performance.steps import ADAM, MLP, loaded, make_run


def test_sides_take_turns_and_the_ratio_is_the_median_over_pairs() -> None:
    clock, seen = [0.0], []

    def side(name: str, *seconds: float) -> Any:
        left = list(seconds)

        def work() -> None:
            seen.append(name)
            clock[0] += left.pop(0)

        return work

    sides = {"a": side("a", 9, 2, 20, 4), "b": side("b", 9, 1, 5, 2)}
    times = interleaved(sides, 3, clock=lambda: clock[0])
    assert times == {"a": [2, 20, 4], "b": [1, 5, 2]}
    assert seen == ["a", "b", "b", "a"] * 2 or seen == ["b", "a", "a", "b"] * 2
    assert ratio(times["a"], times["b"]) == 2


def test_results_are_kept_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {
        "quick": Figure("quick", "a ratio", 1.03, "x", "less", lambda: Measured(1.01234, {"a s": 2.0})),
        "slow": Figure("slow", "another", 10, "x", "more", lambda: Measured(2)),
        "told": Figure("told", "no target", None, "s", "less", lambda: Measured(5)),
    }
    monkeypatch.setattr(measure, "FIGURES", figures)
    results = {name: take(one) for name, one in figures.items()}
    assert [result.met for result in results.values()] == [True, False, None]
    path = tmp_path / "results.json"
    write_results({"slow": results["slow"]}, path)
    write_results({"quick": results["quick"]}, path)
    kept = json.loads(path.read_text())
    assert list(kept["figures"]) == ["quick", "slow"]
    assert (kept["figures"]["quick"]["value"], kept["figures"]["quick"]["parts"]) == (1.01, {"a s": 2.0})
    assert {"hardware", "libraries", "code"} <= set(kept["machine"])
    lines = measure.table(results, {"quick": 2.02}).splitlines()[2:]
    assert ["0.50x" in lines[0], "NO" in lines[1], "NO" in lines[2]] == [True, True, False]


def test_every_figure_has_its_place_in_the_documentation() -> None:
    command = [sys.executable, "-m", "tests.performance", "--list"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    text = (ROOT / "docs" / "performance.md").read_text()
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in text] == []
    assert set(json.loads(measure.RESULTS.read_text())["figures"]) <= set(names)


def test_the_table_in_the_documentation_is_that_of_the_kept_results() -> None:
    command = "from tests.performance import __main__ as main; main.register(); print(main.kept_table())"
    shown = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, check=True, text=True)
    text = measure.DOCUMENT.read_text()
    assert text.split(measure.BEGIN)[1].split(measure.END)[0].strip() == shown.stdout.strip()


def test_the_folder_of_records_is_one_that_commands_read(tmp_path: Path) -> None:
    from benchmark.aggregate import aggregate
    from benchmark.store import Store

    cells = fill(tmp_path / "results", write_sweep(tmp_path / "many.yaml", 30), candidates=2)
    collected = aggregate(Store(tmp_path / "results"))
    assert collected.damaged == ()
    assert collected.statuses == {"done": cells}


def test_trivial_cells_are_timed() -> None:
    found = no_op_cell(5)
    assert found.value == found.parts["wall ms"] > 0


def test_the_exponent_is_that_of_the_larger_sizes() -> None:
    assert exponent([1, 10, 100, 1000], [5, 5, 1e4, 1e6]) == pytest.approx(2)


@pytest.mark.parametrize("variant", gpu.EAGER, ids=lambda variant: variant.name)
def test_the_steps_that_are_timed_on_a_gpu_are_those_of_the_harness(variant: gpu.Variant) -> None:
    data = loaded(64)
    network, step = gpu.stepper(data, MLP, 32, variant)
    run = make_run(data, MLP, gpu.replace(ADAM, batch_size=32), precision="bf16" if variant.bf16 else "fp32")
    expected = run.network()
    order = torch.randperm(64, generator=run.stream("order", "training"))
    fit(run, expected, data, gpu.replace(ADAM, batch_size=32))
    for index in order.split(32):
        step(index)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))


class Reads(TorchDispatchMode):  # type: ignore[misc]
    """Counts how often the host waits for a value of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
        return func(*args, **(kwargs or {}))


def test_an_epoch_waits_for_the_device_as_often_whatever_its_length() -> None:
    counts = []
    for steps in (2, 9):
        data = loaded(64 * steps)
        run = make_run(data, MLP, ADAM)
        with Reads() as reads:
            fit(run, run.network(), data, ADAM)
        counts.append(reads.count)
    assert counts[0] == counts[1] <= 2
