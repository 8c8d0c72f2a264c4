"""On a CUDA device: every method on every kind of network, and the promises that a CPU keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import accelerator
from benchmark.cell import Cell
from benchmark.cost import measure_latency
from benchmark.executor import Event
from benchmark.network import build_network
from benchmark.record import Record
from benchmark.registry import METHODS
from benchmark.store import Store
from benchmark.task import Backbone, Inputs
from benchmark.worker import Worker
from tests.tasks.layouts import civil_comments, comments

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

EMBEDDED = {"source": "embedded"}
NETWORKS: dict[str, dict[str, Any]] = {
    "MLP": {"name": "colored_mnist", "rho": [0.95], "params": EMBEDDED},
    "MLP, two biases": {"name": "multi_color_mnist", "params": EMBEDDED},
    "conv net": {"name": "biased_mnist", "rho": [0.99], "params": EMBEDDED},
}
MODELS = {
    "conv net": (Backbone("tasks.backbones.convnet:simple_convnet", layout="channels_last"), 28),
    "ResNet-18": (Backbone("tasks.backbones.resnet:resnet18", layout="channels_last"), 32),
    "MLP": (Backbone("tasks.backbones.mlp:mlp", {"widths": [100, 100]}), 28),
}
QUICK_BISE = {"name": "bise", "params": {"tau_start": 0.1, "tau_factor": 0.03, "period": 1}}
"""Two temperatures of one epoch each."""

RunCells = Callable[..., list[Event]]
Records = Callable[[Path], dict[str, Record]]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a cell asks of torch for a GPU does not reach the tests after it."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture(params=[*NETWORKS, "BERT"])
def task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A task of a sweep, for each kind of network."""
    if request.param != "BERT":
        return NETWORKS[request.param]
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))
    civil_comments(tmp_path, comments(4))
    bert = request.getfixturevalue("tiny_bert")
    return {"name": "civil_comments", "params": {"backbone": str(bert), "max_length": 12}}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_method_gives_the_same_record_twice(
    cells_of: Callable[..., list[Cell]],
    run_cells: RunCells,
    records: Records,
    tmp_path: Path,
    task: dict[str, Any],
    precision: str,
) -> None:
    """Once in this process, once in two that share the GPU."""
    methods = [name for name in METHODS.names() if not name.startswith("toy_")]
    cells = cells_of(*methods, tasks=[task], precision=precision)
    for jobs in (0, 2):
        events = run_cells(cells, tmp_path / str(jobs), jobs, device="cuda")
        assert {event.kind for event in events} == {"done"}
    first, second = records(tmp_path / "0"), records(tmp_path / "2")
    assert {cell.key for cell in cells} <= set(first)
    assert first.keys() == second.keys()
    for key, record in first.items():
        assert record.comparable() == second[key].comparable(), record.cell.title
        assert record.environment["device"] == "cuda"
        assert record.environment["hardware"] == torch.cuda.get_device_name(0)
        assert 1e6 < (record.resources.peak_gpu_memory_bytes or 0) < torch.cuda.mem_get_info()[1]


def test_an_interrupted_cell_goes_on_as_if_it_had_not_been(
    cells_of: Callable[..., list[Cell]], records: Records, toy_plugin: Path, tmp_path: Path
) -> None:
    (cell,) = cells_of("vanilla", tasks=[NETWORKS["conv net"]])
    whole = Worker(Store(tmp_path / "whole"), tmp_path, device="cuda")
    assert whole.attempt(cell) == "done"
    parts = Worker(Store(tmp_path / "parts"), tmp_path, device="cuda")
    asked = iter(range(1_000_000))
    stopping = dataclasses.replace(parts, should_stop=lambda: next(asked) >= 2)
    assert stopping.attempt(cell) == "interrupted"
    assert parts.attempt(cell) == "done"
    found, expected = records(tmp_path / "parts")[cell.key], records(tmp_path / "whole")[cell.key]
    assert found.resources.resumed
    assert found.comparable() == expected.comparable()


@pytest.mark.parametrize(("first", "second"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_cell_starts_from_an_artifact_that_the_other_device_made(
    cells_of: Callable[..., list[Cell]],
    run_cells: RunCells,
    records: Records,
    tmp_path: Path,
    first: str,
    second: str,
) -> None:
    vanilla, bise = cells_of("vanilla", QUICK_BISE, tasks=[NETWORKS["conv net"]])
    results = tmp_path / "results"
    run_cells([vanilla], results, device=first)
    run_cells([bise], results, device=second)
    found = records(results)
    assert len(found) == 2
    assert {record.status for record in found.values()} == {"done"}
    assert found[vanilla.key].environment["device"] == first
    assert found[bise.key].environment["device"] == second


def test_a_gpu_learns_what_a_cpu_learns(
    cells_of: Callable[..., list[Cell]], run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    """Initial weights, order and colours are those of the CPU; sums differ in their last digits only."""
    cells = cells_of("vanilla", tasks=[NETWORKS["MLP"]])
    for device in ("cpu", "cuda"):
        run_cells(cells, tmp_path / device, device=device)
    cpu, gpu = (next(iter(records(tmp_path / device).values())) for device in ("cpu", "cuda"))
    assert [candidate.label for candidate in cpu.candidates] == [candidate.label for candidate in gpu.candidates]
    for split, packed in cpu.counts.items():
        one, other = packed.unpack().astype(int), gpu.counts[split].unpack().astype(int)
        assert abs(one - other).sum() / 2 <= 0.01 * one.sum(), split


@pytest.mark.parametrize("name", MODELS)
def test_products_of_fp32_are_not_rounded(name: str) -> None:
    """Against float64 on the CPU; TF32 would be wrong in the fourth digit."""
    backbone, size = MODELS[name]
    accelerator.prepare("cuda")
    network = build_network(backbone, Inputs((3, size, size)), 10, "precision").eval()
    x = torch.rand(16, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = network.double()(x.double())
        found = network.float().to("cuda")(x.to("cuda")).cpu().double()
    assert ((found - exact).norm() / exact.norm()).item() < 1e-5


def test_too_little_memory_fails_the_cell_and_not_the_next(
    cells_of: Callable[..., list[Cell]], run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    cells = cells_of({"name": "toy_bad", "params": {"how": "memory"}}, "vanilla")
    assert {event.kind for event in run_cells(cells, tmp_path / "results", 1, device="cuda")} == {"failed", "done"}
    found = records(tmp_path / "results")
    failure = found[cells[0].key].failure
    assert failure is not None
    assert failure.reason.startswith("out of memory: CUDA out of memory")
    assert found[cells[1].key].status == "done"


def test_diagnostics_and_latency_are_measured(
    cells_of: Callable[..., list[Cell]], run_cells: RunCells, records: Records, tmp_path: Path
) -> None:
    names = ["decodability", "gradcam", "latency", "pruned"]
    cells = cells_of(QUICK_BISE, tasks=[NETWORKS["conv net"]], diagnostics=names)
    run_cells(cells, tmp_path / "results", device="cuda")
    assert set(records(tmp_path / "results")[cells[0].key].diagnostics) == set(names)
    backbone, size = MODELS["conv net"]
    network = build_network(backbone, Inputs((3, size, size)), 10, "latency").to("cuda")
    seconds = measure_latency(network, torch.zeros(1, 3, size, size, device="cuda"))
    assert 0 < seconds[1] < seconds[128] * 10
