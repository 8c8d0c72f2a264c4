"""The conformance kit: our own plugins pass it, and each kind of misbehaviour is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmark.conformance import Finding
from benchmark.conformance.methods import check_method
from benchmark.conformance.tasks import check_task
from benchmark.conformance.toy import ToyTask
from benchmark.errors import ConfigError
from benchmark.method import Card, Method, Supervision
from benchmark.registry import METHODS, TASKS
from benchmark.task import Setting, Split, SplitName

if TYPE_CHECKING:
    from benchmark.run import Run

OURS = [name for name in METHODS.names() if name != "jtt"]
DIGITS = ["biased_mnist", "colored_mnist", "multi_color_mnist"]


def failing(findings: Any) -> dict[str, str]:
    return {finding.check: finding.problem for finding in findings if finding.problem is not None}


@pytest.mark.parametrize("name", OURS)
def test_our_methods_conform(name: str, tmp_path: Path) -> None:
    assert failing(check_method(name, {}, tmp_path)) == {}


@pytest.mark.parametrize("name", DIGITS)
def test_our_tasks_conform(name: str, tmp_path: Path) -> None:
    assert failing(check_task(name, None, {"source": "embedded"}, tmp_path)) == {}


@dataclass(frozen=True)
class BadParams:
    """Which promise to break."""

    breaks: str = ""


class Bad(Method):
    """Trains a little, and breaks one promise."""

    name = "bad"
    version = 1
    card = Card("Bad", "Breaks one promise at a time.")
    supervision = Supervision()
    Params = BadParams
    calls = 0

    def run(self, run: Run) -> None:
        """Train for the protocol's epochs, but for what ``breaks`` says."""
        import torch

        breaks = self.params.breaks
        type(self).calls += 1
        network = run.network()
        if breaks == "finite":
            with torch.no_grad():
                network.classifier.bias += float("nan")
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        order = run.stream("order")
        state: dict[str, Any] = {"network": network, "optimizer": optimizer}
        if breaks != "resume":
            state["order"] = order
        epochs = 8 if breaks == "budget" else run.problem.protocol.epochs(100)
        for _ in run.epochs("training", epochs, state):
            for batch in run.train.shuffled(40, order):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(network(batch.x), batch.y).backward()
                optimizer.step()
        if breaks != "offer":
            run.offer(network, "final", calls=type(self).calls if breaks == "determinism" else 0)


METHODS.register(Bad)


def test_a_method_that_keeps_its_promises_passes(tmp_path: Path) -> None:
    found = failing(check_method("bad", {}, tmp_path))
    # declared in a module that imports torch through the tests' own imports, in the subprocess it is unknown
    assert set(found) <= {"listing it does not import torch"}


@pytest.mark.parametrize(
    ("breaks", "check"),
    [
        ("determinism", "the same seed gives the same record"),
        ("finite", "it runs on the toy task, offers finite models, and takes at most two minutes"),
        ("offer", "it runs on the toy task, offers finite models, and takes at most two minutes"),
        ("resume", "interrupted anywhere and resumed, it gives the same record"),
        ("budget", "it keeps to the protocol: a larger budget trains more epochs"),
    ],
)
def test_a_broken_promise_of_a_method_is_found(breaks: str, check: str, tmp_path: Path) -> None:
    assert check in failing(check_method("bad", {"breaks": breaks}, tmp_path))


class BadTask(ToyTask):
    """Breaks one promise at a time."""

    name = "bad_task"
    breaks = ""

    def split(self, name: SplitName, setting: Setting) -> Split:
        """The toy's split, spoilt."""
        seed = 0 if name == "test" or self.breaks == "seeds" else setting.seed
        split = super().split(name, Setting(setting.rho, seed, setting.protocol, setting.root))
        x, y, b = split.x, split.y, split.b
        if self.breaks == "leak" and name == "test":
            x = np.concatenate([super().split("train", setting).x[:1], x[1:]])
        if self.breaks == "shape":
            x = x[:, :, :5]
        if self.breaks == "range":
            b = b + 2
        if self.breaks == "rho" and name == "train":
            b = y[:, None].copy()
        if self.breaks == "random":
            x = x.copy()
            x[0, 0, 0, 0] = np.random.randint(256)  # noqa: NPY002
        return Split(x, y, b)


TASKS.register(BadTask)


@pytest.mark.parametrize(
    ("breaks", "check"),
    [
        ("leak", "no image is in two splits"),
        ("shape", "its splits have the declared shapes and label ranges"),
        ("range", "its splits have the declared shapes and label ranges"),
        ("rho", "train is as biased as asked, the unbiased splits are not"),
        ("random", "it leaves the global random state alone"),
    ],
)
def test_a_broken_promise_of_a_task_is_found(
    breaks: str, check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BadTask, "breaks", breaks)
    assert check in failing(check_task("bad_task", None, {}, tmp_path))


def test_a_level_that_a_task_does_not_have_is_said_before_anything_is_checked(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"task bad_task: rho is the share of bias-aligned samples, in \(0, 1\]; got 2"
    ):
        next(check_task("bad_task", 2.0, {}, tmp_path))


def test_a_training_split_that_is_the_same_for_all_seeds_has_to_be_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BadTask, "breaks", "seeds")
    check = "seeds train on different data and test on the same"
    assert failing(check_task("bad_task", None, {}, tmp_path))[check] == "train is the same for seeds 0 and 1"
    monkeypatch.setattr(BadTask, "fixed_train", True)
    assert check not in failing(check_task("bad_task", None, {}, tmp_path))


def test_a_finding_without_a_problem_passes() -> None:
    assert failing([Finding("fine"), Finding("bad", "why")]) == {"bad": "why"}
