"""What stands around the tables: how to read them, definitions, and where the numbers come from."""

from __future__ import annotations

from benchmark.metrics import METRICS
from benchmark.selection import RULES
from leaderboard.across import THRESHOLD
from leaderboard.across_tasks import INTERQUARTILE_MEAN, NEMENYI
from leaderboard.board import Board
from leaderboard.curves import AREA, BREAKDOWN
from leaderboard.document import Block, Bullets, Code, Heading, Paragraph, Spans, Strong, joined
from leaderboard.ranking import RANK
from leaderboard.standings import BEATS_NEXT, FURTHER_SEEDS
from leaderboard.statistics import INTERVAL


def legend(rule: str) -> list[Block]:
    """What one must know before the first table."""
    return [
        Paragraph(
            (
                "Of the states that a method offers, the rule ",
                Strong(rule),
                f" chooses one; it looks at {RULES[rule].uses}. Numbers are percent on the unbiased test split, over "
                "seeds. Methods that the seeds cannot tell apart share a rank; a range such as 1–3 holds the true "
                "rank.",
            )
        )
    ]


def definitions(board: Board) -> list[Block]:
    """The terms of the tables, and the metrics that they show."""
    shown = dict.fromkeys([section.headline for section in board.sections])
    shown |= dict.fromkeys(["worst_group_accuracy", "aligned_accuracy", "conflicting_accuracy", "gap"])
    terms: list[tuple[str, str]] = [
        ("Mean ± half of the interval", INTERVAL),
        ("Rank", RANK),
        ("Beats next", BEATS_NEXT),
        ("Further seeds", FURTHER_SEEDS),
        ("Oracle gap", "headline metric of the best candidate on test itself, minus that of the chosen one"),
        ("Last", "headline metric of the method's last candidate, which looks at no data at all"),
        ("Supervision", "what a method is given beyond biased inputs and their targets"),
        ("Tuning", "trials spent on choosing the parameters, and what they looked at"),
        ("Sparsity", "share of weights that are exactly zero or belong to removed units"),
        ("MMACs", "million multiply-accumulates for one input, without removed units"),
        (
            "Minutes",
            "wall time in the method, on the hardware below, without the networks that it starts from; cells that were "
            "resumed do not count",
        ),
        ("Area", AREA),
        ("Breaks down at", f"{BREAKDOWN}; the threshold is {THRESHOLD}"),
        ("Average rank, group", NEMENYI),
        ("Interquartile mean", INTERQUARTILE_MEAN),
        (
            "Published",
            "what papers report for the method, from which to which where sources differ; the tables below say which "
            "source, how the number was read, and the difference in standard deviations as published",
        ),
    ]
    items: list[Spans] = [(Strong(name), f": {text}.") for name, text in terms]
    items += [(Code(name), f": {METRICS[name].definition}.") for name in shown if name in METRICS]
    return [Heading(2, "Definitions"), Bullets(tuple(items))]


def provenance(board: Board) -> Paragraph:
    """Which code on which machines."""
    code = joined((Code(version),) for version in board.code) or ("none",)
    hardware = joined((name,) for name in board.hardware) or ("none",)
    return Paragraph(("Computed by debias-bench ", *code, " on ", *hardware, "."))
