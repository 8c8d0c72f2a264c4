"""What tasks say of their work, for guesses of time: against the networks and data that it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.cell import make_cell
from benchmark.cost import measure_cost
from benchmark.estimate import Estimates
from benchmark.network import build_network
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.registry import TASKS
from benchmark.task import Backbone, Inputs, Setting, Task
from tasks.photos import FolderTask
from tasks.texts import TextTask
from tasks.work import macs_of

PAPER = PROTOCOLS["paper"]


def task_of(name: str, **params: Any) -> Task:
    kind = TASKS.get(name)
    return kind(kind.Params(**params))


@pytest.mark.parametrize(
    ("backbone", "inputs"),
    [
        (Backbone("tasks.backbones.mlp:mlp", {"widths": [100, 100]}), Inputs((3, 28, 28))),
        (Backbone("tasks.backbones.convnet:simple_convnet"), Inputs((3, 28, 28))),
        (Backbone("tasks.backbones.resnet:resnet18"), Inputs((3, 32, 32))),
        (Backbone("tasks.backbones.resnet:resnet18"), Inputs((3, 224, 224))),
        (Backbone("tasks.backbones.efficientnet:efficientnet_lite0"), Inputs((3, 64, 64))),
        (Backbone("tasks.backbones.efficientnet:efficientnet_lite0"), Inputs((3, 224, 224))),
        (Backbone("tasks.backbones.bert:bert", {"model": "minilm", "weights": "none"}), Inputs((64,))),
    ],
    ids=lambda value: value.factory.partition(":")[2] if isinstance(value, Backbone) else str(value.shape[-1]),
)
def test_multiply_accumulates_are_those_that_torch_counts(backbone: Backbone, inputs: Inputs) -> None:
    network = build_network(backbone, inputs, 10, "work")
    sample = torch.zeros(1, *inputs.shape, dtype=torch.float32 if len(inputs.shape) == 3 else torch.int64)
    assert macs_of(backbone, inputs, 10) == pytest.approx(measure_cost(network, sample).macs, rel=0.1)


def test_nothing_is_said_of_networks_from_elsewhere() -> None:
    assert macs_of(Backbone("someones.package:network"), Inputs((3, 28, 28)), 10) is None


def test_all_tasks_say_what_there_is_to_compute() -> None:
    ours = {name: kind for name, kind in TASKS.load_all().items() if kind.__module__.startswith("tasks.")}
    works = {name: kind(kind.Params()).work() for name, kind in ours.items()}
    assert len(works) > 10
    assert [name for name, work in works.items() if work is None or work.samples < 1000 or work.macs < 1e5] == []


@pytest.mark.parametrize("name", ["colored_mnist", "multi_color_mnist", "biased_mnist"])
def test_digits_are_as_many_as_they_say(name: str) -> None:
    task = task_of(name, source="embedded")
    split = task.split("train", Setting(0.99, 0, PAPER, Path("unused")))
    work = task.work()
    assert work is not None
    assert work.samples == len(split)


@pytest.mark.parametrize(
    ("name", "rho"), [("bar", 1.0), ("utkface", 0.95), ("utkface_natural", None), ("hatexplain", None)]
)
def test_training_sets_are_about_as_large_as_they_say(data_root: Path, name: str, rho: float | None) -> None:
    task, setting = task_of(name), Setting(rho, 0, PAPER, data_root)
    work, rows = task.work(), np.zeros(0)
    if isinstance(task, FolderTask):
        rows = task.rows("train", setting, task.listing(setting))
    elif isinstance(task, TextTask):
        rows = task.rows("train", setting, task.corpus(setting))
    assert work is not None
    assert work.samples == pytest.approx(len(rows), rel=0.1)


@pytest.mark.parametrize(
    ("task", "method", "protocol", "minutes"),
    [
        (lambda: task_of("colored_mnist", source="complete"), "vanilla", "paper", 6),
        (lambda: task_of("colored_mnist", source="complete"), "bise", "paper", 13),
        (lambda: task_of("colored_mnist", source="complete"), "denetdm", "paper", 11),
        (lambda: task_of("multi_color_mnist", source="complete"), "ffw_structured", "paper", 0.5),
        (lambda: task_of("hatexplain"), "vanilla", "short", 13),
        (lambda: task_of("hatexplain"), "ffw_structured", "short", 17),
    ],
)
def test_guesses_are_within_a_factor_of_four_of_what_cells_took_on_a_core(
    task: Callable[[], Task], method: str, protocol: str, minutes: float
) -> None:
    """Minutes of cells on one core of an AMD EPYC; hatexplain in bf16."""
    asked = task()
    rho, precision = (0.99, "fp32") if asked.rhos else (None, "bf16")
    rules: Protocol = PROTOCOLS[protocol]
    cell = make_cell(asked, rho, method, {}, 0, rules, precision)  # type: ignore[arg-type]
    guess = Estimates([]).of(cell, "cpu")
    assert not guess.measured
    assert minutes / 4 < guess.seconds / 60 < 4 * minutes
