"""A toy task and toy methods: a real learning problem that takes milliseconds, and every way to misbehave.

Loaded with ``--plugin``, as a user's file would be.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from msgspec import Meta

from benchmark.errors import DataMissingError
from benchmark.method import Card, Method, Supervision, Upstream
from benchmark.randomness import numpy_stream
from benchmark.registry import METHODS, TASKS
from benchmark.task import Backbone, Bias, Inputs, Recipe, Setting, Split, SplitName, Task
from benchmark.tuning.space import Axis, Space

if TYPE_CHECKING:
    from benchmark.run import Run

SAMPLES = {"train": 96, "unbiased": 32, "val_biased": 32, "val_unbiased": 32, "test": 64}
BUILT: list[tuple[str, weakref.ref[Any], weakref.ref[Any]]] = []
"""Of every split built in this process: its name, and whether its x and b are still within anyone's reach."""


@dataclass(frozen=True)
class ToyTaskParams:
    """Parameters of the toy task."""

    noise: float = 0.3


@TASKS.register
class ToyTask(Task):
    """2x2 images: one pixel shows the class, noisily, another one the bias, clearly."""

    name = "toy"
    version = 1
    title = "Toy"
    summary = "A noisy pixel and a clear shortcut."
    target = "class"
    classes = ("dark", "bright")
    biases = (Bias("corner", 2, (0, 1)),)
    rhos = (0.9,)
    Params = ToyTaskParams

    def split(self, name: SplitName, setting: Setting) -> Split:
        """The same for every method of a (rho, seed)."""
        draws = numpy_stream("toy", name, setting.rho, setting.seed)
        n = SAMPLES[name]
        y = draws.integers(0, 2, n)
        share = (setting.rho or 0.5) if name in ("train", "val_biased") else 0.5
        b = np.where(draws.random(n) < share, y, 1 - y)
        x = draws.integers(0, 256, (n, 1, 2, 2))
        x[:, 0, 0, 0] = np.clip(128 + (2 * y - 1) * 60 + draws.normal(0, 255 * self.params.noise, n), 0, 255)
        x[:, 0, 1, 1] = 255 * b
        split = Split(x.astype(np.uint8), y, b[:, None])
        BUILT.append((name, weakref.ref(split.x), weakref.ref(split.b)))
        return split

    def inputs(self) -> Inputs:
        """Centred."""
        return Inputs((1, 2, 2), mean=(0.5,), std=(0.5,))

    def backbone(self) -> Backbone:
        """4-6-2."""
        return Backbone("tasks.backbones.mlp:mlp", {"widths": [6]})

    def recipe(self, rho: float | None) -> Recipe:
        """Two epochs under the protocol smoke."""
        return Recipe("sgd", learning_rate=0.1, momentum=0.9, batch_size=32, epochs=100)


@TASKS.register
class ToyMissing(ToyTask):
    """A task whose data is not there."""

    name = "toy_missing"

    def split(self, name: SplitName, setting: Setting) -> Split:
        """Say what is missing."""
        raise DataMissingError(f"toy.bin is not under {setting.root}; put it there")


@TASKS.register
class ToyUnlabelled(ToyTask):
    """A task without bias labels, at its natural level only."""

    name = "toy_unlabelled"
    biases = ()
    rhos = ()
    splits = ("train", "val_biased", "test")

    def split(self, name: SplitName, setting: Setting) -> Split:
        """The same, without b."""
        split = super().split(name, setting)
        return Split(split.x, split.y, np.zeros((len(split), 0), np.int64))


@dataclass(frozen=True)
class ToyParams:
    """Parameters of toy methods.

    Attributes:
        epochs: To train; ``None`` trains the reference.
        pause: Seconds to sleep in every epoch, unless the environment says TOY_HURRY.
        log: A file that gets a line at every start of the method.
    """

    epochs: int | None = None
    pause: float = 0.0
    log: str = ""


