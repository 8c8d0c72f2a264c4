"""Score a model on a split: counts per (y, b, prediction)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmark.counts import Groups, IntArray
from benchmark.data import Data
from benchmark.errors import DivergedError

EVALUATION_BATCH = 1000


def flat_bias(b: torch.Tensor, values: tuple[int, ...]) -> torch.Tensor:
    """Row-major index of the combination of bias attributes: (N, biases) to (N,)."""
    index = torch.zeros(len(b), dtype=torch.int64, device=b.device)
    for column, count in enumerate(values):
        index = index * count + b[:, column]
    return index


@torch.inference_mode()
def predictions(model: nn.Module, data: Data, classes: int | None = None) -> torch.Tensor:
    """The predicted class of every sample (N,), in eval mode; the model's mode is restored.

    Raises:
        DivergedError: Logits are NaN or infinite; argmax would silently turn them into some class.
        ValueError: The model does not give ``classes`` logits per sample.
    """
    training = model.training
    model.eval()
    predicted = []
    finite = torch.ones((), dtype=torch.bool, device=data.device)
    for batch in data.ordered(EVALUATION_BATCH):
        logits = model(batch.x)
        if classes is not None and logits.shape != (len(batch.y), classes):
            raise ValueError(f"expected logits of shape {(len(batch.y), classes)}, got {tuple(logits.shape)}")
        finite &= torch.isfinite(logits).all()
        predicted.append(logits.argmax(1))
    model.train(training)
    if not bool(finite):
        raise DivergedError("logits are NaN or infinite; a smaller learning rate may help")
    return torch.cat(predicted) if predicted else torch.zeros(0, dtype=torch.int64, device=data.device)


def count(predicted: torch.Tensor, data: Data, groups: Groups) -> IntArray:
    """Predictions (N,) to a table (C, B, C)."""
    classes, combinations, _ = groups.shape
    b = flat_bias(data.b, groups.bias_values) if data.b is not None else torch.zeros_like(data.y)
    flat = (data.y * combinations + b) * classes + predicted
    table = torch.bincount(flat, minlength=classes * combinations * classes)
    return table.cpu().numpy().astype(np.int64).reshape(classes, combinations, classes)
