"""Score a model on a split: counts per (y, b, prediction)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmark.counts import Groups, IntArray
from benchmark.data import Data

EVALUATION_BATCH = 1000


def flat_bias(b: torch.Tensor, values: tuple[int, ...]) -> torch.Tensor:
    """Row-major index of the combination of bias attributes: (N, biases) to (N,)."""
    index = torch.zeros(len(b), dtype=torch.int64, device=b.device)
    for column, count in enumerate(values):
        index = index * count + b[:, column]
    return index


@torch.inference_mode()
def predictions(model: nn.Module, data: Data) -> torch.Tensor:
    """The predicted class of every sample (N,), in eval mode; the model's mode is restored."""
    training = model.training
    model.eval()
    predicted = [model(batch.x).argmax(1) for batch in data.ordered(EVALUATION_BATCH)]
    model.train(training)
    return torch.cat(predicted) if predicted else torch.zeros(0, dtype=torch.int64, device=data.device)


def count(predicted: torch.Tensor, data: Data, groups: Groups) -> IntArray:
    """Predictions (N,) to a table (C, B, C)."""
    classes, combinations, _ = groups.shape
    b = flat_bias(data.b, groups.bias_values) if data.b is not None else torch.zeros_like(data.y)
    flat = (data.y * combinations + b) * classes + predicted
    table = torch.bincount(flat, minlength=classes * combinations * classes)
    return table.cpu().numpy().astype(np.int64).reshape(classes, combinations, classes)
