"""Counts of the trials of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tally:
    """How far a study is.

    Attributes:
        complete: Trials that ran through.
        pruned: Trials that were ended early.
        failed: Trials whose cell has failed.
        running: Trials that somebody works on, or has left.
        best: The greatest value so far.
        best_values: Of the parameters there.
    """

    complete: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    best: float | None = None
    best_values: dict[str, Any] | None = None

    @property
    def finished(self) -> int:
        """Trials that count in the budget and are over."""
        return self.complete + self.pruned + self.failed
