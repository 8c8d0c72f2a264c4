"""FFW, Finding Fantastic Weights: learn on unbiased data which weights or units of a biased network to remove."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from benchmark.method import Card, Method, Supervision, Upstream
from benchmark.tuning.space import Axis, Space

if TYPE_CHECKING:
    from benchmark.run import Run

PAPER = "Finding Fantastic Weights (ECCV 2024)"
URL = "https://arxiv.org/abs/2403.14200"
SEARCH_SPACE: Space = {"gamma": Axis(0.01, 100.0, log=True)}
"""From where the information hardly counts to an order of magnitude above the value that the authors start from."""


@dataclass(frozen=True)
class FfwParams:
    """Parameters of FFW; epochs are scaled by the protocol, the patiences and the period too.

    Attributes:
        gamma: Weight of the mutual information; the authors tune it.
        alpha: Weight of the task loss.
        scope: What gates may remove: parts of the ``encoder`` (the paper), or of the whole ``network`` (their code).
        policy: What lowers the temperature: a plateau of the mutual information on held-out data (``mi``), or the
            ``periodic`` passing of epochs.
        epochs: Mask epochs at most.
        batch_size: Samples per step of gates and head. The released code learns from 2.4 to 4 times as many unbiased
            images as are held out here; 100 gives about as many steps an epoch.
        gate_learning_rate: Of Adam.
        gate_weight_decay: Of Adam.
        head_learning_rate: Of the bias head's SGD.
        head_momentum: Of the bias head's SGD.
        head_weight_decay: Of the bias head's SGD.
        head_epochs: Epochs at most of each refinement of the head.
        head_patience: A refinement ends when its loss has not fallen for more epochs than this.
        head_threshold: A fall is one by more than this share of the best loss.
        tau_start: First temperature.
        tau_factor: What a drop multiplies it by.
        tau_stop: The run ends when the temperature is below.
        patience: ``mi``: a drop follows when the information has not fallen for more epochs than this.
        threshold: ``mi``: a fall is one by more than this share of the least information.
        period: ``periodic``: epochs at one temperature.
        vanilla: Parameters of the vanilla network that it starts from, where they differ from the task's reference.
    """

    gamma: Annotated[float, Meta(ge=0)] = 10.0
    alpha: Annotated[float, Meta(ge=0)] = 1.0
    scope: Literal["encoder", "network"] = "encoder"
    policy: Literal["mi", "periodic"] = "mi"
    epochs: Annotated[int, Meta(ge=1)] = 200
    batch_size: Annotated[int, Meta(ge=1)] = 100
    gate_learning_rate: float = 1e-3
    gate_weight_decay: float = 1e-4
    head_learning_rate: float = 0.1
    head_momentum: float = 0.9
    head_weight_decay: float = 1e-4
    head_epochs: Annotated[int, Meta(ge=0)] = 200
    head_patience: Annotated[int, Meta(ge=0)] = 5
    head_threshold: float = 1e-3
    tau_start: Annotated[float, Meta(gt=0)] = 1.0
    tau_factor: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    tau_stop: Annotated[float, Meta(gt=0)] = 1e-8
    patience: Annotated[int, Meta(ge=0)] = 5
    threshold: float = 0.05
    period: Annotated[int, Meta(ge=1)] = 20
    vanilla: dict[str, Any] = field(default_factory=dict)


class Ffw(Method):
    """Gates on a frozen vanilla network, learned on an unbiased split."""

    supervision = Supervision(unbiased_split=True)
    Params = FfwParams
    search_space = SEARCH_SPACE
    keeps_artifact = True

    def upstream(self) -> dict[str, Upstream]:
        """The vanilla network."""
        return {"vanilla": Upstream("vanilla", self.params.vanilla)}

    def effort(self) -> float:
        """Its data are the unbiased split, and bias heads train on cached features."""
        return 0.2


class FfwUnstructured(Ffw):
    """Gates on single weights."""

    name = "ffw_unstructured"
    version = 1
    card = Card(
        "FFW (unstructured)",
        "Removes single weights of a frozen vanilla network so that its features tell less of the bias.",
        PAPER,
        URL,
    )

    def run(self, run: Run) -> None:
        """Learn the gates; offer the pruned network at every temperature drop and at the end."""
        from methods.ffw.algorithm import learn
        from methods.shared.gated import GatedWeights
        from methods.shared.gates import saturated

        vanilla = run.network(start=run.upstream["vanilla"])
        learn(run, self.params, GatedWeights(vanilla, saturated, self.params.scope))


class FfwStructured(Ffw):
    """Gates on whole units (filters, neurons)."""

    name = "ffw_structured"
    version = 1
    card = Card(
        "FFW (structured)",
        "Removes filters and neurons of a frozen vanilla network so that its features tell less of the bias.",
        PAPER,
        URL,
    )

    def run(self, run: Run) -> None:
        """Learn the gates; offer the pruned network at every temperature drop and at the end."""
        from methods.ffw.algorithm import learn
        from methods.shared.gated import GatedUnits
        from methods.shared.gates import saturated

        vanilla = run.network(start=run.upstream["vanilla"])
        learn(run, self.params, GatedUnits(vanilla, saturated, self.params.scope))
