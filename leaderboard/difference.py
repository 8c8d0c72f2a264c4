"""What differs between two leaderboards, and why: new seeds, another version of a method, task or harness, new code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.cell import as_dict
from benchmark.protocol import PROTOCOLS
from leaderboard.board import Board, Entry, Section
from leaderboard.document import Block, Code, Column, Heading, Number, Paragraph, Table, Value, slug
from leaderboard.standings import Standing, standings

SAME = 1e-9
"""Means closer than this are equal."""
Place = tuple[str, str, str, str, str, str]
"""What identifies a section in both: task, its parameters, rho, protocol, precision, and the protocol's settings."""
Pair = tuple[Section | None, Section | None]


@dataclass(frozen=True)
class EntryChange:
    """A method whose number or rank in a section is another, or what they rest on.

    Attributes:
        label: Method and variant.
        before: Its standing before; ``None`` if it was not there.
        after: Its standing now; ``None`` if it is gone.
        reasons: Why, most telling first.
    """

    label: str
    before: Standing | None
    after: Standing | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class SectionChange:
    """A section in which something is another.

    Attributes:
        section: As it is now, or as it was if it is gone.
        reasons: What changed for all its methods.
        entries: The methods that changed, by label.
    """

    section: Section
    reasons: tuple[str, ...]
    entries: tuple[EntryChange, ...]


def compare_boards(old: Board, new: Board, rule: str) -> tuple[SectionChange, ...]:
    """All sections that differ, in the order of the new board, then those that are gone."""
    changes = (_compare_sections(a, b, rule) for a, b in _paired(old, new))
    return tuple(change for change in changes if change is not None)


def unchanged(old: Board, new: Board, changes: Sequence[SectionChange]) -> int:
    """How many of the sections that :func:`compare_boards` compared are as they were; superseded ones are not."""
    return len(_paired(old, new)) - len(changes)


def difference_document(changes: Sequence[SectionChange], unchanged: int) -> list[Block]:
    """The changes, for people."""
    blocks: list[Block] = [Heading(1, "What changed")]
    for change in changes:
        section = change.section
        level = "natural rho" if section.rho is None else f"rho {section.rho:g}"
        params = ", ".join(f"{name}={value}" for name, value in sorted(section.task_params.items()))
        blocks.append(Heading(2, f"{section.task}, {level}, {section.protocol}, {section.precision}"))
        if params:
            blocks.append(Paragraph((f"Task parameters {params}.",)))
        if settings := _own_settings(section):
            blocks.append(Paragraph((f"Protocol settings of its own: {settings}.",)))
        if change.reasons:
            blocks.append(Paragraph((f"For all methods: {'; '.join(change.reasons)}.",)))
        if change.entries:
            name = slug(section.task, section.rho, section.protocol)
            blocks.append(_table(name, section.headline, change.entries))
    count = "No section has changed" if not changes else f"{len(changes)} sections have changed"
    blocks.append(Paragraph((f"{count}; {unchanged} are as they were.",)))
    return blocks


def changes_as_json(changes: Iterable[SectionChange]) -> list[dict[str, Any]]:
    """The changes, for programs."""

    def state(standing: Standing | None) -> dict[str, Any] | None:
        if standing is None:
            return None
        mean = standing.summary.mean if standing.summary.n else None
        return {"mean": mean, "rank": standing.best, "worst_rank": standing.worst, "seeds": standing.summary.n}

    return [
        {
            "task": change.section.task,
            "task_params": change.section.task_params,
            "rho": change.section.rho,
            "protocol": change.section.protocol,
            "precision": change.section.precision,
            "protocol_settings": change.section.protocol_settings,
            "reasons": change.reasons,
            "methods": [
                {
                    "method": entry.label,
                    "before": state(entry.before),
                    "after": state(entry.after),
                    "reasons": entry.reasons,
                }
                for entry in change.entries
            ],
        }
        for change in changes
    ]


def _own_settings(section: Section) -> str:
    """In what the section's protocol is not the one that is called so here."""
    here = as_dict(PROTOCOLS[section.protocol]) if section.protocol in PROTOCOLS else {}
    own = {name: value for name, value in section.protocol_settings.items() if here.get(name) != value}
    return ", ".join(f"{name}={value}" for name, value in sorted(own.items()))


