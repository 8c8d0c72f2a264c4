"""Static figures of one section."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from leaderboard.board import Section
from leaderboard.drawing import (
    CONTROL,
    Looks,
    half_width,
    logarithmic,
    marks,
    new_axes,
    percent_of,
    plain,
    scored,
    section_title,
    with_legend,
)
from leaderboard.gamma_figure import gamma
from leaderboard.page.diagnostics import diagnostics_of
from leaderboard.page.values import mean
from leaderboard.roles import role

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def intervals(section: Section, rule: str, looks: Looks) -> Figure | None:
    """Mean and interval of every method, best on top."""
    shown = scored(section, rule)
    if not shown:
        return None
    figure, axes = new_axes(section_title(section), percent_of(section.headline), "", 0.6 + 0.2 * len(shown))
    for place, (entry, summary) in enumerate(shown):
        look = looks[entry.method]
        axes.errorbar(
            100 * summary.mean,
            place,
            xerr=half_width(summary),
            fmt=look.mark,
            color=look.colour,
            markerfacecolor=look.fill,
            capsize=2,
            linewidth=1.2,
        )
    axes.set_yticks(range(len(shown)), [plain(entry.label) for entry, _ in shown])
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    return figure


def sparsity(section: Section, rule: str, looks: Looks) -> Figure | None:
    """Score against sparsity, with the controls joined; ``None`` if nothing is pruned."""
    shown = [(entry, summary, 100 * entry.summary("sparsity", rule).mean) for entry, summary in scored(section, rule)]
    if not any(x > 0 for *_, x in shown):
        return None
    figure, axes = new_axes(section_title(section), "sparsity, % of weights", percent_of(section.headline))
    for method in sorted({entry.method for entry, *_ in shown if role(entry.method) == "control"}):
        line = np.array(sorted((x, 100 * summary.mean) for entry, summary, x in shown if entry.method == method))
        axes.plot(line[:, 0], line[:, 1], linestyle="--", color=CONTROL, linewidth=1, zorder=1)
    marks(axes, shown, looks)
    return with_legend(figure, axes)


def alignment(section: Section, rule: str, looks: Looks) -> Figure | None:
    """Accuracy on conflicting against accuracy on aligned samples; ``None`` without bias labels."""
    found = [
        (entry, entry.summary("conflicting_accuracy", rule), 100 * entry.summary("aligned_accuracy", rule).mean)
        for entry, _ in scored(section, rule)
    ]
    shown = [(entry, summary, x) for entry, summary, x in found if summary.n and np.isfinite(x)]
    if not shown:
        return None
    figure, axes = new_axes(
        section_title(section), "accuracy on aligned samples, %", "accuracy on conflicting samples, %"
    )
    low = min(min(x, 100 * summary.mean) for _, summary, x in shown)
    axes.plot([low, 100], [low, 100], linestyle=":", color=CONTROL, linewidth=1, zorder=1)
    marks(axes, shown, looks)
    return with_legend(figure, axes)


def cost(section: Section, rule: str, looks: Looks) -> Figure | None:
    """Score against training time; cells that were resumed do not count, since they recorded only their end."""
    shown = []
    for entry, summary in scored(section, rule):
        seconds = mean(row["train_seconds"] for row in entry.by_rule[rule].values() if not row["resumed"])
        if seconds:
            shown.append((entry, summary, seconds))
    if len(shown) < 2:
        return None
    figure, axes = new_axes(section_title(section), "training time, seconds", percent_of(section.headline))
    logarithmic(axes)
    marks(axes, shown, looks)
    return with_legend(figure, axes)


def layers(section: Section, rule: str, looks: Looks) -> Figure | None:
    """Pruned share of every layer's weights, a row per method; ``None`` without that diagnostic."""
    del looks  # a row tells its method
    found = [(entry, diagnostics_of(entry).get("layers")) for entry, _ in scored(section, rule)]
    pruned = [(entry, shares) for entry, shares in found if shares]
    if not pruned:
        return None
    names = list(dict.fromkeys(name for _, shares in pruned for name in shares))
    table = np.array([[100 * (shares.get(name) or 0.0) for name in names] for _, shares in pruned])
    figure, axes = new_axes(f"{section_title(section)}: pruned weights, %", "layer", "", 0.8 + 0.22 * len(pruned))
    axes.imshow(table, cmap="Blues", vmin=0, vmax=130, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        share = table[row, column]
        ink = "white" if share > 70 else "black"
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(names)), [plain(name) for name in names], rotation=30, ha="right")
    axes.set_yticks(range(len(pruned)), [plain(entry.label) for entry, _ in pruned])
    axes.grid(visible=False)
    return figure


SECTION_FIGURES: dict[str, Callable[[Section, str, Looks], Figure | None]] = {
    "intervals": intervals,
    "sparsity": sparsity,
    "alignment": alignment,
    "cost": cost,
    "gamma": gamma,
    "layers": layers,
}
"""What is drawn of a section, by the end of the file's name."""
