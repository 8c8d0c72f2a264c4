"""What has been computed of a section or suite by a selection rule is kept with it: text, page and tables share it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Owner = TypeVar("Owner")
Found = TypeVar("Found")


def once_by_rule(compute: Callable[[Owner, str], Found]) -> Callable[[Owner, str], Found]:
    """Decorator: compute ``f(owner, rule)`` once for each rule; the owner never changes."""

    @wraps(compute)
    def remembered(owner: Owner, rule: str) -> Found:
        memory: dict[str, Found] = vars(owner).setdefault(f"_{compute.__name__}", {})
        if rule not in memory:
            memory[rule] = compute(owner, rule)
        return memory[rule]

    return remembered
