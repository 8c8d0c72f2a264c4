"""What the page shows, as plain JSON values: an index of everything, one part per section, and the cells in chunks.

The browser loads the index at once, a section's part when it is looked at, and cells when one of them is opened, so
that the page stays quick however many records there are. All statistics are computed here; scripts only display.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.metrics import METRICS
from benchmark.selection import RULES
from leaderboard.across import over_levels, over_tasks, task_title
from leaderboard.board import Board, Competitor, Entry, Section, Suite
from leaderboard.page.reproduce import reproduce
from leaderboard.ranking import LEAST_SEEDS, Ranking
from leaderboard.references import Reference, lookup
from leaderboard.standings import separation, standings
from leaderboard.statistics import FloatArray, compare_all, summarise_all

SHOWN = (*METRICS, "sparsity", "candidate_macs")
"""What is summarised over seeds."""
COSTS = ("train_seconds", "parameters", "macs", "peak_memory_bytes")
CELL = (
    "key",
    "status",
    "failure",
    "traceback",
    "code",
    "hardware",
    "finished_at",
    "train_seconds",
    "evaluate_seconds",
    "peak_memory_bytes",
    "parameters",
    "macs",
    "candidates",
)
"""What a cell tells that does not depend on the selection rule."""
CELLS_PER_CHUNK = 300
ALL_PAIRS = 32
"""Up to as many methods every pair is compared; above, the leading ones with all others."""
LEADERS = 4
RANKABLE = tuple(name for name, rule in RULES.items() if rule.rankable)
MARKS = {"done": "d", "failed": "f", "missing": "m"}


@dataclass(frozen=True)
class Part:
    """A file of data: its name, and what it holds."""

    name: str
    content: Any


def role(method: str) -> str:
    """``baseline``, ``control`` (what pruning does without looking at the bias), or ``method``."""
    if method == "vanilla":
        return "baseline"
    return "control" if re.match(r"(random|magnitude)(_|$)", method) else "method"


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
    }
    for suite, label in zip(board.suites, suite_labels(board.suites), strict=True):
        index["suites"][label] = {r: found for r in RANKABLE if (found := _over_tasks(suite, r))}
        for levels in suite.levels:
            data = task_title(suite, levels).removeprefix(levels[0].task).removeprefix(", ")
            curves = {r: _over_levels(levels, r) for r in RULES}
            for section in levels:
                name, chunks = section_id(section), list(_chunks(section))
                content = _section(section, references, chunks)
                about = {"id": name, "data": data, "protocol": label, "curves": curves if section is levels[0] else None}
                index["sections"].append({**about, **_overview(section, content)})
                index["methods"] |= {i: _method(e) for i, e in _named(section).items()}
                yield Part(name, content)
                for number, chunk in enumerate(chunks):
                    yield Part(f"{name}.cells{number}", _cells(section, chunk))
    yield Part("index", index)


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


def _over_tasks(suite: Suite, rule: str) -> dict[str, Any] | None:
    """Average ranks and interquartile means, best first."""
    found = over_tasks(suite, rule)
    if found is None:
        return None
    return {
        "methods": [competitor_id(competitor) for competitor in found.competitors],
        "tasks": found.tasks,
        "ranks": [_number(value, 3) for value in found.ranks.ranks],
        "difference": _number(found.ranks.critical_difference, 3),
        "friedman": _number(found.ranks.friedman_p, 4),
        "groups": found.ranks.groups,
        "means": [[_number(mean.value), _number(mean.low), _number(mean.high)] for mean in found.means],
        "leftOut": len(found.left_out),
    }


def _over_levels(levels: Sequence[Section], rule: str) -> dict[str, Any]:
    """Area under the curve over rho, and where it breaks down, by method."""
    return {
        competitor_id(found.competitor): {
            "area": _number(found.area.mean),
            "half": _number((found.area.high - found.area.low) / 2),
            "breakdown": _number(found.breakdown),
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


def _section(
    section: Section, references: Sequence[Reference], chunks: Sequence[Mapping[str, Entry]]
) -> dict[str, Any]:
    place = {name: number for number, chunk in enumerate(chunks) for name in chunk}
    published = lookup(references, task=section.task, rho=section.rho)
    return {
        "entries": [
            {
                "id": name,
                "variant": entry.variant,
                "params": entry.params,
                "chunk": place[name],
                "marks": "".join(MARKS[entry.cells[s]["status"]] if s in entry.cells else "m" for s in section.seeds),
                "costs": {cost: _mean(row[cost] for row in _timed(entry)) for cost in COSTS},
                "published": [_published(reference) for reference in published if reference.method == entry.method],
                "reproduce": reproduce(section, entry),
                "notes": _notes(entry),
                **_diagnostics(entry),
            }
            for name, entry in _named(section).items()
        ],
        "rules": {rule: _rule(section, rule) for rule in RULES},
        "published": [{"method": reference.method, **_published(reference)} for reference in published],
        "notApplicable": section.not_applicable,
        "unequalBudgets": section.unequal_budgets,
    }


def _rule(section: Section, rule: str) -> dict[str, Any]:
    """Everything that depends on the selection rule: one value per entry, in their order."""
    entries = section.entries
    found: dict[str, Any] = {"metrics": {}, "rank": [None] * len(entries)}
    for metric in SHOWN:
        summaries = summarise_all(section.scores(metric, rule))
        found["metrics"][metric] = {
            "mean": _numbers(summaries.mean),
            "half": _numbers((summaries.high - summaries.low) / 2),
        }
    found["n"] = [len(entry.by_rule.get(rule, {})) for entry in entries]
    lost = section.scores(section.headline, "oracle") - section.scores(section.headline, rule)
    found["oracleGap"] = _numbers(summarise_all(lost).mean)
    found["info"] = _info(entries, rule)
    if RULES[rule].rankable:
        ranking = section.ranking(rule)
        found["rank"] = [
            None if best is None else [best, worst] for best, worst in zip(ranking.best, ranking.worst, strict=True)
        ]
        found["pairs"] = _pairs(section, rule, ranking)
    return found


def _pairs(section: Section, rule: str, ranking: Ranking) -> dict[str, Any]:
    """Comparisons of some methods, the rows, with all methods, seed by seed."""
    scores = section.scores(section.headline, rule)
    place = {id(entry): i for i, entry in enumerate(section.entries)}
    order = [place[id(standing.entry)] for standing in standings(section, rule) if standing.summary.n]
    rows = sorted(order if len(order) <= ALL_PAIRS else order[:LEADERS])
    table = compare_all(scores[rows, None], scores[None])
    needed = separation(section, rule)
    return {
        "rows": rows,
        "difference": [_numbers(line) for line in table.difference],
        "half": [_numbers(line) for line in (table.high - table.low) / 2],
        "probability": [_numbers(line, 3) for line in table.probability],
        "p": [_numbers(line, 4) for line in ranking.p_adjusted[rows]],
        "separation": needed and [place[id(needed.first)], place[id(needed.second)], needed.seeds],
    }


def _info(entries: Sequence[Entry], rule: str) -> dict[str, Any]:
    """Means over seeds of what methods reported of the chosen candidates."""
    reported = [[_json(row["info"]) for row in entry.by_rule.get(rule, {}).values()] for entry in entries]
    names = sorted({name for each in reported for info in each for name in info})
    return {name: [_mean(info.get(name) for info in each) for each in reported] for name in names}


def _notes(entry: Entry) -> list[str]:
    """What a reader must know before trusting the numbers."""
    notes = []
    if entry.tuning_trials:
        notes.append(f"tuned with {entry.tuning_trials} trials" + (f" on {entry.tuning_data}" * bool(entry.tuning_data)))
    if entry.superseded:
        notes.append(f"version {entry.version} of the method; a newer one is here and is ranked instead")
    if entry.stale:
        notes.append(f"stale: {entry.stale}")
    if entry.left_out:
        notes.append(f"{entry.left_out} older records of the same cells are left out")
    return notes


def _diagnostics(entry: Entry) -> dict[str, Any]:
    """Pruned share per layer, averaged over seeds, and the pictures of the first seed that has them."""
    found: dict[str, Any] = {}
    reports = [_json(row.get("diagnostics")) for row in entry.cells.values() if row["status"] == "done"]
    layers = [report["pruned_per_layer"] for report in reports if report.get("pruned_per_layer")]
    if layers:
        found["layers"] = {name: _mean(each.get(name) for each in layers) for name in layers[0]}
    pictures = next((report["grad_cam"] for report in reports if report.get("grad_cam")), None)
    if pictures:
        found["pictures"] = pictures
    return found


def _named(section: Section) -> dict[str, Entry]:
    """The entries by an id that is the same in every section, unless two of one section would share it."""
    found: dict[str, Entry] = {}
    for entry in section.entries:
        name = competitor_id(entry.competitor)
        while name in found:
            name += "+"
        found[name] = entry
    return found


def _chunks(section: Section) -> Iterator[dict[str, Entry]]:
    """The entries in runs of limited cells."""
    chunk: dict[str, Entry] = {}
    size = 0
    for name, entry in _named(section).items():
        if chunk and size + len(entry.cells) > CELLS_PER_CHUNK:
            yield chunk
            chunk, size = {}, 0
        chunk[name] = entry
        size += len(entry.cells)
    if chunk:
        yield chunk


def _cells(section: Section, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Each cell of some entries; environments, which are mostly the same, once."""
    environments: dict[str, int] = {}
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        cells = found[name] = {}
        for seed, row in sorted(entry.cells.items()):
            cells[seed] = {column: row[column] for column in CELL if row[column] is not None}
            cells[seed]["environment"] = environments.setdefault(row["environment"] or "{}", len(environments))
            cells[seed]["rules"] = {
                rule: _choice(by_seed[seed], section.headline)
                for rule, by_seed in entry.by_rule.items()
                if seed in by_seed
            }
    return {"environments": [_json(text) for text in environments], "cells": found}


