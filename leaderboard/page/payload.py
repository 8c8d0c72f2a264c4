"""What the page shows, as plain JSON values: an index of everything, one part per section, and the cells in chunks.

The browser loads the index at once, a section's part when it is looked at, and cells when one of them is opened, so
that the page stays quick however many records there are. All statistics are computed here; scripts only display.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmark.forked import forked_map
from benchmark.metrics import METRICS
from benchmark.selection import RULES
from leaderboard.across import data_sources, over_levels, over_tasks, task_title
from leaderboard.board import Board, Entry, Section, Suite
from leaderboard.budgets import plain, unequal_budgets
from leaderboard.page.cells import cells_part, chunks_of
from leaderboard.page.section import MARKS, section_part
from leaderboard.page.values import competitor_id, entry_ids, half_width, number, section_id
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.references import Reference
from leaderboard.roles import role

MANY_METHODS = 60
"""Above as many, averages over tasks are computed for the rule that the page opens with only."""


FEW_CELLS = 2000
"""Up to as many, more processes take longer to start than they save."""


@dataclass(frozen=True)
class Part:
    """A file of data: its name without suffix, and the script that it is."""

    name: str
    script: bytes


def parts(board: Board, references: Sequence[Reference], title: str, rule: str) -> Iterator[Part]:
    """All files of data of a page, the index last."""
    index: dict[str, Any] = {
        "title": title,
        "rule": rule,
        "rules": [{"name": r.name, "uses": r.uses, "rankable": r.rankable} for r in RULES.values()],
        "metrics": {name: metric.definition for name, metric in METRICS.items()},
        "leastSeeds": LEAST_SEEDS,
        "code": board.code,
        "hardware": board.hardware,
        "methods": {},
        "sections": [],
        "suites": {},
        "budgets": {},
    }
    places: list[tuple[Section, dict[str, Any]]] = []
    for suite, label in zip(board.suites, suite_labels(board.suites), strict=True):
        index["suites"][label] = _over_tasks(suite, rule)
        index["budgets"][label] = plain(unequal_budgets(e for section in suite.sections for e in section.entries))
        for levels in suite.levels:
            data = task_title(suite, levels).removeprefix(levels[0].task).removeprefix(", ")
            curves = {name: _over_levels(levels, name) for name in RULES}
            for section in levels:
                about = {"id": section_id(section), "data": data, "protocol": label}
                places.append((section, {**about, "curves": curves if section is levels[0] else None}))
                index["methods"] |= {i: _method(entry) for i, entry in entry_ids(section).items()}

    def of_section(position: int) -> tuple[dict[str, Any], list[Part]]:
        return _of_section(places[position][0], references)

    few = sum(len(entry.cells) for section, _ in places for entry in section.entries) <= FEW_CELLS
    found = (map if few else forked_map)(of_section, range(len(places)))
    for (_, about), (overview, files) in zip(places, found, strict=True):
        index["sections"].append({**about, **overview})
        yield from files
    yield Part("index", as_script("index", index))


def as_script(name: str, content: Any) -> bytes:
    """A call that hands JSON to the page; it loads from a file system, where a page may not read JSON files.

    Text in it can neither end a script element nor a line of script, whatever it is.
    """
    encoded = b",".join(msgspec.json.encode(value).replace(b"<", b"\\u003c") for value in (name, content))
    return b"receive(" + encoded + b");\n"


def _of_section(section: Section, references: Sequence[Reference]) -> tuple[dict[str, Any], list[Part]]:
    """What the index says of a section, and its files."""
    name, chunks = section_id(section), chunks_of(section)
    content = section_part(section, references, chunks)
    files = {name: content} | {f"{name}.cells{i}": cells_part(section, chunk) for i, chunk in enumerate(chunks)}
    return _overview(section, content), [Part(name, as_script(name, content)) for name, content in files.items()]


def suite_labels(suites: Sequence[Suite]) -> list[str]:
    """The protocol of each suite, with as much of the rest as tells it from the others."""
    plain = [suite.protocol + ("" if suite.precision == "fp32" else f", {suite.precision}") for suite in suites]
    labels: list[str] = []
    for suite, name in zip(suites, plain, strict=True):
        label = name if plain.count(name) == 1 else f"{name}, harness {suite.sections[0].engine_version}"
        while label in labels:
            label += " (other settings)"
        labels.append(label)
    return labels


def _over_tasks(suite: Suite, rule: str) -> dict[str, Any]:
    """Average ranks and interquartile means by rule, best method first."""
    many = max(len(section.entries) for section in suite.sections) > MANY_METHODS
    found = {}
    for name in (rule,) if many else [name for name, each in RULES.items() if each.rankable]:
        over = over_tasks(suite, name)
        if over is not None:
            found[name] = {
                "methods": [competitor_id(competitor) for competitor in over.competitors],
                "tasks": over.tasks,
                "ranks": [number(value, 3) for value in over.ranks.ranks],
                "difference": number(over.ranks.critical_difference, 3),
                "friedman": number(over.ranks.friedman_p, 4),
                "groups": over.ranks.groups,
                "means": [[number(each.value), number(each.low), number(each.high)] for each in over.means],
                "leftOut": len(over.left_out),
                "sources": data_sources(suite, over.tasks),
            }
    return found


def _over_levels(levels: Sequence[Section], rule: str) -> dict[str, Any]:
    """Area under the curve over rho, and where it breaks down, by method."""
    return {
        competitor_id(found.competitor): {
            "area": number(found.area.mean),
            "half": half_width(found.area),
            "breakdown": number(found.breakdown),
            "holds": found.breakdown == math.inf,
        }
        for found in over_levels(levels, rule)
    }


def _method(entry: Entry) -> dict[str, Any]:
    return {
        "method": entry.method,
        "variant": entry.competitor.variant,
        "version": entry.version,
        "supervision": entry.supervision,
        "role": role(entry.method),
        "superseded": entry.superseded,
    }


def _overview(section: Section, content: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a section from others, and enough of it for the table of all sections."""
    marks = "".join(entry["marks"] for entry in content["entries"])
    return {
        "task": section.task,
        "rho": section.rho,
        "params": section.task_params,
        "headline": section.headline,
        "seeds": section.seeds,
        "cells": {status: marks.count(mark) for status, mark in MARKS.items()},
        "entries": [entry["id"] for entry in content["entries"]],
        "scores": {
            rule: {
                "mean": found["metrics"][section.headline]["mean"],
                "half": found["metrics"][section.headline]["half"],
                "rank": found["rank"],
            }
            for rule, found in content["rules"].items()
        },
    }