def _paired(old: Board, new: Board) -> list[Pair]:
    """Sections of both: with equal settings of the protocol, else those left over that differ in these alone."""
    before, after = _newest(old.sections), _newest(new.sections)
    left = [place for place in before if place not in after]
    pairs: list[Pair] = []
    for place, section in after.items():
        former = before.get(place)
        alike = None if former else next((other for other in left if other[:-1] == place[:-1]), None)
        if alike is not None:
            left.remove(alike)
            former = before[alike]
        pairs.append((former, section))
    return [*pairs, *((before[place], None) for place in left)]


def _newest(sections: Iterable[Section]) -> dict[Place, Section]:
    """Sections by place; of several versions of task and harness the newest."""
    found: dict[Place, Section] = {}
    for section in sections:
        place = (
            section.task,
            json.dumps(section.task_params, sort_keys=True),
            "" if section.rho is None else f"{section.rho:g}",
            section.protocol,
            section.precision,
            json.dumps(section.protocol_settings, sort_keys=True),
        )
        if place not in found or _version(section) >= _version(found[place]):
            found[place] = section
    return found


def _version(section: Section) -> tuple[int, int]:
    return section.engine_version or 0, section.task_version


def _compare_sections(old: Section | None, new: Section | None, rule: str) -> SectionChange | None:
    section = new or old
    assert section is not None
    if old is None or new is None:
        reason = "the section is new" if old is None else "the section is gone"
        entries = _compare_entries(old, new, rule, reason)
        return SectionChange(section, (reason,), tuple(entries))
    reasons = []
    if old.engine_version != new.engine_version:
        reasons.append(f"harness version {old.engine_version} before, {new.engine_version} now")
    if old.task_version != new.task_version:
        reasons.append(f"task version {old.task_version} before, {new.task_version} now")
    if old.protocol_settings != new.protocol_settings:
        reasons.append("the protocol's settings have changed")
    entries = _compare_entries(old, new, rule, "")
    return SectionChange(section, tuple(reasons), tuple(entries)) if reasons or entries else None


def _compare_entries(old: Section | None, new: Section | None, rule: str, everywhere: str) -> list[EntryChange]:
    pairs = _pairs(_ranked(old, rule), _ranked(new, rule))
    found = [EntryChange(_label(a, b), a, b, (everywhere,) if everywhere else tuple(_reasons(a, b))) for a, b in pairs]
    others = any(change.reasons for change in found)
    changed = [
        replace(change, reasons=change.reasons or ("others changed",) if others else ("the table's code changed",))
        for change in found
        if change.reasons or _rank(change.before) != _rank(change.after)
    ]
    return sorted(changed, key=lambda change: change.label)


def _ranked(section: Section | None, rule: str) -> list[Standing]:
    if section is None:
        return []
    rows = standings(section, section.usable_rule(rule) or rule)
    return [row for row in rows if not row.entry.superseded]


def _pairs(old: list[Standing], new: list[Standing]) -> list[tuple[Standing | None, Standing | None]]:
    """Methods of both: with equal parameters, else with equal differences from defaults, else tuned, else grown."""
    left, found = list(old), []
    unmatched = list(new)
    for alike in (_same_params, _same_variant, _retuned, _grown):
        for b in list(unmatched):
            a = next((a for a in left if a.entry.method == b.entry.method and alike(a.entry, b.entry)), None)
            if a is not None:
                left.remove(a)
                unmatched.remove(b)
                found.append((a, b))
    return [*found, *((a, None) for a in left), *((None, b) for b in unmatched)]


def _same_params(a: Entry, b: Entry) -> bool:
    return a.params == b.params


def _same_variant(a: Entry, b: Entry) -> bool:
    return a.variant == b.variant


def _retuned(a: Entry, b: Entry) -> bool:
    """The only tuned one of its method in both: they are the same competitor, whatever values were chosen."""
    return a.is_tuned and b.is_tuned and a.competitor.variant == b.competitor.variant


def _grown(a: Entry, b: Entry) -> bool:
    common = a.params.keys() & b.params.keys()
    return bool(common) and all(a.params[name] == b.params[name] for name in common)


def _label(a: Standing | None, b: Standing | None) -> str:
    standing = b or a
    assert standing is not None
    return standing.entry.label


def _rank(standing: Standing | None) -> str:
    return standing.rank if standing is not None else ""


