"""The leaderboard as markdown: one table per section, stable in order and form so that a diff reads well."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tabulate import tabulate

from benchmark.metrics import METRICS
from benchmark.selection import RULES
from leaderboard.board import Board, Entry, Section
from leaderboard.ranking import RANK
from leaderboard.statistics import INTERVAL, Summary

COLUMNS = {
    "worst_group_accuracy": "worst group",
    "aligned_accuracy": "aligned",
    "conflicting_accuracy": "conflicting",
}
"""Metrics shown beside the headline."""


def render(board: Board, rule: str, title: str = "Leaderboard") -> str:
    """The whole page.

    Args:
        board: The results.
        rule: Selection rule by which candidates are chosen and methods ranked.
        title: First heading.
    """
    parts = [f"# {title}", _legend(rule)]
    parts += [_section(section, rule) for section in board.sections]
    if not board.sections:
        parts.append("No cells yet.")
    parts.append(_provenance(board))
    return "\n\n".join(parts) + "\n"


def _legend(rule: str) -> str:
    lines = [
        f"Candidates are chosen by the rule **{rule}**, which looks at {RULES[rule].uses}. All numbers are percent on "
        f"the unbiased test split, {INTERVAL}.",
        f"**Rank**: {RANK}.",
        "**Supervision**: what a method is given beyond biased images and targets. **Sparsity**: share of weights that "
        "are exactly zero or removed. Columns **last** and **oracle** show the headline metric under two other rules: "
        "the last candidate, and the best on test itself, by which nothing is ranked.",
    ]
    return "\n\n".join(lines)


def _section(section: Section, rule: str) -> str:
    level = "natural rho" if section.rho is None else f"rho {section.rho:g}"
    params = ", ".join(f"{name} {_plain(value)}" for name, value in sorted(section.task_params.items()))
    head = f"## {section.task}, {level}"
    about = f"Protocol `{section.protocol}`, {section.precision}; {params or 'no parameters'}. Seeds " + (
        ", ".join(map(str, section.entries[0].seeds)) + "."
    )
    headline = f"Headline metric `{section.headline}`: {METRICS[section.headline].definition}."
    ranking = section.ranking(rule)
    order = sorted(
        range(len(section.entries)),
        key=lambda i: (
            ranking.best[i] is None,
            -_or(section.entries[i].summary(section.headline, rule).mean, -math.inf),
            section.entries[i].label,
        ),
    )
    rows = [_row(section, section.entries[i], ranking.best[i], rule) for i in order]
    table = tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
    return "\n\n".join([head, about, headline, table, *_footnotes(section)])


def _row(section: Section, entry: Entry, position: int | None, rule: str) -> dict[str, str]:
    done = len(entry.by_rule.get(rule, {}))
    row = {
        "rank": "-" if position is None else str(position),
        "method": entry.label,
        section.headline.replace("_", " "): _interval(entry.summary(section.headline, rule)),
    }
    row |= {title: _mean(entry.summary(metric, rule)) for metric, title in COLUMNS.items()}
    row |= {
        "sparsity": _mean(entry.summary("sparsity", rule)),
        "last": _mean(entry.summary(section.headline, "last")),
        "oracle": _mean(entry.summary(section.headline, "oracle")),
        "supervision": entry.supervision,
        "seeds": f"{done}/{len(entry.seeds)}" + (" *" if entry.failures or entry.missing else ""),
    }
    return row


def _footnotes(section: Section) -> Iterator[str]:
    lines = []
    for entry in section.entries:
        if entry.missing:
            lines.append(f"- {entry.label}: not run for seeds {', '.join(map(str, entry.missing))}")
        lines.extend(
            f"- {entry.label}, seed {seed}: failed, {_plain(why)}" for seed, why in sorted(entry.failures.items())
        )
    if lines:
        yield "\\* incomplete:\n\n" + "\n".join(lines)


def _provenance(board: Board) -> str:
    code = ", ".join(board.code) or "none"
    hardware = ", ".join(map(_plain, board.hardware)) or "none"
    return f"Computed by debias-bench {code} on {hardware}."


def _interval(summary: Summary) -> str:
    if summary.n == 0:
        return "-"
    if summary.n == 1:
        return f"{100 * summary.mean:.1f}"
    return f"{100 * summary.mean:.1f} ± {100 * (summary.high - summary.low) / 2:.1f}"


def _mean(summary: Summary) -> str:
    return "-" if math.isnan(summary.mean) else f"{100 * summary.mean:.1f}"


def _or(value: float, default: float) -> float:
    return default if math.isnan(value) else value


def _plain(value: object) -> str:
    """Text from parameters, plugins and errors, harmless in a markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
