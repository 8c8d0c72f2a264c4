"""Who stands where in a section, how sure that is, and what more seeds would tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from leaderboard.board import Entry, Section
from leaderboard.memory import once_by_rule
from leaderboard.statistics import DECIMALS, Comparison, Summary, compare_all, further_seeds, summarise_all

BEATS_NEXT = (
    "probability that the method scores higher than the next one of the table on a further seed, from the paired "
    "t-distribution of their differences"
)
FURTHER_SEEDS = (
    "seeds that would have to be added to tell the first two apart with 80 % power, if their difference and its spread "
    "are as they look now; Bonferroni level over all pairs of the table"
)


@dataclass(frozen=True)
class Standing:
    """A method's place in a section under a selection rule.

    Attributes:
        entry: The method.
        summary: Its headline scores.
        best: Its rank; ``None`` if it is not ranked.
        worst: The worst rank that it may have.
        next: It against the next method of the table that has scores; ``None`` for the last.
        oracle_gap: What the rule loses against choosing on test.
    """

    entry: Entry
    summary: Summary
    best: int | None
    worst: int | None
    next: Comparison | None
    oracle_gap: Summary

    @property
    def rank(self) -> str:
        """``2``, or ``1-3`` where it is not settled; empty if it is not ranked."""
        if self.best is None or self.worst is None:
            return ""
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


@once_by_rule
def standings(section: Section, rule: str) -> tuple[Standing, ...]:
    """All methods of a section, best mean first; superseded ones, then those without scores, at the end."""
    ranking, scores = section.ranking(rule), section.scores(section.headline, rule)
    summaries = summarise_all(scores).each()
    order = sorted(
        range(len(summaries)),
        key=lambda i: (
            math.isnan(summaries[i].mean),
            section.entries[i].superseded,
            -summaries[i].mean if summaries[i].n else 0.0,
            section.entries[i].label,
        ),
    )
    against_next = compare_all(scores[order[:-1]], scores[order[1:]]).each()
    gaps = summarise_all(np.round(section.scores(section.headline, "oracle") - scores, DECIMALS)).each()
    follows = [summaries[i].n > 0 and not section.entries[i].superseded for i in order[1:]]
    return tuple(
        Standing(
            entry=section.entries[i],
            summary=summaries[i],
            best=ranking.best[i],
            worst=ranking.worst[i],
            next=against_next[place] if place < len(follows) and follows[place] else None,
            oracle_gap=gaps[i],
        )
        for place, i in enumerate(order)
    )


@dataclass(frozen=True)
class Separation:
    """What it takes to tell the first two methods of a section apart.

    Attributes:
        first: The one with the best mean.
        second: The next.
        seeds: Further seeds needed, 0 if they are apart already; ``None`` if 1,000 would not do.
    """

    first: Entry
    second: Entry
    seeds: int | None


def separation(section: Section, rule: str, alpha: float = 0.05) -> Separation | None:
    """How many seeds more would separate the first two ranked methods; ``None`` if fewer than two are ranked."""
    ranked = [standing.entry for standing in standings(section, rule) if standing.best is not None]
    if len(ranked) < 2:
        return None
    first, second = ranked[:2]
    order = {id(entry): i for i, entry in enumerate(section.entries)}
    if section.ranking(rule).beats[order[id(first)], order[id(second)]]:
        return Separation(first, second, 0)
    pairs = math.comb(len(ranked), 2)
    a, b = (entry.scores(section.headline, rule) for entry in (first, second))
    return Separation(first, second, further_seeds(a, b, alpha=alpha / pairs))