def _reasons(before: Standing | None, after: Standing | None) -> list[str]:
    """Why a method's own numbers may be others; nothing if they are not."""
    if before is None or after is None:
        return ["new method" if before is None else "removed"]
    reasons = list(_entry_reasons(before.entry, after.entry))
    if not reasons and not _equal(before.summary.mean, after.summary.mean):
        reasons.append("chosen or measured in another way by the code that made the table")
    return reasons


def _entry_reasons(old: Entry, new: Entry) -> Iterator[str]:
    if old.version != new.version:
        yield f"method version {old.version} before, {new.version} now"
    changed = sorted(k for k in {*old.params, *new.params} if k not in old.params or old.params[k] != new.params.get(k))
    chosen = [name for name in changed if name in old.params and name in _tuned(old, new)]
    if chosen:
        values = (", ".join(f"{name}={entry.params[name]}" for name in chosen) for entry in (old, new))
        yield "the tuning chose another value: {} before, {} now".format(*values)
    if len(changed) > len(chosen):
        yield f"parameters added or changed: {', '.join(name for name in changed if name not in chosen)}"
    cells = old.by_rule.get("last", {}), new.by_rule.get("last", {})  # every finished cell has a last candidate
    yield from _seed_reasons(set(cells[0]), set(cells[1]))
    if old.version == new.version and not changed:
        yield from _recomputed(sorted(cells[0].keys() & cells[1].keys()), *cells)
    if set(old.failures) != set(new.failures):
        yield f"failed for seeds {_list(old.failures)} before, {_list(new.failures)} now"
    if old.stale != new.stale:
        yield f"stale now: {new.stale}" if new.stale else "stale before, no longer"
    if None not in (old.tuning_trials, new.tuning_trials) and old.tuning_trials != new.tuning_trials:
        yield f"{old.tuning_trials} tuning trials before, {new.tuning_trials} now"


def _tuned(old: Entry, new: Entry) -> set[str]:
    """Names of the parameters that a tuning chose, where one did or will in both."""
    rows = [*old.cells.values(), *new.cells.values()] if old.is_tuned and new.is_tuned else []
    return {name for row in rows for name in json.loads(row["tuned"] or "{}")}


def _seed_reasons(old: set[int], new: set[int]) -> Iterator[str]:
    if new - old:
        yield f"new seeds {_list(new - old)}"
    if old - new:
        yield f"without seeds {_list(old - new)}"


def _recomputed(
    seeds: Sequence[int], old: Mapping[int, Mapping[str, Any]], new: Mapping[int, Mapping[str, Any]]
) -> Iterator[str]:
    """What became of cells that are in both."""
    other = [seed for seed in seeds if old[seed]["key"] != new[seed]["key"]]
    if other:
        yield f"seeds {_list(other)} start from another upstream cell"
    differ = [
        seed for seed in seeds if seed not in other and not _equal(old[seed].get("accuracy"), new[seed].get("accuracy"))
    ]
    if differ:
        code = " and ".join(sorted({f"{old[seed].get('code')} before, {new[seed].get('code')} now" for seed in differ}))
        yield f"the same cells gave other results for seeds {_list(differ)}: code {code}"


def _equal(a: float | None, b: float | None) -> bool:
    if a is None or b is None or np.isnan(a) or np.isnan(b):
        return (a is None or bool(np.isnan(a))) == (b is None or bool(np.isnan(b)))
    return abs(a - b) < SAME


def _list(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds))) or "none"


def _table(name: str, headline: str, entries: Sequence[EntryChange]) -> Table:
    columns = (
        Column("method"),
        Column(f"{headline.replace('_', ' ')} before", numeric=True),
        Column("now", numeric=True),
        Column("change", numeric=True),
        Column("rank before"),
        Column("rank now"),
        Column("why"),
    )
    return Table(name, "Changes", columns, tuple(_row(entry) for entry in entries))


def _row(change: EntryChange) -> tuple[Value, ...]:
    a, b = (np.nan if s is None else 100 * s.summary.mean for s in (change.before, change.after))
    return (
        Code(change.label),
        None if np.isnan(a) else Number(a, 2),
        None if np.isnan(b) else Number(b, 2),
        None if np.isnan(a) or np.isnan(b) else Number(b - a, 2, signed=True),
        _rank(change.before).replace("-", "–") or None,
        _rank(change.after).replace("-", "–") or None,
        "; ".join(change.reasons),
    )
