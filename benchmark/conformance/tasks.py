"""What every task must keep: checked by building its splits and its network."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.config import convert
from benchmark.conformance import Finding, NonConformance, require, run_checks
from benchmark.data import Data
from benchmark.errors import ConfigError
from benchmark.metrics import METRICS
from benchmark.network import build_network
from benchmark.protocol import PROTOCOLS
from benchmark.randomness import global_random_state
from benchmark.registry import TASKS
from benchmark.task import Setting, Split, SplitName, Task, columns_of

PROTOCOL = PROTOCOLS["smoke"]


def check_task(
    name: str, rho: float | None, params: dict[str, Any], root: Path, plugins: Sequence[Path] = ()
) -> Iterator[Finding]:
    """Check a task at a level; yields a finding per promise.

    Args:
        name: Of the task.
        rho: Level; ``None`` takes its first.
        params: Where they differ from its defaults.
        root: Of the data sets.
        plugins: Files to load, where listing is checked in a process of its own.

    Raises:
        UnknownNameError: There is no such task.
        PluginError: It cannot be loaded.
        ConfigError: Parameters or a level that it does not have.
    """
    kind = TASKS.get(name)
    level = rho if rho is not None else next(iter(kind.rhos), None)
    if (reason := kind.check_rho(level)) is not None:
        raise ConfigError(f"task {name}: {reason}")
    resolved = kind.resolve(convert(params, kind.Params, f"parameters of {name}"), root, PROTOCOL)
    checks = _Checks(kind(resolved), level, root, plugins)
    yield from run_checks(
        {
            "it is declared in full": checks.declared,
            "listing it does not import torch": checks.light,
            "it refuses a rho that is no share": checks.refuses_rho,
            "its splits have the declared shapes and label ranges": checks.shapes,
            "the same seed gives the same data": checks.deterministic,
            "seeds train on different data and test on the same": checks.seeds,
            "train is as biased as asked, the unbiased splits are not": checks.biased,
            "no image is in two splits": checks.disjoint,
            "redrawn with its own bias values, a split stays as it is": checks.redrawn,
            "its network takes its inputs, and its sites have as many units as they say": checks.network,
            "it leaves the global random state alone": checks.global_state,
        }
    )


class _Checks:
    """The checks of one task at one level."""

    def __init__(self, task: Task, rho: float | None, root: Path, plugins: Sequence[Path]) -> None:
        self.task, self.rho, self.root, self.plugins = task, rho, root, plugins
        self._built: dict[tuple[str, int], Split] = {}

    def declared(self) -> None:
        task = self.task
        require(isinstance(task.version, int) and task.version >= 1, "version must be an integer from 1 up")
        require(len(task.classes) >= 2, f"a task has at least two classes, got {task.classes}")
        require(task.headline in METRICS, f"headline {task.headline!r} is none of {', '.join(METRICS)}")
        for bias in task.biases:
            pairs = len(bias.aligned) == len(task.classes) and all(0 <= b < bias.values for b in bias.aligned)
            require(pairs, f"{bias.name}: aligned must name one of its {bias.values} values for each class")
        recipe = task.recipe(self.rho)
        require(recipe.epochs > 0 and recipe.batch_size > 0, f"the recipe trains nothing: {recipe}")

    def light(self) -> None:
        code = (
            "import sys; from pathlib import Path; from benchmark.registry import TASKS, load_plugin_file\n"
            "for path in sys.argv[2:]: load_plugin_file(Path(path))\n"
            "TASKS.get(sys.argv[1]); sys.exit('torch' in sys.modules)"
        )
        command = [sys.executable, "-c", code, self.task.name, *map(str, self.plugins)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        require(result.returncode == 0, "import torch where it is used, not at the top of the module")

    def refuses_rho(self) -> None:
        if self.task.rhos:
            for wrong in (0.0, -0.5, 1.5):
                require(type(self.task).check_rho(wrong) is not None, f"check_rho({wrong}) must say what is wrong")

    def shapes(self) -> None:
        shape = self.task.inputs().shape
        for name in self.task.splits:
            split = self._split(name)
            require(len(split) > 0, f"{name} is empty")
            require(split.x.shape[1:] == shape, f"{name}: x is {split.x.shape[1:]}, inputs() says {shape}")
            if len(shape) == 3:
                require(split.x.dtype == np.uint8, f"{name}: images are uint8, got {split.x.dtype}")
            require(bool(((split.y >= 0) & (split.y < len(self.task.classes))).all()), f"{name}: y is out of range")
            columns = columns_of(self.task, name)
            require(split.b.shape[1] == len(columns), f"{name}: b needs a column per bias attribute")
            for column, bias in enumerate(columns):
                b = split.b[:, column]
                require(bool(((b >= 0) & (b < bias.values)).all()), f"{name}: {bias.name} is out of range")

    def deterministic(self) -> None:
        for name in self.task.splits:
            require(_equal(self._split(name), self._build(name, 0)), f"{name} differs between two builds")

    def seeds(self) -> None:
        if not self.task.fixed_train:
            require(not _equal(self._split("train"), self._split("train", 1)), "train is the same for seeds 0 and 1")
        require(_equal(self._split("test"), self._split("test", 1)), "test differs between seeds 0 and 1")

    def biased(self) -> None:
        if not self.task.biases or self.rho is None:
            return
        bias, train = self.task.biases[0], self._split("train")
        share = float((np.array(bias.aligned)[train.y] == train.b[:, 0]).mean())
        per_class = len(train) / len(self.task.classes)
        require(abs(share - self.rho) <= 1 / per_class, f"{share:.4f} of train is aligned, asked for {self.rho}")
        for name in ("unbiased", "val_unbiased", "test"):
            if name in self.task.splits:
                split = self._split(name)
                found = float((np.array(bias.aligned)[split.y] == split.b[:, 0]).mean())
                slack = 3 * np.sqrt(1 / bias.values / len(split)) + len(self.task.classes) / len(split)
                require(abs(found - 1 / bias.values) <= slack, f"{found:.3f} of {name} is aligned, not 1/{bias.values}")

    def disjoint(self) -> None:
        owners: dict[bytes, str] = {}
        for name in self.task.splits:
            group = "validation" if name.startswith("val_") else name
            for image in self._split(name).x:
                digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()
                require(owners.setdefault(digest, group) == group, f"an input of {name} is in {owners[digest]} too")

    def redrawn(self) -> None:
        split = self._split("test")
        again = self.task.redraw("test", Setting(self.rho, 0, PROTOCOL, self.root), split.b)
        require(again is None or _equal(split, again), "redraw changes more than what b says")

    def network(self) -> None:
        inputs, classes = self.task.inputs(), len(self.task.classes)
        network = build_network(self.task.backbone(), inputs, classes, "conformance").eval()
        data = Data(self._split("train"), inputs, torch.device("cpu"), with_bias=True)
        seen: dict[str, int] = {}
        for site in network.sites:
            module = network.get_submodule(site.module)
            module.register_forward_hook(
                lambda _m, _i, out, site=site: seen.__setitem__(site.module, out.shape[site.dim])
            )
        with torch.no_grad():
            logits = network(next(data.ordered(4)).x)
        require(tuple(logits.shape) == (4, classes), f"logits are {tuple(logits.shape)}, expected (4, {classes})")
        require(bool(torch.isfinite(logits).all()), "logits are not finite")
        for site in network.sites:
            require(
                seen.get(site.module) == site.units,
                f"{site.module} has {seen.get(site.module)} units, not {site.units}",
            )

    def global_state(self) -> None:
        before = global_random_state()
        self._build("train", 0)
        after = global_random_state()
        same = before["python"] == after["python"] and before["numpy"] == after["numpy"]
        require(same and torch.equal(before["torch"], after["torch"]), "the global random state has changed")

    def _split(self, name: SplitName, seed: int = 0) -> Split:
        if (name, seed) not in self._built:
            self._built[name, seed] = self._build(name, seed)
        return self._built[name, seed]

    def _build(self, name: SplitName, seed: int) -> Split:
        if name not in self.task.splits:
            raise NonConformance(f"there is no split {name}")
        return self.task.split(name, Setting(self.rho, seed, PROTOCOL, self.root))


def _equal(first: Split, second: Split) -> bool:
    pairs = ((first.x, second.x), (first.y, second.y), (first.b, second.b))
    return all(np.array_equal(a, b) for a, b in pairs)
