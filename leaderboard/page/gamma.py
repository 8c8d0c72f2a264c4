"""What gamma does, as the page shows it: trials of a tuning, and the results at what was chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from leaderboard.board import Entry, Section
from leaderboard.page.gamma_sweeps import bias_accuracy, sweeps
from leaderboard.page.values import entry_ids, half_widths, numbers
from leaderboard.statistics import summarise_all


def gammas_of(section: Section, rule: str) -> list[dict[str, Any]]:
    """For each method that was tried at several gammas its runs in ascending order of gamma, all scores on test."""
    names = {id(entry): name for name, entry in entry_ids(section).items()}
    return [
        {
            "method": sweep.method,
            "variant": sweep.variant,
            "supervision": sweep.curve[0][1].supervision,
            "tuned": bool(sweep.trials),
            "seeds": sorted({seed for _, entry in sweep.trials for seed in entry.by_rule[rule]}),
            "trials": _runs(sweep.trials, section, rule, names),
            "results": _runs(sweep.results, section, rule, names),
            "pruned": sorted(sweep.pruned),
        }
        for sweep in sweeps(section, rule)
    ]


def _runs(
    runs: Iterable[tuple[float, Entry]], section: Section, rule: str, names: dict[int, str]
) -> list[dict[str, Any]]:
    """In ascending order of gamma; entries are all results or all trials, and so of the same seeds."""
    ordered = sorted(runs, key=lambda run: run[0])
    if not ordered:
        return []
    scores, sparsity = (
        summarise_all(np.stack([entry.scores(metric, rule) for _, entry in ordered]))
        for metric in (section.headline, "sparsity")
    )
    columns = zip(ordered, numbers(scores.mean), half_widths(scores), numbers(sparsity.mean), strict=True)
    return [
        {
            "gamma": gamma,
            "id": names.get(id(entry)),
            "score": score,
            "half": half,
            "bias": bias_accuracy(entry, rule),
            "sparsity": removed,
        }
        for (gamma, entry), score, half, removed in columns
    ]
