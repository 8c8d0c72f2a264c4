"""What part a method plays in a comparison; charts draw the parts differently."""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["baseline", "control", "method"]


def role(method: str) -> Role:
    """``baseline``: vanilla training; ``control``: pruning that never looks at the bias, at random or by magnitude."""
    if method == "vanilla":
        return "baseline"
    return "control" if re.match(r"(random|magnitude)(_|$)", method) else "method"