@METHODS.register
class ToyErm(Method):
    """Plain training; draws from all global generators on the way, as careless code does."""

    name = "toy_erm"
    version = 1
    card = Card("Toy ERM", "Plain training on the toy.")
    Params = ToyParams
    keeps_artifact = True

    def run(self, run: Run) -> None:
        """Train and offer every epoch."""
        import random

        import torch

        from benchmark.training import make_optimizer

        note(self.params.log, f"{self.name} {os.getpid()}")
        network = run.network(start=run.upstream.get("start"))
        recipe, order = run.problem.recipe, run.stream("order")
        optimizer = make_optimizer(network.parameters(), recipe)
        state = {"network": network, "optimizer": optimizer, "order": order}
        epochs = self.params.epochs or recipe.epochs
        for epoch in run.epochs("training", epochs, state):
            for batch in run.train.shuffled(recipe.batch_size, order):
                noise = torch.randn(batch.x.shape) + float(np.random.randn()) + random.gauss(0, 1)  # noqa: NPY002
                loss = torch.nn.functional.cross_entropy(network(batch.x + 0.1 * noise), batch.y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if "TOY_HURRY" not in os.environ:
                time.sleep(self.params.pause)
            if epoch % max(1, epochs // 3) == 0 or epoch == epochs:
                run.offer(network, f"epoch {epoch}", loss=loss.detach())


@METHODS.register
class ToyTune(ToyErm):
    """Goes on from the shared artifact."""

    name = "toy_tune"
    version = 1
    keeps_artifact = False

    def upstream(self) -> dict[str, Upstream]:
        """The plain one, with the same log."""
        return {"start": Upstream("toy_erm", {"log": self.params.log, "pause": self.params.pause})}


@dataclass(frozen=True)
class GammaParams:
    """Parameters of the method that one tunes.

    Attributes:
        gamma: How much of the shortcut each epoch takes away; beyond 10 the rest goes with it.
        pause: Seconds to sleep in every epoch.
        log: A file that gets gamma and the pid at every start of the method.
        fail: Raise where gamma is above.
    """

    gamma: Annotated[float, Meta(ge=0)] = 1.0
    pause: float = 0.0
    log: str = ""
    fail: float = 1e9


@METHODS.register
class ToyGamma(Method):
    """Turns the shortcut's weights down, epoch by epoch, and at a large gamma all others too."""

    name = "toy_gamma"
    version = 1
    card = Card("Toy Gamma", "Turns weights down.")
    supervision = Supervision(unbiased_split=True)
    Params = GammaParams
    search_space: ClassVar[Space] = {"gamma": Axis(0.01, 100.0, log=True)}

    def upstream(self) -> dict[str, Upstream]:
        """The plain one."""
        return {"start": Upstream("toy_erm")}

    def run(self, run: Run) -> None:
        """Four epochs, each offered, and the end."""
        import torch

        gamma = self.params.gamma
        note(self.params.log, f"{gamma} {os.getpid()}")
        if gamma > self.params.fail:
            raise RuntimeError(f"gamma {gamma} is too much")
        network = run.network(start=run.upstream["start"])
        weights = next(parameter for parameter in network.parameters() if parameter.ndim == 2)
        for epoch in run.epochs("shrinking", 4, {"network": network}):
            with torch.no_grad():
                weights[:, 3] /= 1 + gamma
                weights[:, 0] /= 1 + max(0.0, gamma - 10)
            time.sleep(self.params.pause)
            run.offer(network, f"epoch {epoch}", bias_accuracy=0.5 + 0.5 / (1 + gamma) ** epoch)
        run.offer(network, "final", bias_accuracy=0.5 + 0.5 / (1 + gamma) ** 4)


@dataclass(frozen=True)
class BadParams:
    """How to misbehave, until ``flag`` is a file with ``times`` lines (each attempt adds one)."""

    how: Literal["raise", "exit", "nan loss", "nan logits", "nothing", "logits", "kill", "exit 0", "disk", "memory"] = (
        "raise"
    )
    flag: str = ""
    times: int = 1_000_000


@METHODS.register
class ToyBad(Method):
    """Misbehaves as told."""

    name = "toy_bad"
    version = 1
    card = Card("Toy Bad", "Misbehaves.")
    Params = BadParams
    keeps_artifact = True

    def run(self, run: Run) -> None:
        """Misbehave, or offer a fresh network."""
        network = run.network()
        if note(self.params.flag, self.params.how) <= self.params.times:
            self._misbehave(run, network)
        else:
            run.offer(network, "fresh")

    def _misbehave(self, run: Run, network: Any) -> None:
        import torch

        from benchmark.training import fit

        match self.params.how:
            case "raise":
                raise RuntimeError("as told: \n a failure")
            case "exit":
                sys.exit(0)
            case "nan loss":
                fit(run, network, run.train, run.problem.recipe, loss=lambda logits, batch: logits.sum() * float("nan"))
            case "nan logits":
                with torch.no_grad():
                    network.classifier.bias[0] = float("nan")
                run.offer(network, "broken")
            case "logits":
                run.offer(run.network(Backbone("tasks.backbones.mlp:mlp", {"widths": [4]})).encoder, "an encoder")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit 0":
                os._exit(0)
            case "memory":
                torch.empty(2**50, device=run.device)
            case "disk":
                raise OSError(28, "No space left on device", "/elsewhere/cache")
            case "nothing":
                pass


@dataclass(frozen=True)
class BadStartParams:
    """What its start is given."""

    how: str = "raise"
    flag: str = ""
    times: int = 1_000_000


@METHODS.register
class ToyBadStart(Method):
    """Starts from the misbehaving method."""

    name = "toy_bad_start"
    version = 1
    card = Card("Toy Bad Start", "Starts from one that misbehaves.")
    Params = BadStartParams

    def upstream(self) -> dict[str, Upstream]:
        """With the same parameters."""
        return {"start": Upstream("toy_bad", {f: getattr(self.params, f) for f in ("how", "flag", "times")})}

    def run(self, run: Run) -> None:
        """Offer the start."""
        run.offer(run.network(start=run.upstream["start"]), "start")


@METHODS.register
class ToyForgetfulStart(Method):
    """Starts from a method that keeps no artifact."""

    name = "toy_forgetful_start"
    version = 1
    card = Card("Toy Forgetful Start", "Starts from one that keeps nothing.")

    def upstream(self) -> dict[str, Upstream]:
        """Its own start is not kept."""
        return {"start": Upstream("toy_tune")}

    def run(self, run: Run) -> None:
        """Never reached."""
        raise AssertionError("started without an artifact")


@METHODS.register
class ToyGroups(Method):
    """Declares everything, and checks what it is given."""

    name = "toy_groups"
    version = 1
    card = Card("Toy Groups", "Uses bias labels.")
    supervision = Supervision(bias_labels=True, unbiased_split=True)

    def run(self, run: Run) -> None:
        """Offer a fresh network with the numbers of bias labels that were given."""
        if run.train.b is None or run.unbiased is None or run.unbiased.b is None:
            raise AssertionError("a declared tensor is not there")
        run.offer(run.network(), "fresh", train=run.train.b.sum(), unbiased=len(run.unbiased.b), rho=run.problem.rho)


@METHODS.register
class ToyPeeks(Method):
    """Looks for everything that it did not declare."""

    name = "toy_peeks"
    version = 1
    card = Card("Toy Peeks", "Looks around.")

    def run(self, run: Run) -> None:
        """Offer a fresh network if there is nothing to see."""
        import gc

        gc.collect()
        seen = [what for what, there in _undeclared(run).items() if there]
        if seen:
            raise AssertionError(f"undeclared and within reach: {', '.join(seen)}")
        run.offer(run.network(), "fresh")


def _undeclared(run: Run) -> dict[str, bool]:
    """What a method without supervision must not reach, and whether it does."""
    import gc

    import torch

    tensors = [item for item in gc.get_objects() if isinstance(item, torch.Tensor)]
    lengths = {SAMPLES[name] for name in SAMPLES if name != "train"}
    labels = [t for t in tensors if t.ndim == 2 and t.dtype == torch.int64 and len(t) in SAMPLES.values()]
    return {
        "bias labels": run.train.b is not None,
        "an unbiased split": run.unbiased is not None,
        "the names of biases": bool(run.problem.biases),
        "rho": run.problem.rho is not None,
        "b of an earlier split": any(b() is not None for _, _, b in BUILT),
        "another split": any(x() is not None for name, x, _ in BUILT if name != "train"),
        "tensors of another split": any(t.ndim == 4 and len(t) in lengths and t.dtype == torch.uint8 for t in tensors),
        "labels of several columns": bool(labels),
    }


def note(path: str, line: str) -> int:
    """Append a line to a file, if one is named; returns how many it has then."""
    if not path:
        return 0
    with Path(path).open("a") as file:
        file.write(line + "\n")
    return len(Path(path).read_text().splitlines())
