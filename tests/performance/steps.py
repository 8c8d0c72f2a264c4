"""Training steps: through the harness, in a bare loop, from a DataLoader, in bf16; evaluation and memory of a cell."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmark.checkpoint import Checkpoint
from benchmark.data import MEMORY_FORMATS, Data
from benchmark.evaluate import predictions
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.run import Precision, Problem, Run
from benchmark.task import Backbone, Inputs, Layout, Recipe, Split
from benchmark.training import fit, make_optimizer
from tests.performance.measure import CPU, ROOT, WALL, Measured, NotHereError, figure, interleaved, ratio

MNIST = Inputs((3, 28, 28))
MLP = Backbone("tasks.backbones.mlp:mlp", {"widths": [100, 100, 100, 100]})
CONVNET = Backbone("tasks.backbones.convnet:simple_convnet", layout="channels_last")
RESNET = Backbone("tasks.backbones.resnet:resnet18", layout="channels_last")
WORK = tempfile.TemporaryDirectory(prefix="debias-bench-")
"""Of the cells of this process."""
ADAM = Recipe("adam", learning_rate=1e-3, weight_decay=1e-3, batch_size=64, epochs=1)


def images(samples: int, inputs: Inputs = MNIST, classes: int = 10) -> Split:
    """Noise around a picture of the class, so that there is something to learn."""
    draws = np.random.default_rng(0)
    y = draws.integers(0, classes, samples)
    means = draws.integers(0, 256, (classes, *inputs.shape)).astype(np.int16)
    x = np.empty((samples, *inputs.shape), np.uint8)
    for start in range(0, samples, 1000):
        part = slice(start, start + 1000)
        x[part] = np.clip(means[y[part]] + draws.integers(-128, 128, x[part].shape, dtype=np.int16), 0, 255)
    return Split(x, y, np.stack([y], 1))


def make_run(
    data: Data,
    backbone: Backbone,
    recipe: Recipe,
    *,
    precision: Precision = "fp32",
    protocol: Protocol = PROTOCOLS["paper"],
) -> Run:
    """A cell that only trains; no checkpoint comes due, and large candidates go to a temporary folder."""
    problem = Problem(10, (), None, data.inputs, backbone, recipe, protocol)
    return Run(
        problem=problem,
        train=data,
        unbiased=None,
        upstream={},
        checkpoint=Checkpoint(Path(WORK.name) / "checkpoint.pt", every=1e9),
        spool=Path(WORK.name) / "candidates",
        streams=("performance",),
        device=data.device,
        precision=precision,
        report=lambda phase, done, total: None,
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def loaded(samples: int, layout: Layout = "contiguous", inputs: Inputs = MNIST) -> Data:
    """:func:`images` on the CPU."""
    return Data(images(samples, inputs), inputs, torch.device("cpu"), layout, with_bias=False)


def through_harness(
    data: Data, backbone: Backbone, recipe: Recipe, precision: Precision = "fp32"
) -> Callable[[], None]:
    """One epoch of :func:`benchmark.training.fit`, as the vanilla method calls it."""
    run = make_run(data, backbone, recipe, precision=precision)
    network, count = run.network(), iter(range(10**9))
    return lambda: fit(run, network, data, recipe, phase=f"training {next(count)}")


def bare(data: Data, backbone: Backbone, recipe: Recipe) -> Callable[[], None]:
    """The same steps over the same tensors, and nothing else."""
    network = make_run(data, backbone, recipe).network()
    optimizer = make_optimizer(network.parameters(), recipe)
    memory_format, order = MEMORY_FORMATS[backbone.layout], torch.Generator().manual_seed(0)
    raw, y, size = data.x, data.y, recipe.batch_size

    def epoch() -> None:
        network.train()
        for index in torch.randperm(len(y), generator=order).split(size):
            x = raw.index_select(0, index).to(torch.float32).mul_(1 / 255).contiguous(memory_format=memory_format)
            loss = functional.cross_entropy(network(x), y.index_select(0, index))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch


def _step(backbone: Backbone, batch: int, steps: int, repeats: int) -> Measured:
    """Epochs of one long fit, what it does between two epochs included, in turns with epochs by hand."""
    recipe = replace(ADAM, batch_size=batch)
    data = loaded(batch * steps, backbone.layout)
    times: dict[str, list[float]] = {"harness": [], "bare": []}
    by_hand, run = bare(data, backbone, recipe), make_run(data, backbone, recipe)
    began = CPU()

    def between(epoch: int) -> None:
        nonlocal began
        ended = CPU()
        by_hand()
        if epoch > 1:
            times["harness"].append(ended - began)
            times["bare"].append(CPU() - ended)
        began = CPU()

    with threads(1):
        fit(run, run.network(), data, replace(recipe, epochs=repeats + 1), on_epoch=between)
    each = {f"{name} ms a step": 1e3 * statistics.median(took) / steps for name, took in times.items()}
    return Measured(ratio(times["harness"], times["bare"]), each)


def _register_steps() -> None:
    for name, backbone, batch, steps, repeats in (
        ("step_mlp_64", MLP, 64, 100, 15),
        ("step_mlp_256", MLP, 256, 50, 15),
        ("step_convnet", CONVNET, 16, 2, 7),
        ("step_resnet18", RESNET, 64, 2, 9),
    ):
        what = f"training step, harness / bare loop: {backbone.factory.partition(':')[2]}, batch {batch}"
        figure(name, what, 1.03, "x", "less")(
            lambda b=backbone, n=batch, s=steps, r=repeats: _step(b, n, s, r)  # type: ignore[misc]
        )


_register_steps()


@figure("dataloader", "torchvision and DataLoader with 2 workers / harness: MLP, batch 64", 10, "x", "more")
def dataloader() -> Measured:
    """The images as PNG files in a folder per class, as the authors of LfF and DFA hand them out and read them.

    Starting the workers is not counted. "in memory" is a torchvision data set over the arrays, as that of MNIST is.
    """
    from PIL import Image
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder, VisionDataset

    split, steps = images(3200), 50
    pictures = [Image.fromarray(x) for x in split.x.transpose(0, 2, 3, 1)]

    class InMemory(VisionDataset):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return self.transform(pictures[index]), int(split.y[index])

        def __len__(self) -> int:
            return len(split)

    def epochs_from(dataset: torch.utils.data.Dataset[Any]) -> Callable[[], None]:
        loader = DataLoader(dataset, 64, shuffle=True, num_workers=2, persistent_workers=True)
        network = make_run(data, MLP, ADAM).network()
        optimizer = make_optimizer(network.parameters(), ADAM)

        def epoch() -> None:
            for x, y in loader:
                loss = functional.cross_entropy(network(x), y)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()

        return epoch

    data = loaded(3200)
    with tempfile.TemporaryDirectory() as name, threads(1):
        for index, (picture, y) in enumerate(zip(pictures, split.y, strict=True)):
            path = Path(name) / str(y) / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            picture.save(path)
        sides = {
            "PNG files": epochs_from(ImageFolder(name, transforms.ToTensor())),
            "in memory": epochs_from(InMemory(root="", transform=transforms.ToTensor())),
            "harness": through_harness(data, MLP, ADAM),
        }
        times = interleaved(sides, 5, clock=WALL)
    each = {f"{name} ms a step": 1e3 * statistics.median(took) / steps for name, took in times.items()}
    in_memory = ratio(times["in memory"], times["harness"])
    return Measured(ratio(times["PNG files"], times["harness"]), {**each, "in memory x": in_memory})


@figure("bf16", "fp32 / bf16, training step of the simple conv net", 2.0, "x", "more")
def bf16() -> Measured:
    """Also the accuracies of two seeds after equal training in each precision, on unseen images of 8 pixels."""
    recipe = replace(ADAM, batch_size=32)
    data = loaded(64, "channels_last")
    with threads(1):
        sides = {
            kind: through_harness(data, CONVNET, recipe, precision=kind)  # type: ignore[arg-type]
            for kind in ("fp32", "bf16")
        }
        times = interleaved(sides, 3)
        accuracies = {f"accuracy {k}, seed {seed}": _accuracy(k, seed) for seed in range(2) for k in ("fp32", "bf16")}
    each = {f"{name} ms a step": 1e3 * statistics.median(took) / 2 for name, took in times.items()}
    return Measured(ratio(times["fp32"], times["bf16"]), each | accuracies)


def _accuracy(precision: Any, seed: int) -> float:
    recipe = replace(ADAM, batch_size=32, epochs=3)
    small = Inputs((3, 8, 8))
    split = images(1024, small)
    parts = [Split(split.x[at], split.y[at], split.b[at]) for at in (slice(512), slice(512, None))]
    data, unseen = (Data(part, small, torch.device("cpu"), "channels_last", with_bias=False) for part in parts)
    run = make_run(data, CONVNET, recipe, precision=precision)
    network = run.network(role=f"seed {seed}")
    fit(run, network, data, recipe)
    return float((predictions(network, unseen) == unseen.y).double().mean())


@figure("evaluation", "evaluation of candidates / training, per epoch: MLP, MNIST", 0.1, "x", "less")
def evaluation() -> Measured:
    """Protocol paper: 50,000 images train, 20,000 are scored for each of 20 candidates in 100 epochs."""
    data, scored = loaded(50_000), loaded(20_000)
    with threads(1):
        run = make_run(data, MLP, ADAM)
        network = run.network()
        sides: dict[str, Callable[[], object]] = {
            "training": through_harness(data, MLP, ADAM),
            "evaluation": lambda: predictions(network, scored),
        }
        times = interleaved(sides, 3)
    stride = 100 // PROTOCOLS["paper"].candidates
    each = {f"{name} s": statistics.median(took) for name, took in times.items()}
    return Measured(ratio(times["evaluation"], times["training"]) / stride, each)


CELL = """
import re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from benchmark.cell import make_cell
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.registry import TASKS
from benchmark.store import Store
from benchmark.worker import Worker
def peak():  # ru_maxrss begins at that of the parent
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
kind = TASKS.get("colored_mnist")
def run(source, protocol):
    cell = make_cell(kind(kind.Params(source=source)), 0.99, "vanilla", {"epochs": 1}, 0, protocol)
    assert Worker(Store(Path(sys.argv[3])), Path(sys.argv[2])).attempt(cell) == "done"
run("embedded", Protocol("tiny", 1.0, 1, 50, 50, candidates=1))
before = peak()
run("complete", Protocol("one epoch", 1.0, 1, None, None, candidates=1))
print(before, peak())
"""


@figure("memory", "memory of a cell on complete MNIST beyond torch itself / the uint8 data", 3.0, "x", "less")
def memory() -> Measured:
    """Peak of a process that trains one vanilla epoch, less its peak after a tiny cell."""
    given = os.environ.get("DEBIAS_BENCH_DATA")
    if given is None or not (Path(given) / "MNIST").is_dir():
        raise NotHereError("needs complete MNIST under DEBIAS_BENCH_DATA")
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, "-c", CELL, str(ROOT), given, results]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
    before, peak = map(int, done.stdout.split())
    data = (50_000 + 5_000 + 5_000 + 10_000) * 3 * 28 * 28
    return Measured((peak - before) / data, {"beyond MB": (peak - before) / 1e6, "data MB": data / 1e6})
