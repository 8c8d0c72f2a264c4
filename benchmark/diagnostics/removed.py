"""What was removed from a model, layer by layer, and how long it takes: dense, masked, compact."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from benchmark.cost import WEIGHTED, Compactable, compacted, measure_latency
from benchmark.diagnostics.subject import Subject
from benchmark.network import Network, build_network

REPEATS, WARM_UP = 10, 2
"""Batches that are timed and that run before; the median is kept."""


@runtime_checkable
class Masked(Protocol):
    """A model some of whose units are fixed at 0."""

    def unit_masks(self) -> dict[str, torch.Tensor]:
        """Which units are kept, bool (units,), by the name of the site's module."""


def pruned(subject: Subject) -> dict[str, Any]:
    """Units removed at every masked site, and weights of every layer that are exactly zero or gone with such units."""
    model = subject.after
    masks = model.unit_masks() if isinstance(model, Masked) else {}
    left = dict(compacted(model).named_modules())
    layers = {name: module for name, module in model.named_modules() if isinstance(module, WEIGHTED)}
    weights = {
        name: (layer.weight.numel(), int(torch.count_nonzero(left[name].get_parameter("weight"))))
        for name, layer in layers.items()
    }
    return {
        "units": {name: _removed(mask.numel(), int(mask.sum())) for name, mask in masks.items()},
        "weights": {name: _removed(*counts) for name, counts in weights.items()},
    }


def _removed(total: int, kept: int) -> dict[str, float]:
    return {"total": total, "removed": total - kept, "share": (total - kept) / total}


def latency(subject: Subject) -> dict[str, Any]:
    """Median seconds for a batch of 1 and of 128 in single precision, on the record's hardware and threads.

    ``dense`` is the model without masks, ``masked`` the one that was offered, ``compact`` the one without its masked
    units. A model that carries no masked units is timed as ``dense`` only: zeros among weights make nothing faster.
    """
    model = subject.after
    variants: dict[str, nn.Module] = {"dense": model}
    if isinstance(model, Compactable):
        variants = {"masked": model, "compact": model.compact()}
        dense = _dense(subject, model)
        if dense is not None:
            variants = {"dense": dense, **variants}
    sample = subject.test.batch(torch.zeros(1, dtype=torch.int64, device=subject.device)).x
    return {name: _times(variant, sample) for name, variant in variants.items()}


def _dense(subject: Subject, model: nn.Module) -> Network | None:
    """A network of the same architecture without masks; its weights do not matter."""
    if subject.before is not None or not isinstance(model, Network) or model.backbone is None:
        return subject.before
    task = subject.task
    return build_network(model.backbone, task.inputs(), len(task.classes), "diagnostics").to(subject.device)


def _times(model: nn.Module, sample: torch.Tensor) -> dict[str, float]:
    return {str(size): value for size, value in measure_latency(model, sample, (1, 128), REPEATS, WARM_UP).items()}
