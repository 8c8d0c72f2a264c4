"""BISE, Bias-Invariant Subnetwork Extraction: learn on the biased data itself which units of a network to remove."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from benchmark.method import Card, Method, Supervision, Upstream
from benchmark.tuning.space import Axis, Space

if TYPE_CHECKING:
    from benchmark.run import Run

PAPER = "Bias-Invariant Subnetwork Extraction (CVPR 2026)"
URL = "https://arxiv.org/abs/2603.05582"
SEARCH_SPACE: Space = {"gamma": Axis(0.01, 100.0, log=True)}
"""Two orders of magnitude to each side of the authors' value."""


@dataclass(frozen=True)
class MaskParams:
    """What both kinds of BISE share; epochs are scaled by the protocol.

    Attributes:
        gamma: Weight of the mutual information.
        finetune: Train the kept sub-network afterwards, with the task's recipe and the reweighted loss (``bise_ft``).
        no_mi: Ablation: leave the mutual information out.
        no_reweight: Ablation: plain cross-entropy.
        gate_learning_rate: Of SGD.
        gate_momentum: Of SGD.
        gate_weight_decay: Of SGD.
        head_learning_rate: Of the bias head's SGD.
        head_momentum: Of the bias head's SGD.
        head_weight_decay: Of the bias head's SGD.
        pretrain_epochs: Of the head on the vanilla network.
        refine_epochs: Of the head after each drop of the temperature.
        period: Mask epochs at one temperature.
        tau_start: First temperature.
        tau_factor: What a drop multiplies it by.
        tau_stop: The run ends when the temperature is not above.
        vanilla: Parameters of the vanilla network that it starts from, where they differ from the task's reference.
    """

    gamma: Annotated[float, Meta(ge=0)] = 1.0
    finetune: bool = False
    no_mi: bool = False
    no_reweight: bool = False
    gate_learning_rate: float = 1e-2
    gate_momentum: float = 0.9
    gate_weight_decay: float = 1e-4
    head_learning_rate: float = 0.1
    head_momentum: float = 0.9
    head_weight_decay: float = 1e-4
    pretrain_epochs: Annotated[int, Meta(ge=0)] = 50
    refine_epochs: Annotated[int, Meta(ge=0)] = 50
    period: Annotated[int, Meta(ge=1)] = 10
    tau_start: Annotated[float, Meta(gt=0)] = 1.0
    tau_factor: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    tau_stop: Annotated[float, Meta(gt=0)] = 1e-3
    vanilla: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BiseParams(MaskParams):
    """Parameters of BISE with bias labels.

    Attributes:
        label_noise: Share of the training bias labels that are replaced by another value, drawn uniformly.
    """

    label_noise: Annotated[float, Meta(ge=0, le=1)] = 0.0


@dataclass(frozen=True)
class BiseUnsupervisedParams(MaskParams):
    """Parameters of BISE without bias labels.

    Attributes:
        bias_epochs: Epochs for which the network is trained whose predictions stand in for the bias labels.
    """

    bias_epochs: Annotated[int, Meta(ge=1)] = 1


class MaskedUnits(Method):
    """Masks of units of a frozen vanilla network, learned on the biased training set."""

    search_space = SEARCH_SPACE
    keeps_artifact = True

    def upstream(self) -> dict[str, Upstream]:
        """The vanilla network."""
        return {"vanilla": Upstream("vanilla", self.params.vanilla)}

    def effort(self) -> float:
        """Masks take as many epochs as training, on frozen weights, and every temperature passes over the data."""
        return 3.0 if self.params.finetune else 2.0


class Bise(MaskedUnits):
    """Masks of units, learned with the bias labels of the training set."""

    name = "bise"
    version = 1
    card = Card(
        "BISE",
        "Removes units of a frozen vanilla network, learning which from the biased training set and its bias labels.",
        PAPER,
        URL,
    )
    supervision = Supervision(bias_labels=True)
    Params = BiseParams

    def run(self, run: Run) -> None:
        """Learn the masks; offer the pruned network at every temperature, or the states of its fine-tuning."""
        from methods.bise.algorithm import extract
        from methods.bise.labels import given_labels

        extract(run, self.params, given_labels(run, self.params.label_noise))


class BiseUnsupervised(MaskedUnits):
    """The same with the predictions of a briefly trained network in place of bias labels."""

    name = "bise_unsupervised"
    version = 1
    card = Card(
        "BISE (no bias labels)",
        "BISE with the predictions of a network trained for one epoch in place of bias labels.",
        PAPER,
        URL,
    )
    supervision = Supervision()
    Params = BiseUnsupervisedParams

    def run(self, run: Run) -> None:
        """Guess the bias, then learn the masks as BISE does."""
        from methods.bise.algorithm import extract
        from methods.bise.labels import guessed_labels

        extract(run, self.params, guessed_labels(run, self.params.bias_epochs))