def _choice(row: Mapping[str, Any], headline: str) -> dict[str, Any]:
    """What a rule chose in a cell."""
    return {
        "candidate": row["candidate"],
        "info": _json(row["info"]),
        "score": _number(row[headline]),
        "sparsity": _number(row["sparsity"]),
    }


def _published(reference: Reference) -> dict[str, Any]:
    names = ("metric", "published_metric", "level", "source", "evidence", "note")
    return {name: getattr(reference, name) for name in names} | {
        "value": _number(reference.value),
        "std": _number(reference.std),
    }


def _timed(entry: Entry) -> list[Mapping[str, Any]]:
    """Finished cells that ran in one go, so that their times are whole."""
    return [row for row in entry.cells.values() if row["status"] == "done" and not row["resumed"]]


def competitor_id(competitor: Competitor) -> str:
    """Of a method in addresses, whatever its name is."""
    return f"{_slug(competitor.method)}-{_digest([competitor.method, competitor.variant, competitor.version])}"


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
    return f"{_slug(section.task)}-{level}-{_slug(section.protocol)}-{_digest(identity)}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "_", text.lower())[:40]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:6]


def _json(text: str | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _mean(values: Iterable[Any]) -> float | None:
    known = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return _number(sum(known) / len(known)) if known else None


def _numbers(values: FloatArray, digits: int = 5) -> list[float | None]:
    """As :func:`_number` for each."""
    return [_number(value, digits) for value in values.tolist()]


def _number(value: float | None, digits: int = 5) -> float | None:
    """Short enough to send; ``None`` in place of what JSON has no word for."""
    return None if value is None or not math.isfinite(value) else round(value, digits)
