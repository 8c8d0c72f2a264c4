"""What gamma does, as the page shows it: trials of a tuning, and the results at what was chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from leaderboard.board import Entry, Section
from leaderboard.page.gamma_sweeps import bias_accuracy, sweeps
from leaderboard.page.values import entry_ids, half_width, number


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
    found = []
    for gamma, entry in sorted(runs, key=lambda run: run[0]):
        summary = entry.summary(section.headline, rule)
        found.append(
            {
                "gamma": gamma,
                "id": names.get(id(entry)),
                "score": number(summary.mean),
                "half": half_width(summary),
                "bias": bias_accuracy(entry, rule),
                "sparsity": number(entry.summary("sparsity", rule).mean),
            }
        )
    return found
