"""What a model costs: parameters, weights that are zero, multiply-accumulates, and measured latency."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@runtime_checkable
class Compactable(Protocol):
    """A model that carries units which no longer do anything."""

    def compact(self) -> nn.Module:
        """A smaller model of its own, without them, that computes the same."""


def compacted(model: nn.Module) -> nn.Module:
    """The model as one would ship it: without masked units, if it has any."""
    return model.compact() if isinstance(model, Compactable) else model


@dataclass(frozen=True)
class Cost:
    """Size and arithmetic of a model.

    Attributes:
        parameters: All of them, biases and batch norm included.
        weights: Entries of the weights of convolutions and linear layers, without biases.
        nonzero: How many of these are not exactly zero.
        macs: Multiply-accumulates for one input, see :func:`measure_cost`.
    """

    parameters: int
    weights: int
    nonzero: int
    macs: int

    def sparsity(self, dense: Cost) -> float:
        """Share of the weights of ``dense`` that are zero here or no longer there, 0 to 1."""
        return 1 - self.nonzero / dense.weights


class _Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the floating-point operations of what is called inside, by torch's own formulas.

    ``torch.utils.flop_counter.FlopCounterMode`` without its table by module, which takes twice as long as the count.

    Attributes:
        total: Two per multiply-accumulate.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, formula = kwargs or {}, flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:  # an operation that consists of others
                result = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if result is NotImplemented else result
        result = func(*args, **kwargs)
        self.total += formula(*args, **kwargs, out_val=result)
        return result


def measure_cost(model: nn.Module, sample: torch.Tensor) -> Cost:
    """Count parameters, weights and multiply-accumulates of ``model`` in eval mode.

    A multiply-accumulate of a convolution, a matrix product or attention counts one; batch norm counts 2 per element
    and average pooling 1 per element that it reads. Activations, additions and max-pooling count nothing. In this
    convention, the one of BISE (CVPR 2026), the dense simple conv net has 415.4 M at 28x28.

    Args:
        model: Maps inputs to logits.
        sample: One network input, with its batch dimension (1, …), on the model's device.
    """
    counter = _Flops()
    elements: list[int] = []

    def batch_norm(_: nn.Module, inputs: tuple[torch.Tensor], __: torch.Tensor) -> None:
        elements.append(2 * inputs[0].numel())

    def pool(_: nn.Module, inputs: tuple[torch.Tensor], __: torch.Tensor) -> None:
        elements.append(inputs[0].numel())

    hooks = [m.register_forward_hook(batch_norm) for m in model.modules() if isinstance(m, NORMS)]
    hooks += [m.register_forward_hook(pool) for m in model.modules() if isinstance(m, POOLS)]
    try:
        # fused attention of the CPU is unknown to the counter; the plain one gives the same count on every device
        with _evaluating(model), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            model(sample)
    finally:
        for hook in hooks:
            hook.remove()
    weights, nonzero = count_weights(model)
    return Cost(
        parameters=sum(p.numel() for p in model.parameters()),
        weights=weights,
        nonzero=nonzero,
        macs=counter.total // 2 + sum(elements),
    )


def count_weights(model: nn.Module) -> tuple[int, int]:
    """Entries of the weights of convolutions and linear layers, and how many of them are not exactly zero."""
    weights = [module.weight for module in model.modules() if isinstance(module, WEIGHTED)]
    return sum(w.numel() for w in weights), sum(int(torch.count_nonzero(w)) for w in weights)


def measure_latency(
    model: nn.Module, sample: torch.Tensor, batch_sizes: Sequence[int] = (1, 128), repeats: int = 20, warm_up: int = 3
) -> dict[int, float]:
    """Seconds that one batch takes in eval mode, by batch size: the median over ``repeats``.

    Args:
        model: Maps inputs to logits.
        sample: One network input, with its batch dimension (1, …), on the model's device; repeated to fill a batch.
        batch_sizes: Which to time.
        repeats: Timed batches of each size.
        warm_up: Batches of each size that run first and are not timed.
    """
    result = {}
    with _evaluating(model), torch.inference_mode():
        for size in batch_sizes:
            batch = sample.repeat(size, *(1 for _ in sample.shape[1:]))
            seconds = [_timed(model, batch) for _ in range(warm_up + repeats)]
            result[size] = statistics.median(seconds[warm_up:])
    return result


def _timed(model: nn.Module, batch: torch.Tensor) -> float:
    if batch.is_cuda:
        torch.cuda.synchronize(batch.device)
    start = time.perf_counter()
    model(batch)
    if batch.is_cuda:
        torch.cuda.synchronize(batch.device)
    return time.perf_counter() - start


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode is restored."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
