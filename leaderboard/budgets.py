"""Who was tuned with how many trials, said wherever methods with unequal budgets are compared."""

from __future__ import annotations

from collections.abc import Iterable

from leaderboard.board import Entry
from leaderboard.document import Code, Span, Spans

NAMED = 3
"""Methods that are named for each budget; the others are counted."""


def unequal_budgets(entries: Iterable[Entry]) -> Spans | None:
    """A sentence on the tuning budgets of methods that are compared; ``None`` if they are equal or not known."""
    found: dict[int, dict[str, None]] = {}
    for entry in entries:
        if entry.tuning_trials is not None and not entry.superseded:
            found.setdefault(entry.tuning_trials, {})[entry.competitor.label] = None
    if len(found) < 2:
        return None
    spans: list[Span] = ["Tuning budgets differ: "]
    for place, (trials, names) in enumerate(sorted(found.items(), reverse=True)):
        spans.append(("; " if place else "") + (f"{trials} trials for " if trials else "none for "))
        spans += _listed(sorted(names))
    return (*spans, ". More trials are more chances to do well.")


def _listed(names: list[str]) -> list[Span]:
    shown: list[Span] = [Code(name) for name in names[: NAMED if len(names) > NAMED + 1 else None]]
    if len(shown) < len(names):
        shown.append(f"{len(names) - len(shown)} others")
    spans: list[Span] = []
    for place, span in enumerate(shown):
        if place:
            spans.append(" and " if place == len(shown) - 1 else ", ")
        spans.append(span)
    return spans


def plain(spans: Spans | None) -> str | None:
    """Without formatting."""
    return None if spans is None else "".join(span if isinstance(span, str) else span.text for span in spans)
