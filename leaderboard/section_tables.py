"""One section as tables and notes: the standings, the published numbers, and everything that one must know of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from leaderboard.board import Entry, Section
from leaderboard.budgets import unequal_budgets
from leaderboard.document import (
    Block,
    Bullets,
    Code,
    Column,
    Heading,
    Number,
    Paragraph,
    Span,
    Spans,
    Table,
    Value,
    joined,
    slug,
)
from leaderboard.published import Claim, claims, departures
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.references import Reference
from leaderboard.standings import Standing, separation, standings
from leaderboard.statistics import Robustness, Summary, robustness, summarise, summarise_all

SHOWN = {
    "worst_group_accuracy": "worst group",
    "aligned_accuracy": "aligned",
    "conflicting_accuracy": "conflicting",
    "gap": "gap",
}
"""Metrics shown beside the headline."""


def section_blocks(
    section: Section, title: str, suite: str, rule: str, references: Sequence[Reference]
) -> Iterator[Block]:
    """Everything that the leaderboard says of a section."""
    level = "natural rho" if section.rho is None else f"rho {section.rho:g}"
    name = slug(title, "natural" if section.rho is None else f"{section.rho:g}", suite)
    usable = section.usable_rule(rule)
    yield Heading(3, f"{title}, {level}")
    yield Paragraph(_about(section))
    if usable is None:
        yield Paragraph(("No cell has finished.",))
        yield from _notes(section, usable)
        return
    if usable != rule:
        yield Paragraph((f"The rule {rule} does not apply to this task; here candidates are chosen by {usable}.",))
    rows = standings(section, usable)
    found = claims(section, usable, references)
    yield _standings_table(section, rows, found, usable, f"{title}, {level}, {suite}", name)
    yield from _separation(section, usable)
    if found:
        yield Paragraph(_published_intro(section))
        yield _published_table(
            section, found, usable, f"Published numbers: {title}, {level}, {suite}", slug("published", name)
        )
    yield from _notes(section, usable)


def rank_text(standing: Standing) -> str:
    """``2``, or ``1–3`` with a dash that no spreadsheet takes for a date; empty if it is not ranked."""
    return standing.rank.replace("-", "–")


def _about(section: Section) -> Spans:
    spans: list[Span] = ["Headline metric ", Code(section.headline), ". "]
    if section.task_params:
        spans.append("Task parameters: ")
        for name, value in sorted(section.task_params.items()):
            spans += [Code(f"{name}={_plain(value)}"), ", "]
        spans[-1] = ". "
    spans.append(f"Seeds {_ranges(section.seeds)}.")
    return tuple(spans)


def _standings_table(
    section: Section, rows: Sequence[Standing], found: Sequence[Claim], rule: str, caption: str, name: str
) -> Table:
    tuned = any(standing.entry.is_tuned for standing in rows)
    columns = [
        Column("rank"),
        Column("method"),
        Column("supervision"),
        Column(section.headline.replace("_", " "), numeric=True, interval=True),
        Column("beats next, %", numeric=True),
        Column("seeds"),
        Column("last", numeric=True),
        Column("oracle gap", numeric=True),
        *(Column(title, numeric=True) for metric, title in SHOWN.items() if metric != section.headline),
        Column("published", numeric=True),
        Column("sparsity", numeric=True),
        Column("MMACs", numeric=True),
        Column("minutes", numeric=True),
        *([Column("tuning")] if tuned else []),
    ]
    published = {id(entry): _published(entry, section, found) for entry in section.entries}
    means = _means(section, rule)
    lines = [
        _line(section, standing, means[id(standing.entry)], published[id(standing.entry)], tuned) for standing in rows
    ]
    return Table(name, caption, tuple(columns), tuple(lines))


def _means(section: Section, rule: str) -> dict[int, dict[str, float]]:
    """What the columns show of each entry, means over seeds; NaN where there is nothing."""
    seconds = section.scores("train_seconds", rule)
    seconds[section.scores("resumed", rule) == 1] = np.nan  # they cover a part of the training only
    columns = {
        **{metric: section.scores(metric, rule) for metric in (*SHOWN, "sparsity", "candidate_macs")},
        "last": section.scores(section.headline, "last"),
        "seconds": seconds,
    }
    found = {name: summarise_all(scores).mean.tolist() for name, scores in columns.items()}
    return {id(entry): {name: values[i] for name, values in found.items()} for i, entry in enumerate(section.entries)}


def _line(
    section: Section, standing: Standing, means: dict[str, float], published: Value, tuned: bool
) -> tuple[Value, ...]:
    entry, done = standing.entry, standing.summary.n
    marks = ("*" if done < len(section.seeds) else "") + ("†" if entry.stale or entry.superseded else "")
    beats_next = standing.next.probability if standing.next else math.nan
    return (
        rank_text(standing) or None,
        Code(entry.label),
        entry.supervision,
        _interval(standing.summary, strong=standing.best == 1) if done else None,
        _number(beats_next, 100.0, 0),
        f"{done} of {len(section.seeds)}{marks}",
        _number(means["last"]),
        _number(standing.oracle_gap.mean),
        *(_number(means[metric]) for metric in SHOWN if metric != section.headline),
        published,
        _number(means["sparsity"]),
        _number(means["candidate_macs"], 1e-6, 2),
        _number(means["seconds"], 1 / 60),
        *([_tuning(entry)] if tuned else []),
    )


def _number(value: float, scale: float = 100.0, decimals: int = 1) -> Value:
    return None if math.isnan(value) else Number(scale * value, decimals)


def _interval(summary: Summary, strong: bool) -> Number:
    if summary.n < LEAST_SEEDS:
        return Number(100 * summary.mean, strong=strong)
    return Number(100 * summary.mean, low=100 * summary.low, high=100 * summary.high, strong=strong)


def _published(entry: Entry, section: Section, found: Sequence[Claim]) -> Value:
    """The published headline number, or from which to which the sources go."""
    values = [
        100 * claim.reference.value
        for claim in found
        if claim.entry is entry and claim.reference.metric == section.headline
    ]
    if not values:
        return None
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low}–{high}"


def _tuning(entry: Entry) -> str:
    if entry.tuning_trials is None:
        return "not finished" if entry.is_tuned else "not recorded"
    if not entry.tuning_trials:
        return "none"
    return f"{entry.tuning_trials} trials" + (f", {entry.tuning_data}" if entry.tuning_data else "")


def _separation(section: Section, rule: str) -> Iterator[Block]:
    found = separation(section, rule)
    if found is None:
        return
    first, second = Code(found.first.label), Code(found.second.label)
    if found.seeds is None:
        yield Paragraph(("Not even 1,000 seeds would be expected to tell ", first, " from ", second, "."))
    elif found.seeds:
        word = "seed" if found.seeds == 1 else "seeds"
        yield Paragraph((f"About {found.seeds} further {word} would tell ", first, " from ", second, "."))
    a, b = (entry.scores(section.headline, rule) for entry in (found.first, found.second))
    check = robustness(a, b)
    if check.n > 1:
        yield Paragraph((first, " against ", second, f" {_robust(check)}"))


def _robust(check: Robustness) -> str:
    """What can be said of two methods without assuming that scores follow a normal law."""
    text = f"without assuming a normal law: sign flips give p = {check.sign_flip_p:.2g}, uncorrected"
    if math.isnan(check.bootstrap_low):
        return f"{text}; {check.n} seeds allow no less than {2 / 2**check.n:.2g}."
    low, high = 100 * check.bootstrap_low, 100 * check.bootstrap_high
    return f"{text}; the bootstrap puts the difference between {low:.1f} and {high:.1f} points."


def _published_intro(section: Section) -> Spans:
    text = "Published numbers beside ours, mean ± std over seeds"
    reasons = departures(section)
    if reasons:
        return (f"{text}, though this is not their setting: {'; '.join(reasons)}.",)
    return (f'{text}. Sources often chose candidates on test; so does the column "oracle".',)


def _published_table(section: Section, found: Sequence[Claim], rule: str, caption: str, name: str) -> Table:
    columns = (
        Column("method"),
        Column("quantity"),
        Column("published", numeric=True),
        Column(f"ours, {rule}", numeric=True),
        Column("last", numeric=True),
        Column("oracle", numeric=True),
        Column("difference", numeric=True),
        Column("in published std", numeric=True),
        Column("source"),
        Column("evidence"),
    )
    claimed = {claim.entry.label for claim in found}
    others = (entry for entry in section.entries if entry.label not in claimed)
    rows = (*map(_claim, found), *(_without_claim(entry, section.headline, rule) for entry in others))
    return Table(name, caption, columns, rows)


def _claim(claim: Claim) -> tuple[Value, ...]:
    reference = claim.reference
    scale = 1.0 if reference.published_metric in ("sparsity_percent", "mflops") else 100.0
    deviations = claim.deviations
    known = bool(claim.ours.n)
    note = f", {reference.note}" if reference.note else ""
    return (
        Code(claim.entry.label),
        Code(reference.metric or reference.published_metric),
        _mean_and_std(reference.value, reference.std, scale),
        *(_mean_and_std(ours.mean, ours.std, scale) for ours in (claim.ours, claim.ours_last, claim.ours_oracle)),
        Number(scale * claim.difference, signed=True) if known else None,
        Number(deviations, signed=True) if known and deviations is not None else None,
        reference.source,
        reference.evidence + note,
    )


def _without_claim(entry: Entry, metric: str, rule: str) -> tuple[Value, ...]:
    ours = (summarise(entry.scores(metric, which)) for which in (rule, "last", "oracle"))
    cells = (_mean_and_std(summary.mean, summary.std, 100.0) for summary in ours)
    return (Code(entry.label), Code(metric), None, *cells, None, None, None, None)


def _mean_and_std(mean: float, std: float | None, scale: float) -> Value:
    if math.isnan(mean):
        return None
    return f"{scale * mean:.1f}" + (f" ± {scale * std:.1f}" if std and not math.isnan(std) else "")


def _notes(section: Section, rule: str | None) -> Iterator[Block]:
    items: list[Spans] = []
    for entry in section.entries:
        name = Code(entry.label)
        if entry.not_run:
            items.append((name, f" *: not run for seeds {_ranges(entry.not_run)}"))
        items += [(name, f" *: seed {seed} failed: {why}") for seed, why in sorted(entry.failures.items())]
        if entry.superseded:
            items.append((name, " †: superseded by a newer version of the method, not ranked"))
        elif entry.stale:
            items.append((name, f" †: the code has changed since: {entry.stale}"))
        if entry.left_out:
            items.append((name, f": {entry.left_out} older records of the same seeds are left out"))
    few = [] if rule is None else [e for e in section.entries if 0 < e.summary(section.headline, rule).n < LEAST_SEEDS]
    if few:
        names = joined((Code(entry.label),) for entry in few)
        items.append((f"Fewer than {LEAST_SEEDS} seeds, so neither interval nor rank: ", *names))
    budgets = unequal_budgets(section.entries)
    if budgets is not None:
        items.append(budgets)
    items += [(Code(name), f": not applicable: {why}") for name, why in sorted(section.not_applicable.items())]
    if items:
        yield Bullets(tuple(items))


def _ranges(seeds: Sequence[int]) -> str:
    """``0–4, 7``."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
