"""About how much there is to compute on a task, without building a network: for guesses of time."""

from __future__ import annotations

import itertools
import math

from benchmark.task import Backbone, Inputs
from tasks.pretrained import MINILM

PER_PIXEL = {
    "tasks.backbones.convnet:simple_convnet": 415.4e6 / 28**2,
    "tasks.backbones.resnet:resnet18": 1.82e9 / 224**2,
    "tasks.backbones.efficientnet:efficientnet_lite0": 0.40e9 / 224**2,
}
"""Multiply-accumulates of convolutional networks, which grow with the area of their input."""
TRANSFORMERS = {MINILM: (6, 384)}
"""Blocks and width of the text models that are known by name; others count as BERT-base."""
BERT_BASE = (12, 768)


def macs_of(backbone: Backbone, inputs: Inputs, classes: int) -> int | None:
    """Multiply-accumulates of a network of this project for one input, to a tenth; ``None`` for others."""
    if backbone.factory == "tasks.backbones.mlp:mlp":
        widths: tuple[int, ...] = (math.prod(inputs.shape), *backbone.options["widths"], classes)
        return sum(a * b for a, b in itertools.pairwise(widths))
    if backbone.factory == "tasks.backbones.bert:bert":
        blocks, width = TRANSFORMERS.get(backbone.options["model"], BERT_BASE)
        length = inputs.shape[0]
        return blocks * (12 * length * width**2 + 2 * length**2 * width)
    if backbone.factory in PER_PIXEL:
        return round(PER_PIXEL[backbone.factory] * math.prod(inputs.shape[1:]))
    return None
