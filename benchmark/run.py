"""What a method sees of its cell: the data that it declared, a reference recipe, and where to offer its models.

The harness puts nothing else within reach. Test and validation splits are not even built while a method runs; in a
trial of a tuning the harness scores what is offered on the validation split of the objective, and keeps both to itself.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Checkpoint, Epochs, State, pickled
from benchmark.data import MEMORY_FORMATS, Data
from benchmark.files import write_atomic
from benchmark.network import Network, build_network
from benchmark.protocol import Protocol
from benchmark.randomness import Dimension, torch_stream
from benchmark.task import Backbone, Bias, Inputs, Recipe

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Problem:
    """What a method may know about its task.

    Attributes:
        classes: Number of target values C.
        biases: The bias attributes; empty unless the method declared bias labels or an unbiased split.
        rho: Share of bias-aligned training samples; ``None`` where natural, or not declared.
        inputs: Shape and normalisation of inputs.
        backbone: The task's network.
        reference: The reference recipe as published.
        protocol: The budget.
    """

    classes: int
    biases: tuple[Bias, ...]
    rho: float | None
    inputs: Inputs
    backbone: Backbone
    reference: Recipe
    protocol: Protocol

    @property
    def recipe(self) -> Recipe:
        """The reference recipe, scaled to the protocol."""
        return self.reference.under(self.protocol)


KEPT_BYTES = 32 * 2**20
"""Of candidates that a cell holds in memory; what goes beyond is spooled to disk."""


@dataclass(frozen=True)
class Offer:
    """A candidate: a model offered for selection, put aside until the method has ended.

    Attributes:
        label: Unique within the cell ("epoch 20", "tau 0.01").
        model: The model, pickled whole, so that candidates of one cell may differ in architecture and those of an
            interrupted run need no method to build them again; or the file that it is in.
        selectable: Whether selection rules may choose it; otherwise it is scored for diagnosis only.
        info: Numbers that the method reports of it, for the record.
    """

    label: str
    model: bytes | Path
    selectable: bool = True
    info: dict[str, float] = field(default_factory=dict)

    def load(self, device: torch.device | str) -> nn.Module:
        """The model, on ``device``."""
        # the run's own pickle, or in its own work folder; whoever can change it can change the results beside it
        source = io.BytesIO(self.model) if isinstance(self.model, bytes) else self.model
        model: nn.Module = torch.load(source, map_location=device, weights_only=False)
        return model


class Offers(dict[str, Offer]):
    """A cell's offers by label, in order; part of its checkpoint, so that a resumed cell still has the earlier ones."""

    def __init__(self, spool: Path) -> None:
        """``spool`` is the folder of the files of those that are not kept in memory."""
        super().__init__()
        self.spool = spool

    def state_dict(self) -> list[dict[str, Any]]:
        """Plain values of every offer; the results folder may have moved when they are read again."""
        return [
            {**vars(offer), "model": offer.model.name if isinstance(offer.model, Path) else offer.model}
            for offer in self.values()
        ]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Take over the offers of the interrupted run."""
        self.clear()
        for values in state:
            model = self.spool / values["model"] if isinstance(values["model"], str) else values["model"]
            self[values["label"]] = Offer(**{**values, "model": model})

    def put_aside(self, label: str, content: bytes) -> bytes | Path:
        """The pickled model of a candidate, or the file that it is in if too much is in memory already."""
        held = sum(len(o.model) for o in self.values() if o.label != label and isinstance(o.model, bytes))
        if held + len(content) <= KEPT_BYTES:
            return content
        path = self.spool / f"{[*self].index(label) if label in self else len(self):05d}.pt"
        write_atomic(path, content)
        return path


Curves = dict[str, dict[str, list[float | None]]]
"""By phase and name: one number per epoch, ``None`` for NaN and infinity."""


class TrainingLog:
    """What a method logs of its epochs; part of its checkpoint, so that a resumed cell has all of them, each once."""

    def __init__(self) -> None:
        """Nothing is logged yet."""
        self.curves: Curves = {}

    def state_dict(self) -> Curves:
        """The curves as they are; a checkpoint that outlives its phase copies them, as it does tensors."""
        return self.curves

    def load_state_dict(self, state: Curves) -> None:
        """Take over what the interrupted run has logged."""
        self.curves = copy.deepcopy(state)

    def add(self, phase: str, values: Mapping[str, float]) -> None:
        """One more epoch of a phase."""
        curves = self.curves.setdefault(phase, {name: [] for name in values})
        if curves.keys() != values.keys():
            raise ValueError(f"an epoch of {phase!r} logs {sorted(values)}; earlier ones log {sorted(curves)}")
        for name, value in values.items():
            curves[name].append(float(f"{float(value):.5g}") if math.isfinite(value) else None)


Judge = Callable[[Offer, int, int], None]
"""Told a selectable offer, its place among them, and the epochs that its phase has left; may end the cell."""


class Run:
    """The handle through which a method trains and offers models.

    Attributes:
        problem: What may be known about the task.
        train: The biased training split; its ``b`` is ``None`` unless bias labels were declared.
        unbiased: The unbiased split with y and b, or ``None`` unless declared.
        upstream: Artifacts of the cells that the method starts from, by role.
        device: Where tensors live.
    """

    def __init__(
        self,
        problem: Problem,
        train: Data,
        unbiased: Data | None,
        upstream: Mapping[str, Artifact],
        checkpoint: Checkpoint,
        spool: Path,
        streams: tuple[Dimension, ...],
        device: torch.device,
        precision: Precision,
        report: Callable[[str, int, int], None],
        judge: Judge | None = None,
    ) -> None:
        """The runner makes it; tests of methods may too."""
        self.problem = problem
        self.train = train
        self.unbiased = unbiased
        self.upstream = upstream
        self.device = device
        self.offers = Offers(spool)
        self.logged = TrainingLog()
        self._checkpoint = checkpoint
        self._streams = streams
        self._precision: Precision = precision
        self._report = report
        self._judge = judge

    def stream(self, *purpose: Dimension) -> torch.Generator:
        """A random generator (CPU) of its own for this purpose; the same for every method of the (task, rho, seed)."""
        return torch_stream(*self._streams, *purpose)

    def autocast(self) -> AbstractContextManager[Any]:
        """The cell's precision: forward passes and losses go inside, backward passes outside."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision == "bf16")

    def network(
        self, backbone: Backbone | None = None, *, start: Artifact | None = None, role: str = "network"
    ) -> Network:
        """A network of the task's (or the given) backbone: freshly initialised, or as ``start`` left it.

        Networks of different ``role`` in one cell start from different weights; the same role starts from the same
        weights in every method.
        """
        if backbone is None:
            backbone = self.problem.backbone if start is None else start.backbone or self.problem.backbone
        problem = self.problem
        network = build_network(backbone, problem.inputs, problem.classes, *self._streams, "initialisation", role).to(
            self.device
        )
        network.to(memory_format=MEMORY_FORMATS[backbone.layout])
        if start is not None:
            network.load_state_dict(start.state)
        return network

    def epochs(self, phase: str, total: int, state: State) -> Epochs:
        """Iterate over the epochs of a training phase; an interrupted cell resumes in the middle of it.

        Args:
            phase: Unique within the cell.
            total: Epochs at most; :meth:`Epochs.stop` ends the phase after the current one.
            state: Everything that changes in the loop: modules, optimisers, generators, schedules.
        """
        whole: State = {**state, "run.offers": self.offers, "run.logged": self.logged}
        return self._checkpoint.epochs(phase, total, whole, self._report)

    def log(self, phase: str, **values: float) -> None:
        """Keep numbers of the epoch that just ended, for people: the record has them as curves.

        Args:
            phase: Of the epoch, as given to :meth:`epochs`.
            values: By name, the same names in every epoch (``loss=0.1``); of any kind that ``float`` takes, and read
                from the device, so once an epoch and not once a batch.

        Raises:
            ValueError: An earlier epoch of the phase logged other names.
        """
        self.logged.add(phase, values)

    def is_candidate(self, epoch: int, epochs: int) -> bool:
        """Whether the protocol wants the state after this epoch offered."""
        return self.problem.protocol.is_candidate(epoch, epochs)

    def offer(self, model: nn.Module, label: str, *, selectable: bool = True, **info: float) -> None:
        """Offer a model as a candidate: the harness scores it on validation and test once the method has ended.

        Args:
            model: Maps inputs (B, …) to logits (B, classes). Its classes are pickled by reference: they belong at the
                top of a module.
            label: Unique within the cell; an offer with the label of an earlier one takes its place.
            selectable: ``False`` for a model that is no result of the method and should be scored for diagnosis only.
            info: Numbers for the record (``tau=0.1``), of any kind that ``float`` takes.
        """
        content = self.offers.put_aside(label, pickled(model))
        self.offers[label] = Offer(label, content, selectable, {name: float(value) for name, value in info.items()})
        if self._judge is not None and selectable:
            step = [offer.label for offer in self.offers.values() if offer.selectable].index(label)
            self._judge(self.offers[label], step, self._checkpoint.left)
