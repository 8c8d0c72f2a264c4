"""What is diagnosed: the final model of a cell, the model that it started from, and the task's splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from benchmark.artifacts import Artifact
from benchmark.counts import Groups, IntArray
from benchmark.data import Data
from benchmark.diagnostics.features import features
from benchmark.errors import DebiasBenchError
from benchmark.evaluate import count, predictions
from benchmark.network import Network, build_network
from benchmark.task import Setting, Split, SplitName, Task


class InapplicableError(DebiasBenchError):
    """A diagnostic that this cell cannot have; the message says why."""


@dataclass(frozen=True)
class Subject:
    """One cell under diagnosis.

    Probes are fitted on ``val_unbiased``, which no method has been given, and everything is scored on ``test``.

    Attributes:
        task: With its parameters.
        setting: Level, seed, protocol, data root.
        groups: Axes of count tables.
        after: The final model: the last selectable candidate.
        before: The network that the method started from, if it did.
        device: Where both are.
    """

    task: Task
    setting: Setting
    groups: Groups
    after: nn.Module
    before: Network | None
    device: torch.device

    @property
    def models(self) -> dict[str, nn.Module]:
        """The models by their name in the record: ``before``, if there is one, and ``after``."""
        return {"after": self.after} if self.before is None else {"before": self.before, "after": self.after}

    @property
    def networks(self) -> dict[str, Network]:
        """The models that have an encoder.

        Raises:
            InapplicableError: The final model has none.
        """
        networks = {name: model for name, model in self.models.items() if isinstance(model, Network)}
        if "after" not in networks:
            raise InapplicableError(f"the final model, a {type(self.after).__name__}, is no benchmark.network.Network")
        return networks

    @cached_property
    def fitting(self) -> Data:
        """What probes are fitted on."""
        return self._split("val_unbiased")

    @cached_property
    def test(self) -> Data:
        """What everything is scored on."""
        return self._split("test")

    @cached_property
    def features(self) -> dict[str, tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]:
        """Of every network: features of the fitting split and of test, by site."""
        return {name: (features(n, self.fitting), features(n, self.test)) for name, n in self.networks.items()}

    @cached_property
    def predicted(self) -> dict[str, torch.Tensor]:
        """The classes (N,) that every model predicts on test."""
        return {name: predictions(model, self.test, self.groups.classes) for name, model in self.models.items()}

    def counts(self, model: str) -> IntArray:
        """The test counts (C, B, C) of a model."""
        return count(self.predicted[model], self.test, self.groups)

    def data(self, split: Split) -> Data:
        """A split on the device, with its bias labels."""
        layout = self.task.backbone().layout
        return Data(split, self.task.inputs(), self.device, layout, with_bias=True)

    def _split(self, name: SplitName) -> Data:
        if name not in self.task.splits:
            raise InapplicableError(f"{self.task.name} has no split {name}")
        return self.data(self.task.split(name, self.setting))


def starting_network(task: Task, upstream: Mapping[str, Artifact], device: torch.device) -> Network | None:
    """The network in the first artifact that a method starts from; ``None`` if there is none or it is no network's."""
    artifact = next(iter(upstream.values()), None)
    if artifact is None:
        return None
    backbone = artifact.backbone or task.backbone()
    network = build_network(backbone, task.inputs(), len(task.classes), "diagnostics").to(device)
    if set(network.state_dict()) != set(artifact.state):
        return None
    network.load_state_dict(artifact.state)
    return network.eval()
