"""What gamma does: score, bias accuracy and sparsity of the trials of a tuning, or of results at several gammas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from leaderboard.board import Entry, Section
from leaderboard.drawing import (
    BASELINE,
    CONTROL,
    HEIGHT,
    WIDTH,
    Looks,
    half_width,
    logarithmic,
    percent_of,
    plain,
    section_title,
)
from leaderboard.page.gamma_sweeps import Sweep, bias_accuracy, sweeps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3
"""Panels side by side."""
MANY_TICKS = 30
"""Beyond this ratio only powers of ten are written out."""


def gamma(section: Section, rule: str, looks: Looks) -> Figure | None:
    """A panel for each method that was tried at three or more positive gammas; ``None`` if none was.

    Small marks joined by lines are trials, on the seed of the tuning; a large one with its interval is the result at
    the chosen gamma; crosses at the bottom are trials that were ended early. All scores are on test, by the rule.
    """
    swept = sweeps(section, rule)
    if not swept:
        return None
    from matplotlib.figure import Figure

    across = min(ACROSS, len(swept))
    down = -(-len(swept) // across)
    figure = Figure(figsize=(max(WIDTH * across / ACROSS, WIDTH / 2), HEIGHT * down), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False)
    for axes in panels.flat[len(swept) :]:
        axes.set_visible(False)
    for axes, sweep in zip(panels.flat, swept, strict=False):
        _panel(axes, sweep, section, rule, looks)
    panels[0, 0].set_ylabel("%")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(section_title(section), fontsize=8, x=0.01, ha="left")
    return figure


def _panel(axes: Axes, sweep: Sweep, section: Section, rule: str, looks: Looks) -> None:
    colour = looks[sweep.method].colour if sweep.method in looks else BASELINE
    curve = sweep.curve
    gammas = [value for value, _ in curve]
    score = percent_of(section.headline).removesuffix(", %")
    lines = (
        (score, "-", "o", colour, [entry.summary(section.headline, rule).mean for _, entry in curve]),
        ("bias accuracy", ":", "^", BASELINE, [bias_accuracy(entry, rule) for _, entry in curve]),
        ("sparsity", "--", "s", CONTROL, [entry.summary("sparsity", rule).mean for _, entry in curve]),
    )
    logarithmic(axes)
    for name, style, mark, ink, values in lines:
        heights = 100 * np.array(values, dtype=np.float64)
        if np.isfinite(heights).any():
            axes.plot(gammas, heights, style, marker=mark, markersize=3, color=ink, label=name)
    if sweep.trials:
        _results(axes, sweep.results, section, rule, colour)
    if sweep.pruned:
        bottom = axes.get_xaxis_transform()
        axes.plot(sweep.pruned, [0.02] * len(sweep.pruned), "x", color=CONTROL, transform=bottom, label="ended early")
    axes.set_ylim(0, 103)
    axes.set_xlabel("gamma")
    axes.set_title(plain(f"{sweep.method}\n{sweep.variant}" if sweep.variant else sweep.method), fontsize=7)
    if max(gammas) / min(gammas) > MANY_TICKS:
        from matplotlib.ticker import LogLocator

        axes.xaxis.set_major_locator(LogLocator())


def _results(axes: Axes, results: Iterable[tuple[float, Entry]], section: Section, rule: str, colour: str) -> None:
    for place, (value, entry) in enumerate(results):
        summary = entry.summary(section.headline, rule)
        axes.axvline(value, color=colour, linewidth=0.6, alpha=0.5, zorder=0)
        axes.errorbar(
            value,
            100 * summary.mean,
            yerr=half_width(summary),
            fmt="D",
            markersize=6,
            markerfacecolor="white",
            color=colour,
            capsize=2,
            label=None if place else f"result, {'seeds' if summary.n > 1 else 'seed'} {_seeds(entry, rule)}",
        )


def _seeds(entry: Entry, rule: str) -> str:
    seeds: Sequence[int] = sorted(entry.by_rule[rule])
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
