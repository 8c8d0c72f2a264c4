"""DeNetDM: a deep network takes the shortcut, a shallow one what is left, and a third learns from both. See card.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from benchmark.method import Card, Method
from benchmark.registry import METHODS
from benchmark.task import Backbone, Task
from benchmark.tuning.space import Axis, Space

if TYPE_CHECKING:
    from benchmark.run import Run

Family = Literal["mlp", "cifar", "bffhq", "bert"]
Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class DenetdmParams:
    """Parameters of DeNetDM; ``None`` takes the value of the family's column in the paper's table of settings.

    Attributes:
        branches: Architectures and settings: ``mlp`` those of Colored-MNIST, ``cifar`` those of Corrupted-CIFAR10 and
            BAR, ``bffhq`` those of BFFHQ, ``bert`` ours for texts; ``auto`` is ``mlp`` or ``bert`` where the task's
            network is one, else ``cifar``.
        shallow_layers: Linear layers of the shallow MLP, the head counted (3 in the paper), or blocks of the shallow
            BERT (1).
        deep_layers: Linear layers of the deep MLP and of the target, the head counted (5 in the paper), or blocks of
            the deep BERT (all).
        ce_weight: Of L_CE in stage 1; at 0 the branches stay untrained.
        task_weight: Of L_t in stage 2.
        distillation_weight: Of L_dist in stage 2; with both at 0 there is no stage 2, and the result is the shallow
            branch.
        temperature: T of the distillation.
        batch_size: Of both stages.
        stage1_epochs: Before the protocol scales them.
        stage2_epochs: Before the protocol scales them.
        stage1_learning_rate: Of Adam.
        stage2_learning_rate: Of Adam.
        stage1_weight_decay: Of Adam.
        stage2_weight_decay: Of Adam.
    """

    branches: Literal["auto", "mlp", "cifar", "bffhq", "bert"] = "auto"
    shallow_layers: Count | None = None
    deep_layers: Count | None = None
    ce_weight: Weight = 1.0
    task_weight: Weight = 1.0
    distillation_weight: Weight | None = None
    temperature: Positive = 2.0
    batch_size: Count | None = None
    stage1_epochs: Count | None = None
    stage2_epochs: Count | None = None
    stage1_learning_rate: Positive | None = None
    stage2_learning_rate: Positive | None = None
    stage1_weight_decay: Weight | None = None
    stage2_weight_decay: Weight | None = None


@METHODS.register
class Denetdm(Method):
    """Debiasing by network depth modulation."""

    name = "denetdm"
    version = 1
    card = Card(
        title="DeNetDM",
        summary="A deep branch takes the shortcut and frees a shallow one from it; a third network learns from both.",
        paper="DeNetDM: Debiasing by Network Depth Modulation (NeurIPS 2024)",
        url="https://arxiv.org/abs/2403.19863",
    )
    Params = DenetdmParams
    search_space: ClassVar[Space] = {
        "distillation_weight": Axis(0.1, 10.0, log=True),
        "temperature": Axis(1.0, 8.0),
    }

    def not_applicable(self, task: Task) -> str | None:
        """Its branches are defined for images and BERT, and some need a backbone of their own kind."""
        shape, backbone = task.inputs().shape, task.backbone()
        family = family_of(backbone) if self.params.branches == "auto" else self.params.branches
        if family == "bert" and not is_bert(backbone):
            return f"branches 'bert' are made of the task's BERT, and {task.name} uses {backbone.factory}"
        if family != "bert" and len(shape) != 3:
            return f"its branches {family!r} are networks for images, and {task.name} has inputs of shape {shape}"
        depths = [depth for depth in (self.params.shallow_layers, self.params.deep_layers) if depth is not None]
        if depths and family not in ("mlp", "bert"):
            return f"shallow_layers and deep_layers are for MLPs and BERT, and {task.name} gets branches {family!r}"
        if family == "mlp" and any(depth < 2 for depth in depths):
            return "an MLP has at least 2 layers, the head counted"
        if family == "bffhq" and not backbone.factory.endswith(":resnet18"):
            return f"branches 'bffhq' end with a ResNet-18, and {task.name} uses {backbone.factory}"
        if family == "cifar" and "widths" in backbone.options:
            return f"branches 'cifar' end with a convolutional network, and {task.name} uses {backbone.factory}"
        return super().not_applicable(task)

    def effort(self) -> float:
        """Two branches, then a target network."""
        return 2.0

    def run(self, run: Run) -> None:
        """Both stages; offers the target network at the protocol's cadence, and the branches for diagnosis."""
        from methods.denetdm.algorithm import train

        train(run, self.params)


def family_of(backbone: Backbone) -> Family:
    """The branches that suit a task's backbone: an MLP says its ``widths``."""
    if is_bert(backbone):
        return "bert"
    return "mlp" if "widths" in backbone.options else "cifar"


def is_bert(backbone: Backbone) -> bool:
    """Whether the network is made by a factory called ``bert``, which takes the option ``layers``."""
    return backbone.factory.endswith(":bert")
