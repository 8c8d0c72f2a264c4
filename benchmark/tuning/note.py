"""What a cell's record says of the tuning that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

NOT_YET_TUNED = "not yet tuned"
"""Stands in tables for the value of a parameter that is still being tuned."""


@dataclass(frozen=True)
class Tuning:
    """The part that a cell plays in a tuning.

    Attributes:
        study: Name.
        purpose: ``trial``: it was computed to choose parameters, and is no result; so is what trials start from.
            ``result``: its parameters were chosen.
        number: Of the trial; ``None`` if it is none.
        trials: Finished ones, on which the choice rests.
        data: What they were judged by.
        values: The parameters that were tried, or chosen.
    """

    study: str
    purpose: Literal["trial", "result"]
    number: int | None = None
    trials: int = 0
    data: str = ""
    values: dict[str, Any] = field(default_factory=dict)
