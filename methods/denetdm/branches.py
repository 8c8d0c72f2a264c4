"""The networks of DeNetDM and how they are trained, by family (appendix of the paper, and the released code)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from benchmark.network import Network
from benchmark.protocol import Protocol
from benchmark.run import Problem
from benchmark.task import Backbone, Inputs, Recipe
from methods.denetdm import DenetdmParams, Family, family_of

MLP_WIDTH = 100
CIFAR_FEATURES = 64


@dataclass(frozen=True)
class Plan:
    """What a run trains. All three encoders end in features of one width, so that they can be added.

    Attributes:
        shallow: The branch phi_d, which the shortcut is kept from.
        deep: The branch phi_b, which takes the shortcut.
        target: The network phi_t that comes out.
        stage1: How the branches are trained together.
        stage2: How the target is trained.
        distillation_weight: Of L_dist.
    """

    shallow: Backbone
    deep: Backbone
    target: Backbone
    stage1: Recipe
    stage2: Recipe
    distillation_weight: float


def plan(problem: Problem, params: DenetdmParams) -> Plan:
    """The family's networks and settings, with the departures of ``params``, scaled to the protocol."""
    family: Family = family_of(problem.backbone) if params.branches == "auto" else params.branches
    chosen = {"mlp": _mlp, "cifar": _cifar, "bffhq": _bffhq, "bert": _bert}[family](problem, params)
    weight = chosen.distillation_weight if params.distillation_weight is None else params.distillation_weight
    return replace(
        chosen,
        stage1=_recipe(chosen.stage1, params, "stage1", problem.protocol),
        stage2=_recipe(chosen.stage2, params, "stage2", problem.protocol),
        distillation_weight=weight,
    )


def _recipe(recipe: Recipe, params: DenetdmParams, stage: str, protocol: Protocol) -> Recipe:
    asked: dict[str, Any] = {
        "batch_size": params.batch_size,
        **{name: getattr(params, f"{stage}_{name}") for name in ("epochs", "learning_rate", "weight_decay")},
    }
    return replace(recipe, **{name: value for name, value in asked.items() if value is not None}).under(protocol)


def _mlp(_: Problem, params: DenetdmParams) -> Plan:
    """Colored-MNIST: all of width 100, on the flat image."""

    def layers(count: int) -> Backbone:
        return Backbone("tasks.backbones.mlp:mlp", {"widths": [MLP_WIDTH] * (count - 1)})

    shallow, deep = layers(params.shallow_layers or 3), layers(params.deep_layers or 5)
    return Plan(
        shallow=shallow,
        deep=deep,
        target=deep,
        stage1=Recipe("adam", 1e-3, batch_size=64, epochs=100, weight_decay=1e-3),
        stage2=Recipe("adam", 1e-3, batch_size=64, epochs=100),
        distillation_weight=1.0,
    )


def _cifar(problem: Problem, _: DenetdmParams) -> Plan:
    """Corrupted-CIFAR10 and BAR; the target is the task's own network (ResNet-18 there) with a linear bottleneck."""
    task = problem.backbone
    return Plan(
        shallow=Backbone("methods.denetdm.branches:shallow_cifar", layout=task.layout),
        deep=Backbone("tasks.backbones.resnet:resnet20", layout=task.layout),
        target=replace(task, options={**task.options, "bottleneck": CIFAR_FEATURES}),
        stage1=Recipe("adam", 1e-3, batch_size=256, epochs=100, weight_decay=1e-3, augment="crop_flip"),
        stage2=Recipe("adam", 1e-4, batch_size=256, epochs=200, augment="crop_flip"),
        distillation_weight=1.0,
    )


def _bffhq(problem: Problem, _: DenetdmParams) -> Plan:
    """BFFHQ; the deep branch is a ResNet-18 from scratch, the target the task's ResNet-18 with the weights it has."""
    task = problem.backbone
    return Plan(
        shallow=Backbone("methods.denetdm.branches:shallow_bffhq", layout=task.layout),
        deep=Backbone("tasks.backbones.resnet:resnet18", layout=task.layout),
        target=task,
        stage1=Recipe("adam", 1e-3, batch_size=64, epochs=10, augment="crop_flip"),
        stage2=Recipe("adam", 1e-4, batch_size=64, epochs=100, augment="crop_flip"),
        distillation_weight=0.0,
    )


def _bert(problem: Problem, params: DenetdmParams) -> Plan:
    """Texts, ours: the task's BERT, the shallow branch with its first block alone; both stages by the task's recipe."""
    task, recipe = problem.backbone, problem.reference

    def blocks(count: int | None) -> Backbone:
        return task if count is None else replace(task, options={**task.options, "layers": count})

    return Plan(
        shallow=blocks(params.shallow_layers or 1),
        deep=blocks(params.deep_layers),
        target=task,
        stage1=recipe,
        stage2=recipe,
        distillation_weight=1.0,
    )


def shallow_cifar(inputs: Inputs, classes: int) -> Network:
    """Three 5x5 convolutions with 32, 64 and 64 channels, the first two halved by max-pooling, then a global average.

    Without padding, as in the authors' code, the last map of a 32-pixel image is a single pixel. Smaller images would
    leave none and are padded.
    """
    padding = 0 if min(inputs.shape[1:]) >= 32 else 2
    return _convolutions(inputs, classes, (5, 5, 5), (32, 64, CIFAR_FEATURES), padding)


def shallow_bffhq(inputs: Inputs, classes: int) -> Network:
    """Convolutions of 7x7-64, 3x3-128, 3x3-512 and 3x3-512, all but the last halved, then a global average."""
    return _convolutions(inputs, classes, (7, 3, 3, 3), (64, 128, 512, 512), 0)


def _convolutions(
    inputs: Inputs, classes: int, kernels: tuple[int, ...], widths: tuple[int, ...], padding: int
) -> Network:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = inputs.shape[0]
    for depth, (kernel, width) in enumerate(zip(kernels, widths, strict=True), start=1):
        layers[f"conv{depth}"] = nn.Conv2d(channels, width, kernel, padding=padding)
        layers[f"bn{depth}"] = nn.BatchNorm2d(width)
        layers[f"relu{depth}"] = nn.ReLU()
        if depth < len(widths):
            layers[f"maxpool{depth}"] = nn.MaxPool2d(2)
        channels = width
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    return Network(nn.Sequential(layers), nn.Linear(channels, classes))
