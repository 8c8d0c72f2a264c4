"""When a temperature falls, and when a quantity has stopped to improve."""

from __future__ import annotations

import math
from typing import Any

SLACK = 1e-9
"""Keeps rounding of the logarithms from adding or losing a level where the stop is a power of the factor."""


def levels(start: float, factor: float, stop: float, *, inclusive: bool) -> int:
    """How many temperatures ``start * factor**k``, k = 0, 1, … come before the one that ends the schedule.

    Args:
        start: The first temperature.
        factor: In (0, 1).
        stop: The schedule ends at the first temperature below this one,
        inclusive: or also at one that equals it.

    Raises:
        ValueError: The temperature would not fall from ``start`` to ``stop``.
    """
    if not (0 < factor < 1 and 0 < stop < start):
        raise ValueError(f"a temperature falls from start to stop by a factor in (0, 1), got {start}, {stop}, {factor}")
    drops = math.log(stop / start) / math.log(factor)
    return math.ceil(drops - SLACK) if inclusive else math.floor(drops + SLACK) + 1


class Plateau:
    """Tells when a quantity that should fall towards 0 has not fallen for a while.

    Attributes:
        patience: How many epochs in a row may pass without an improvement.
        threshold: An improvement is a fall by more than this share of the best value so far.
    """

    def __init__(self, patience: int, threshold: float) -> None:
        """Start without a best value."""
        self.patience = patience
        self.threshold = threshold
        self.best = math.inf
        self.waited = 0

    def reached(self, value: float) -> bool:
        """Take the value of an epoch; whether the patience is exceeded, which starts the wait anew."""
        value = max(value, 0.0)  # information that is 0 comes out as a tiny number of either sign
        if value < self.best * (1 - self.threshold):
            self.best, self.waited = value, 0
            return False
        self.waited += 1
        if self.waited <= self.patience:
            return False
        self.waited = 0
        return True

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of :meth:`state_dict`."""
        self.best, self.waited = state["best"], state["waited"]
