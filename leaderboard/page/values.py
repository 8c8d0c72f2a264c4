"""Numbers, texts and names as the page's data files hold them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from benchmark.errors import ResultCorruptError
from leaderboard.board import Competitor, Entry, Section
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.statistics import FloatArray, Summaries, Summary


def number(value: float | None, digits: int = 5) -> float | None:
    """Short enough to send; ``None`` in place of what JSON has no word for."""
    return None if value is None or not math.isfinite(value) else round(float(value), digits)


def numbers(values: FloatArray, digits: int = 5) -> list[float | None]:
    """As :func:`number` for each."""
    return [value if math.isfinite(value) else None for value in np.round(values, digits).tolist()]


def half_widths(summaries: Summaries) -> list[float | None]:
    """Half of each interval; ``None`` below so many seeds that it would be too wide to tell anything."""
    return numbers(np.where(summaries.n >= LEAST_SEEDS, (summaries.high - summaries.low) / 2, np.nan))


def half_width(summary: Summary) -> float | None:
    """As :func:`half_widths`, of one."""
    return number((summary.high - summary.low) / 2) if summary.n >= LEAST_SEEDS else None


def mean(values: Iterable[Any]) -> float | None:
    """Of those values that are numbers."""
    known = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return number(sum(known) / len(known)) if known else None


@lru_cache(maxsize=10_000)
def parsed(text: str | None) -> dict[str, Any]:
    """A JSON object from the table, not to be changed; empty if there is none.

    Raises:
        ResultCorruptError: The text is not one.
    """
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ResultCorruptError(f"the table has {text[:80]!r} where a JSON object belongs: {error}") from error


def competitor_id(competitor: Competitor) -> str:
    """Of a method in addresses, whatever its name is."""
    return f"{slug(competitor.method)}-{digest([competitor.method, competitor.variant, competitor.version])}"


def entry_ids(section: Section) -> dict[str, Entry]:
    """The entries by an id that is the same in every section, unless two of one section would share it."""
    found: dict[str, Entry] = {}
    for entry in section.entries:
        name = competitor_id(entry.competitor)
        while name in found:
            name += "+"
        found[name] = entry
    return found


def section_id(section: Section) -> str:
    """Of a section in addresses and file names."""
    level = "natural" if section.rho is None else f"{section.rho:g}"
    identity = [
        section.task,
        section.task_version,
        section.task_params,
        section.rho,
        section.protocol,
        section.protocol_settings,
        section.precision,
        section.engine_version,
    ]
    return f"{slug(section.task)}-{level}-{slug(section.protocol)}-{digest(identity)}"


def slug(text: str) -> str:
    """Short, and harmless in file names and addresses."""
    return re.sub(r"[^a-z0-9_]+", "_", text.lower())[:40]


def digest(value: Any) -> str:
    """Tells values apart that slugs do not."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:6]
