"""What a method sees of its cell: the data that it declared, a reference recipe, and where to offer its models.

The harness puts nothing else within reach. Test and validation splits are not even built while a method runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Checkpoint, Epochs, State
from benchmark.data import MEMORY_FORMATS, Data
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


@dataclass
class Offer:
    """A candidate: a model state offered for selection, spooled to disk until the method has ended.

    Attributes:
        label: Unique within the cell ("epoch 20", "tau 0.01").
        path: Its state in safetensors.
        info: Numbers that the method reports of it, for the record.
    """

    label: str
    path: Path
    info: dict[str, float] = field(default_factory=dict)


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
    ) -> None:
        """The runner makes it; tests of methods may too."""
        self.problem = problem
        self.train = train
        self.unbiased = unbiased
        self.upstream = upstream
        self.device = device
        self.offers: dict[str, Offer] = {}
        self.offered: nn.Module | None = None
        self._checkpoint = checkpoint
        self._spool = spool
        self._streams = streams
        self._precision: Precision = precision
        self._report = report

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
        network = build_network(
            backbone,
            self.problem.inputs,
            self.problem.classes,
            *self._streams,
            "initialisation",
            role,
        ).to(self.device, memory_format=MEMORY_FORMATS[backbone.layout])
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
        return self._checkpoint.epochs(phase, total, state, self._report)

    def is_candidate(self, epoch: int, epochs: int) -> bool:
        """Whether the protocol wants the state after this epoch offered."""
        return self.problem.protocol.is_candidate(epoch, epochs)

    def offer(self, model: nn.Module, label: str, **info: float) -> None:
        """Offer a model state as a candidate: the harness scores it on validation and test once the method has ended.

        Args:
            model: Maps inputs (B, …) to logits (B, classes). All offers of a cell are states of one architecture.
            label: Unique within the cell.
            info: Numbers for the record (``tau=0.1``).
        """
        from safetensors.torch import save_file

        self._spool.mkdir(parents=True, exist_ok=True)
        path = self._spool / f"{len(self.offers):05d}.safetensors"
        if label in self.offers:
            path = self.offers[label].path
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
        self.offers[label] = Offer(label, path, dict(info))
        self.offered = model
