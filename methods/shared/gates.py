"""Gate functions: one real number m per weight or unit, a multiplier in the forward pass, a smooth slope backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch

Gate = Callable[[torch.Tensor, float], torch.Tensor]
"""Gate parameters m and temperature tau to multipliers of the shape of m; what has m >= 0 is kept."""


class _Saturated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, m: torch.Tensor, tau: float) -> torch.Tensor:
        s = torch.sigmoid(m / tau)
        ctx.save_for_backward(s)
        ctx.tau = tau
        return (2 * s).clamp_(max=1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (s,) = ctx.saved_tensors
        return grads[0] * s * (1 - s) * (2 / ctx.tau), None


class _Hard(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, m: torch.Tensor, tau: float) -> torch.Tensor:
        ctx.save_for_backward(m)
        ctx.tau = tau
        return (m >= 0).to(m.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (m,) = ctx.saved_tensors
        s = torch.sigmoid(m / ctx.tau)
        return grads[0] * s * (1 - s) * (1 / ctx.tau), None


def saturated(m: torch.Tensor, tau: float) -> torch.Tensor:
    """FFW's gate ``min(1, 2 sigmoid(m / tau))``; its gradient is that of the unsaturated ``2 sigmoid(m / tau)``.

    Exactly 1 for every m >= 0, so that a gated network starts as the vanilla network.
    """
    return cast(torch.Tensor, _Saturated.apply(m, tau))


def hard(m: torch.Tensor, tau: float) -> torch.Tensor:
    """BISE's gate: the step ``m >= 0`` forwards, straight through to the slope of ``sigmoid(m / tau)`` backwards."""
    return cast(torch.Tensor, _Hard.apply(m, tau))
