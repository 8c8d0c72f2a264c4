"""All that is shown of one section: its methods, their numbers by each selection rule, and how they compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.cell import configured
from benchmark.errors import DebiasBenchError
from benchmark.metrics import METRICS
from benchmark.selection import RULES
from leaderboard.board import Entry, Section
from leaderboard.budgets import plain, unequal_budgets
from leaderboard.page.diagnostics import diagnostics_of
from leaderboard.page.gamma import gammas_of
from leaderboard.page.reproduce import reproduce
from leaderboard.page.values import entry_ids, half_width, half_widths, mean, number, numbers, parsed
from leaderboard.published import claims, departures
from leaderboard.references import Reference, lookup
from leaderboard.standings import separation, standings
from leaderboard.statistics import compare_all, summarise_all

SHOWN = (*METRICS, "sparsity", "candidate_macs")
"""What is summarised over seeds."""
COSTS = ("train_seconds", "parameters", "macs", "peak_memory_bytes", "peak_gpu_memory_bytes")
ALL_PAIRS = 32
"""Up to as many methods every pair is compared; above, the leading ones with all others."""
LEADERS = 4
MARKS = {"done": "d", "failed": "f", "missing": "m"}


def section_part(
    section: Section, references: Sequence[Reference], chunks: Sequence[Mapping[str, Entry]]
) -> dict[str, Any]:
    """A section as plain JSON values; ``chunks`` are its entries, in the chunks in which their cells are stored."""
    place = {name: position for position, chunk in enumerate(chunks) for name in chunk}
    published = lookup(references, task=section.task, rho=section.rho)
    return {
        "entries": [
            {
                "id": name,
                "variant": entry.variant,
                "params": entry.params,
                "chunk": place[name],
                "marks": "".join(MARKS[entry.cells[s]["status"]] if s in entry.cells else "m" for s in section.seeds),
                "costs": _costs(entry),
                "startsFrom": _starts_from(entry),
                "reproduce": reproduce(section, entry),
                "notes": _notes(entry),
                **diagnostics_of(entry),
            }
            for name, entry in entry_ids(section).items()
        ],
        "rules": {rule: _rule(section, rule, references, published) for rule in RULES},
        "published": [_published(reference) for reference in published],
        "departures": departures(section) if published else (),
        "notApplicable": section.not_applicable,
        "budgets": plain(unequal_budgets(section.entries)),
    }


def _rule(
    section: Section, rule: str, references: Sequence[Reference], published: Sequence[Reference]
) -> dict[str, Any]:
    """Everything that depends on the selection rule: one value per entry, in their order."""
    entries = section.entries
    found: dict[str, Any] = {"metrics": {}, "rank": [None] * len(entries)}
    for metric in SHOWN:
        summaries = summarise_all(section.scores(metric, rule))
        found["metrics"][metric] = {
            "mean": numbers(summaries.mean),
            "half": half_widths(summaries),
        }
        if metric == section.headline:
            found["std"] = numbers(summaries.std)
    found["n"] = [len(entry.by_rule.get(rule, {})) for entry in entries]
    lost = section.scores(section.headline, "oracle") - section.scores(section.headline, rule)
    found["oracleGap"] = numbers(summarise_all(lost).mean)
    found["info"] = _info(entries, rule)
    found["gammas"] = gammas_of(section, rule)
    found["claims"] = _claims(section, rule, references, published)
    if RULES[rule].rankable:
        ranking = section.ranking(rule)
        found["rank"] = [
            None if best is None else [best, worst] for best, worst in zip(ranking.best, ranking.worst, strict=True)
        ]
        found["pairs"] = _pairs(section, rule)
    return found


def _pairs(section: Section, rule: str) -> dict[str, Any]:
    """Comparisons of some methods, the rows, with all methods, seed by seed."""
    scores = section.scores(section.headline, rule)
    place = {id(entry): i for i, entry in enumerate(section.entries)}
    order = [place[id(standing.entry)] for standing in standings(section, rule) if standing.summary.n]
    rows = sorted(order if len(order) <= ALL_PAIRS else order[:LEADERS])
    table = compare_all(scores[rows, None], scores[None])
    needed = separation(section, rule)
    return {
        "rows": rows,
        "difference": [numbers(line) for line in table.difference],
        "half": [numbers(line) for line in (table.high - table.low) / 2],
        "probability": [numbers(line, 3) for line in table.probability],
        "p": [numbers(line, 4) for line in section.ranking(rule).p_adjusted[rows]],
        "separation": needed and [place[id(needed.first)], place[id(needed.second)], needed.seeds],
    }


def _claims(
    section: Section, rule: str, references: Sequence[Reference], published: Sequence[Reference]
) -> list[dict[str, Any]]:
    """Published numbers beside ours: which entry, which number, ours, the difference in published deviations."""
    place = {id(entry): i for i, entry in enumerate(section.entries)}
    return [
        {
            "entry": place[id(claim.entry)],
            "published": published.index(claim.reference),
            "ours": number(claim.ours.mean),
            "half": half_width(claim.ours),
            "deviations": number(claim.deviations, 2),
        }
        for claim in (claims(section, rule, references) if published else ())
    ]


def _info(entries: Sequence[Entry], rule: str) -> dict[str, Any]:
    """Means over seeds of what methods reported of the chosen candidates."""
    reported = []
    for entry in entries:
        rows = list(entry.by_rule.get(rule, {}).values())
        texts = rows[0].table.take("info", np.array([row.index for row in rows])) if rows else []
        reported.append([parsed(text) for text in texts])
    names = sorted({name for each in reported for info in each for name in info})
    return {name: [mean(info.get(name) for info in each) for each in reported] for name in names}


def _costs(entry: Entry) -> dict[str, float | None]:
    """Means over the finished cells; times only of those that ran in one go, since others recorded only their end."""
    rows = [entry.cells[seed] for seed in sorted({seed for cells in entry.by_rule.values() for seed in cells})]
    done = np.array([row.index for row in rows], dtype=np.int64)
    found: dict[str, float | None] = {}
    for cost in COSTS if rows else ():
        values = rows[0].table.numbers(cost, done)
        if cost == "train_seconds":
            values = values[rows[0].table.numbers("resumed", done) != 1]
        found[cost] = mean(values.tolist())
    return found


def _starts_from(entry: Entry) -> list[str] | None:
    """The methods whose networks have to be trained before; ``None`` if they are not known here."""
    try:
        return sorted(set(_before(entry.method, entry.params)))
    except DebiasBenchError:
        return None


def _before(method: str, params: Mapping[str, Any]) -> Iterator[str]:
    for start in configured(method, params).upstream().values():
        yield start.method
        yield from _before(start.method, start.params)


def _notes(entry: Entry) -> list[str]:
    """What a reader must know before trusting the numbers."""
    notes = []
    if entry.tuning_trials:
        looked_at = f" on {entry.tuning_data}" if entry.tuning_data else ""
        notes.append(f"tuned with {entry.tuning_trials} trials{looked_at}")
    if entry.superseded:
        notes.append(f"version {entry.version} of the method; a newer one is here and is ranked instead")
    if entry.stale:
        notes.append(f"stale: {entry.stale}")
    if entry.left_out:
        notes.append(f"{entry.left_out} older records of the same cells are left out")
    return notes


def _published(reference: Reference) -> dict[str, Any]:
    names = ("method", "metric", "published_metric", "level", "source", "evidence", "note")
    return {name: getattr(reference, name) for name in names} | {
        "value": number(reference.value),
        "std": number(reference.std),
    }
