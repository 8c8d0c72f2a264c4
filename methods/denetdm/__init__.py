"""DeNetDM: a deep network takes the shortcut, a shallow one what is left, and a third learns from both. See card.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from benchmark.method import Card, Method
from benchmark.registry import METHODS
from benchmark.task import Task
from benchmark.tuning.space import Axis, Space

if TYPE_CHECKING:
    from benchmark.run import Run

Family = Literal["mlp", "cifar", "bffhq"]
Positive = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Layers = Annotated[int, Meta(ge=2)]


@dataclass(frozen=True)
class DenetdmParams:
    """Parameters of DeNetDM; ``None`` takes the value of the family's column in the paper's table of settings.

    Attributes:
        branches: Architectures and settings: ``mlp`` those of Colored-MNIST, ``cifar`` those of Corrupted-CIFAR10 and
            BAR, ``bffhq`` those of BFFHQ; ``auto`` is ``mlp`` where the task's network is one, else ``cifar``.
        shallow_layers: Linear layers of the shallow MLP, the head counted (3 in the paper).
        deep_layers: Linear layers of the deep MLP and of the target, the head counted (5 in the paper).
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

    branches: Literal["auto", "mlp", "cifar", "bffhq"] = "auto"
    shallow_layers: Layers | None = None
    deep_layers: Layers | None = None
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
        """Its branches are defined for images, depths for MLPs alone, and some need a backbone of their own kind."""
        shape, backbone = task.inputs().shape, task.backbone()
        if len(shape) != 3:
            return f"its branches are networks for images, and {task.name} has inputs of shape {shape}"
        family = self.params.branches
        if family == "auto":
            family = family_of(backbone.options)
        depths = (self.params.shallow_layers, self.params.deep_layers)
        if depths != (None, None) and family != "mlp":
            return f"shallow_layers and deep_layers are for MLP branches, and {task.name} gets those called {family!r}"
        if family == "bffhq" and not backbone.factory.endswith(":resnet18"):
            return f"branches 'bffhq' end with a ResNet-18, and {task.name} uses {backbone.factory}"
        if family == "cifar" and "widths" in backbone.options:
            return f"branches 'cifar' end with a convolutional network, and {task.name} uses {backbone.factory}"
        return super().not_applicable(task)

    def run(self, run: Run) -> None:
        """Both stages; offers the target network at the protocol's cadence, and the branches for diagnosis."""
        from methods.denetdm.algorithm import train

        train(run, self.params)


def family_of(options: dict[str, object]) -> Family:
    """The branches that suit a task's backbone, by its options: an MLP says its ``widths``."""
    return "mlp" if "widths" in options else "cifar"
