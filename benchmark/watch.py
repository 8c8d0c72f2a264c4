"""Who looks at a cell's candidates while it runs: a trial of a tuning, which may be ended early."""

from __future__ import annotations

from typing import Protocol

from benchmark.tuning.objective import Objective


class Watch(Protocol):
    """Told the objective of every selectable candidate as soon as it is offered."""

    @property
    def objective(self) -> Objective:
        """What is computed of a candidate."""

    def report(self, step: int, value: float) -> None:
        """Take note of the value of selectable candidate ``step``."""

    def hopeless(self, step: int, value: float) -> bool:
        """The same, and whether the cell is to be ended."""
