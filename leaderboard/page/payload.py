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
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from benchmark.metrics import METRICS
from benchmark.protocol import PROTOCOLS
from benchmark.selection import RULES
from leaderboard.board import Board, Entry, Section
from leaderboard.page.reproduce import reproduce
from leaderboard.ranking import LEAST_SEEDS, Ranking
from leaderboard.references import Reference, lookup
from leaderboard.statistics import compare, further_seeds

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
    """All files of data of a page."""
    methods: dict[str, dict[str, Any]] = {}
    overview = []
    for section in board.sections:
        rankings = {name: section.ranking(name) for name in RULES if RULES[name].rankable}
        chunks = list(_chunks(section))
        part = _section(section, rankings, references, chunks)
        name = _section_id(section)
        overview.append({"id": name, **_identity(section, board.sections), **_overview(section, part)})
        methods |= {_entry_id(entry): _method(entry) for entry in section.entries}
        yield Part(name, part)
        for number, chunk in enumerate(chunks):
            yield Part(f"{name}.cells{number}", _cells(chunk, section.headline))
    yield Part("index", _index(board, title, rule, methods, overview))


def _index(
    board: Board, title: str, rule: str, methods: Mapping[str, Any], sections: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "title": title,
        "rule": rule,
        "rules": [{"name": r.name, "uses": r.uses, "rankable": r.rankable} for r in RULES.values()],
        "metrics": {name: metric.definition for name, metric in METRICS.items()},
        "leastSeeds": LEAST_SEEDS,
        "methods": methods,
        "sections": sorted(sections, key=lambda section: section["order"]),
        "code": board.code,
        "hardware": board.hardware,
    }


def _identity(section: Section, sections: Iterable[Section]) -> dict[str, Any]:
    """What tells a section from others, for people and for filters."""
    protocols = list(PROTOCOLS)
    place = protocols.index(section.protocol) if section.protocol in protocols else len(protocols)
    return {
        "task": section.task,
        "version": section.task_version,
        "rho": section.rho,
        "params": section.task_params,
        "data": _data_label(section, sections),
        "protocol": section.protocol + ("" if section.precision == "fp32" else f", {section.precision}"),
        "headline": section.headline,
        "seeds": list(section.entries[0].seeds) if section.entries else [],
        "order": [place, section.precision, section.task, _data_label(section, sections), section.rho or 0.0],
    }


def _data_label(section: Section, sections: Iterable[Section]) -> str:
    """Parameters and version of the task, as far as they differ among the sections of the task; may be empty."""
    relatives = [other for other in sections if other.task == section.task]
    names = sorted({name for other in relatives for name in other.task_params})
    differing = [name for name in names if len({json.dumps(o.task_params.get(name)) for o in relatives}) > 1]
    label = [f"{name} {section.task_params.get(name)}" for name in differing]
    if len({other.task_version for other in relatives}) > 1:
        label.append(f"task version {section.task_version}")
    return ", ".join(label)


def _method(entry: Entry) -> dict[str, Any]:
    return {
        "method": entry.method,
        "variant": entry.variant,
        "version": entry.version,
        "supervision": entry.supervision,
        "role": role(entry.method),
        "params": _params(entry),
    }


def _overview(section: Section, part: Mapping[str, Any]) -> dict[str, Any]:
    """Enough of a section for the table of all sections."""
    marks = "".join(entry["marks"] for entry in part["entries"])
    return {
        "entries": [entry["id"] for entry in part["entries"]],
        "cells": {status: marks.count(mark) for status, mark in MARKS.items()},
        "scores": {
            rule: {
                "mean": found["metrics"][section.headline]["mean"],
                "half": found["metrics"][section.headline]["half"],
                "rank": found["rank"],
            }
            for rule, found in part["rules"].items()
        },
    }


def _section(
    section: Section,
    rankings: Mapping[str, Ranking],
    references: Sequence[Reference],
    chunks: Sequence[Sequence[Entry]],
) -> dict[str, Any]:
    place = {id(entry): number for number, chunk in enumerate(chunks) for entry in chunk}
    published = lookup(references, task=section.task, rho=section.rho)
    return {
        "entries": [
            {
                "id": _entry_id(entry),
                "chunk": place[id(entry)],
                "marks": "".join(MARKS[str(entry.cells[s]["status"])] if s in entry.cells else "m" for s in entry.seeds),
                "costs": {name: _mean(row.get(name) for row in _finished(entry)) for name in COSTS},
                "published": [_published(reference) for reference in published if reference.method == entry.method],
                "reproduce": reproduce(section, entry),
                **_diagnostics(entry),
            }
            for entry in section.entries
        ],
        "rules": {rule: _rule(section, rule, rankings.get(rule)) for rule in RULES},
        "published": [{"method": reference.method, **_published(reference)} for reference in published],
    }


def _rule(section: Section, rule: str, ranking: Ranking | None) -> dict[str, Any]:
    """Everything that depends on the selection rule: one value per entry, in their order."""
    entries = section.entries
    found: dict[str, Any] = {"metrics": {}, "rank": [None] * len(entries)}
    for metric in SHOWN:
        summaries = [entry.summary(metric, rule) for entry in entries]
        found["metrics"][metric] = {
            "mean": [_number(s.mean) for s in summaries],
            "half": [_number((s.high - s.low) / 2) for s in summaries],
        }
    found["n"] = [len(entry.by_rule.get(rule, {})) for entry in entries]
    found["info"] = _info(entries, rule)
    if ranking is not None:
        found["rank"] = [
            None if best is None else [best, worst] for best, worst in zip(ranking.best, ranking.worst, strict=True)
        ]
        found["pairs"] = _pairs(section, rule, ranking)
    return found


