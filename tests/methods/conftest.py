"""A toy biased task for tests of methods: four noisy patterns whose colour gives the class away.

``toy_run(supervision, …)`` makes the handle that a method is run on, ``toy_vanilla(…)`` the artifact of a vanilla
network trained on the same data, and ``toy_test(…)`` the unbiased test split, which methods never see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Checkpoint
from benchmark.data import Data
from benchmark.method import Supervision
from benchmark.protocol import Protocol
from benchmark.randomness import isolated, numpy_stream
from benchmark.run import Precision, Problem, Run
from benchmark.task import Backbone, Bias, Inputs, Recipe, Split
from benchmark.training import fit

CLASSES = 4
INPUTS = Inputs((3, 8, 8))
RECIPE = Recipe("adam", learning_rate=3e-3, batch_size=100, epochs=10)
FULL = Protocol("full", 1.0, None, None, None, candidates=3)
COLOURS = np.array([[255, 60, 60], [60, 255, 60], [60, 60, 255], [220, 220, 60]])
CPU = torch.device("cpu")

ToyRun = Callable[..., Run]
ToyVanilla = Callable[..., Artifact]
ToyTest = Callable[..., Data]


BACKBONE = Backbone("tasks.backbones.mlp:mlp", {"widths": [24, 24]})


def toy_biases(count: int) -> tuple[Bias, ...]:
    """One bias: the colour. Two: the colours of the left and of the right half."""
    names = ("colour",) if count == 1 else ("left colour", "right colour")
    return tuple(Bias(name, CLASSES, tuple(range(CLASSES))) for name in names)


def toy_split(name: str, rho: float, samples: int, biases: int, seed: int) -> Split:
    """Patterns with a fifth of their pixels flipped, in the colours of their bias labels."""
    draw = numpy_stream("toy", name, rho, seed)
    y = draw.integers(CLASSES, size=samples)
    other = (y[:, None] + draw.integers(1, CLASSES, size=(samples, biases))) % CLASSES
    b = np.where(draw.random((samples, biases)) < rho, y[:, None], other)
    rows, columns = np.mgrid[:8, :8]
    patterns = np.stack(
        [rows < 4, columns < 4, (rows + columns) % 2 == 0, (rows - 3.5) ** 2 + (columns - 3.5) ** 2 < 8]
    )
    shape = patterns[y] ^ (draw.random((samples, 8, 8)) < 0.2)
    half = np.arange(8) * biases // 8
    colour = COLOURS[b][:, half].transpose(0, 2, 1)[:, :, None, :]
    x = np.where(shape[:, None], colour, 40) + draw.integers(-60, 61, size=(samples, 3, 8, 8))
    return Split(np.clip(x, 0, 255).astype(np.uint8), y, b)


def toy_handle(
    folder: Path,
    supervision: Supervision,
    *,
    rho: float | None = 0.95,
    level: float = 0.95,
    samples: int = 1000,
    unbiased: int = 1000,
    biases: int = 1,
    seed: int = 0,
    recipe: Recipe = RECIPE,
    protocol: Protocol = FULL,
    backbone: Backbone = BACKBONE,
    upstream: Mapping[str, Artifact] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    precision: Precision = "fp32",
    report: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> Run:
    """A run on the toy task; ``level`` is how biased the data are, ``rho`` what the method is told of it."""
    declared = supervision.bias_labels or supervision.unbiased_split
    problem = Problem(
        classes=CLASSES,
        biases=toy_biases(biases) if declared else (),
        rho=rho if supervision.bias_labels else None,
        inputs=INPUTS,
        backbone=backbone,
        reference=recipe,
        protocol=protocol,
    )
    train = toy_split("train", level, samples, biases, seed)
    held_out = toy_split("unbiased", 1 / CLASSES, unbiased, biases, seed)
    return Run(
        problem=problem,
        train=Data(train, INPUTS, CPU, with_bias=supervision.bias_labels),
        unbiased=Data(held_out, INPUTS, CPU, with_bias=True) if supervision.unbiased_split else None,
        upstream=upstream or {},
        checkpoint=Checkpoint(folder / "checkpoint.pt", should_stop=should_stop),
        spool=folder / "candidates",
        streams=("toy", level, seed),
        device=CPU,
        precision=precision,
        report=report,
    )


@cache
def trained_vanilla(folder: Path, level: float, biases: int, seed: int) -> Artifact:
    run = toy_handle(folder / f"{level} {biases} {seed}", Supervision(), level=level, biases=biases, seed=seed)
    network = run.network()
    with isolated("toy vanilla"):
        fit(run, network, run.train, RECIPE)
    return Artifact("vanilla", {name: tensor.detach().clone() for name, tensor in network.state_dict().items()})


@pytest.fixture
def toy_run(tmp_path: Path) -> ToyRun:
    """``toy_run(supervision, …)``: see :func:`toy_handle`. Runs in one ``folder`` share their checkpoint."""

    def make(supervision: Supervision, *, folder: str = "cell", **options: object) -> Run:
        return toy_handle(tmp_path / folder, supervision, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def toy_vanilla(tmp_path_factory: pytest.TempPathFactory) -> ToyVanilla:
    """``toy_vanilla(level=0.95, biases=1, seed=0)``: the artifact of a vanilla network, trained once a session."""
    folder = tmp_path_factory.mktemp("vanilla")

    def make(*, level: float = 0.95, biases: int = 1, seed: int = 0) -> Artifact:
        return trained_vanilla(folder, level, biases, seed)

    return make


@pytest.fixture(scope="session")
def toy_test() -> ToyTest:
    """``toy_test(biases=1, seed=0)``: unbiased test data with its bias labels."""

    def make(*, samples: int = 2000, biases: int = 1, seed: int = 0) -> Data:
        return Data(toy_split("test", 1 / CLASSES, samples, biases, seed), INPUTS, CPU, with_bias=True)

    return make
