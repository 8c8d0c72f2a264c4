"""Static figures for papers, SVG and PNG, from the same numbers as the page.

Marks show supervision, colours the method, grey the controls; bars and bands are 95 % intervals over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.files import atomic_path
from leaderboard.across import over_tasks
from leaderboard.board import Board, Competitor, Section, Suite
from leaderboard.curves import bias_strength
from leaderboard.drawing import STYLE, Looks, half_width, looks_of, new_axes, percent_of, plain, with_legend
from leaderboard.page.values import digest, section_id, slug
from leaderboard.section_figures import SECTION_FIGURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import LineStyleType

FORMATS = ("svg", "png")
DASHES: tuple[LineStyleType, ...] = ("-", "-.", (0, (2, 1.5)), (0, (6, 1.5, 1, 1.5, 1, 1.5)))
"""Of the variants of a method, which share its colour."""
RESOLUTION = 200
"""Dots per inch of pixel formats."""


def write_figures(board: Board, folder: Path, rule: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Draw all figures that a board has data for.

    Args:
        board: The results.
        folder: Where to; made if it is not there.
        rule: The selection rule by which candidates are chosen.
        formats: Endings that matplotlib knows.

    Returns:
        The files, by section and figure.
    """
    from matplotlib import rc_context

    written = []
    with rc_context(STYLE):
        for name, figure in figures(board, rule):
            for ending in formats:
                path = folder / f"{name}.{ending}"
                undated = {"Date": None} if ending == "svg" else None
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=ending, dpi=RESOLUTION, bbox_inches="tight", metadata=undated)
                written.append(path)
    return written


def figures(board: Board, rule: str) -> Iterator[tuple[str, Figure]]:
    """All figures with their names."""
    looks = looks_of(board)
    for suite in board.suites:
        ranks = average_ranks(suite, rule, looks)
        if ranks is not None:
            yield f"{slug(suite.protocol)}-{_digest_of(suite.sections)}-average_ranks", ranks
        for levels in suite.levels:
            curves = rho_curves(levels, rule, looks)
            if curves is not None:
                yield f"{slug(levels[0].task)}-{slug(suite.protocol)}-{_digest_of(levels)}-rho", curves
            for section in levels:
                for name, draw in SECTION_FIGURES.items():
                    figure = draw(section, rule, looks)
                    if figure is not None:
                        yield f"{section_id(section)}-{name}", figure


def average_ranks(suite: Suite, rule: str, looks: Looks) -> Figure | None:
    """Critical-difference diagram: average ranks over tasks, with bars over methods that cannot be told apart."""
    found = over_tasks(suite, rule)
    if found is None:
        return None
    names = found.competitors
    difference = f"critical difference {found.ranks.critical_difference:.2f}"
    title = f"{len(found.tasks)} tasks, protocol {suite.protocol}; {difference}"
    figure, axes = new_axes(title, "average rank, 1 is best", "", 0.6 + 0.2 * len(names))
    for place, (name, rank) in enumerate(zip(names, found.ranks.ranks, strict=True)):
        look = looks[name.method]
        axes.plot(rank, place, look.mark, color=look.colour, markerfacecolor=look.fill)
    for position, group in enumerate(found.ranks.groups):
        x = len(names) + 0.5 + 0.25 * position
        axes.plot([x, x], [group[0] - 0.3, group[-1] + 0.3], color="black", linewidth=1.5, clip_on=False)
    axes.set_yticks(range(len(names)), [plain(name.label) for name in names])
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    return figure


def rho_curves(levels: Sequence[Section], rule: str, looks: Looks) -> Figure | None:
    """Score against rho, evenly spaced in orders of magnitude of 1 - rho; ``None`` below two levels."""
    sections = [section for section in levels if section.rho is not None and section.rho < 1]
    if len(sections) < 2:
        return None
    rhos = np.array([section.rho for section in sections], dtype=np.float64)
    x = bias_strength(rhos)
    title = f"{sections[0].task}, protocol {sections[0].protocol}"
    figure, axes = new_axes(title, "rho, share of bias-aligned training samples", percent_of(sections[0].headline))
    curves = _curves(sections, rule)
    for name, mean, half in curves:
        look = looks[name.method]
        variants = sorted(other for other, *_ in curves if other.method == name.method)
        axes.plot(
            x,
            mean,
            linestyle=DASHES[variants.index(name) % len(DASHES)] if look.line == "-" else look.line,
            marker=look.mark,
            color=look.colour,
            markerfacecolor=look.fill,
            label=plain(name.label),
        )
        axes.fill_between(x, mean - half, mean + half, color=look.colour, alpha=0.12, linewidth=0)
    axes.set_xticks(x, [f"{rho:g}" for rho in rhos])
    return with_legend(figure, axes)


def _digest_of(sections: Sequence[Section]) -> str:
    return digest([section_id(section) for section in sections])


Curve = tuple[Competitor, np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]
"""A method, and at every level its mean and half of its interval, in percent; NaN where there is none."""


def _curves(sections: Sequence[Section], rule: str) -> list[Curve]:
    """Of the methods that have scores at two levels or more, highest curve first."""
    found: list[Curve] = []
    for name in sorted({name for section in sections for name in section.current}):
        mean, half = np.full(len(sections), np.nan), np.full(len(sections), np.nan)
        for place, section in enumerate(sections):
            entry = section.current.get(name)
            if entry is not None and (summary := entry.summary(section.headline, rule)).n:
                mean[place] = 100 * summary.mean
                half[place] = half_width(summary)
        if np.isfinite(mean).sum() > 1:
            found.append((name, mean, half))
    return sorted(found, key=lambda curve: -float(np.nanmean(curve[1])))