def _pairs(section: Section, rule: str, ranking: Ranking) -> dict[str, Any]:
    """Comparisons of some methods, the rows, with all methods, seed by seed."""
    scores = [entry.scores(section.headline, rule) for entry in section.entries]
    means = np.array([entry.summary(section.headline, rule).mean for entry in section.entries])
    order = [int(i) for i in np.argsort(-means, kind="stable") if not np.isnan(means[i])]
    rows = sorted(order if len(order) <= ALL_PAIRS else order[:LEADERS])
    table = [[compare(scores[i], scores[j]) for j in range(len(scores))] for i in rows]
    return {
        "rows": rows,
        "difference": [[_number(found.difference) for found in line] for line in table],
        "half": [[_number((found.high - found.low) / 2) for found in line] for line in table],
        "probability": [[_number(found.probability, 3) for found in line] for line in table],
        "p": [[_number(ranking.p_adjusted[i, j], 4) for j in range(len(scores))] for i in rows],
        "further": further_seeds(scores[order[0]], scores[order[1]]) if len(order) > 1 else None,
        "top": order[:2],
    }


def _info(entries: Sequence[Entry], rule: str) -> dict[str, Any]:
    """Means over seeds of what methods reported of the chosen candidates."""
    reported = [[json.loads(row.get("info") or "{}") for row in entry.by_rule.get(rule, {}).values()] for entry in entries]
    names = sorted({name for each in reported for info in each for name in info})
    return {name: [_mean(info.get(name) for info in each) for each in reported] for name in names}


def _diagnostics(entry: Entry) -> dict[str, Any]:
    """Pruned share per layer, averaged over seeds, and the pictures of the first seed that has them."""
    found: dict[str, Any] = {}
    reports = [json.loads(row["diagnostics"]) for row in _finished(entry) if row.get("diagnostics")]
    layers = [report["pruned_per_layer"] for report in reports if report.get("pruned_per_layer")]
    if layers:
        found["layers"] = {name: _mean(each.get(name) for each in layers) for name in layers[0]}
    pictures = next((report["grad_cam"] for report in reports if report.get("grad_cam")), None)
    if pictures:
        found["pictures"] = pictures
    return found


def _chunks(section: Section) -> Iterator[list[Entry]]:
    """The entries in runs of limited cells."""
    chunk: list[Entry] = []
    for entry in section.entries:
        if chunk and sum(len(other.cells) for other in chunk) + len(entry.cells) > CELLS_PER_CHUNK:
            yield chunk
            chunk = []
        chunk.append(entry)
    if chunk:
        yield chunk


def _cells(entries: Iterable[Entry], headline: str) -> dict[str, Any]:
    """Each cell of some entries; environments, which are mostly the same, once."""
    environments: dict[str, int] = {}
    found: dict[str, Any] = {}
    for entry in entries:
        cells = found[_entry_id(entry)] = {}
        for seed, row in sorted(entry.cells.items()):
            text = row.get("environment") or "{}"
            cells[seed] = {name: row[name] for name in CELL if row.get(name) is not None}
            cells[seed]["environment"] = environments.setdefault(text, len(environments))
            cells[seed]["rules"] = {
                rule: _choice(by_seed[seed], headline) for rule, by_seed in entry.by_rule.items() if seed in by_seed
            }
    return {"environments": [json.loads(text) for text in environments], "cells": found}


def _choice(row: Mapping[str, Any], headline: str) -> dict[str, Any]:
    """What a rule chose in a cell."""
    return {
        "candidate": row.get("candidate"),
        "info": json.loads(row.get("info") or "{}"),
        "score": _number(row.get(headline)),
        "sparsity": _number(row.get("sparsity")),
    }


def _published(reference: Reference) -> dict[str, Any]:
    names = ("metric", "published_metric", "level", "source", "evidence", "note")
    return {name: getattr(reference, name) for name in names} | {
        "value": _number(reference.value),
        "std": _number(reference.std),
    }


def _finished(entry: Entry) -> list[Mapping[str, Any]]:
    return [row for row in entry.cells.values() if row["status"] == "done"]


def _params(entry: Entry) -> dict[str, Any]:
    params: dict[str, Any] = json.loads(next(iter(entry.cells.values()))["params"])
    return params


def _entry_id(entry: Entry) -> str:
    return f"{_slug(entry.method)}-{_digest([entry.method, _params(entry), entry.version])}"


def _section_id(section: Section) -> str:
    identity = {f.name: getattr(section, f.name) for f in fields(section) if f.name not in ("entries", "headline")}
    level = "natural" if section.rho is None else f"{section.rho:g}"
    return f"{_slug(section.task)}-{level}-{_slug(section.protocol)}-{_digest(identity)}"


def _slug(text: str) -> str:
    """Harmless in file names and addresses, whatever a plugin's name is."""
    return re.sub(r"[^a-z0-9_]+", "_", text.lower())[:40]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:6]


def _mean(values: Iterable[Any]) -> float | None:
    known = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return _number(sum(known) / len(known)) if known else None


def _number(value: float | None, digits: int = 5) -> float | None:
    """Short enough to send; ``None`` in place of what JSON has no word for."""
    return None if value is None or not math.isfinite(value) else round(value, digits)
