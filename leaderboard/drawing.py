"""What static figures share: their style, how a method looks, axes, and marks with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderboard.board import Board, Entry, Section
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.roles import role
from leaderboard.statistics import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import LineStyleType, RcKeyType

COLOURS = ("#1f5fd0", "#c2410c", "#0f766e", "#8533b8", "#8a6100", "#b8246a", "#3f6d12", "#0b6e96")
BASELINE, CONTROL = "#1b1c1f", "#8a8d96"
CONTROL_DASHES: tuple[LineStyleType, ...] = ("--", (0, (9, 1.5)), (0, (1, 1)))
MARKS = {"none": "o", "b on train": "s", "unbiased split": "D", "b on train + unbiased split": "^"}
OTHER_MARK = "X"
STYLE: dict[RcKeyType, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e4df",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.handlelength": 3.5,  # else dashes look alike
    "lines.markersize": 4.5,
    "lines.linewidth": 1.2,
    "svg.hashsalt": "debias-bench",  # the same data give the same file
}
WIDTH, HEIGHT = 6.5, 2.8
"""Inches: the text width of a usual paper."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    colour: str
    fill: str
    mark: str
    line: LineStyleType


Looks = Mapping[str, Look]
"""By the method's name."""


def looks_of(board: Board) -> Looks:
    """How each method of a board is drawn, in every figure alike: hue by name, mark by supervision, grey controls."""
    entries = {entry.method: entry for section in board.sections for entry in section.entries}
    coloured = sorted(name for name in entries if role(name) == "method")
    controls = sorted(name for name in entries if role(name) == "control")
    looks = {}
    for name, entry in entries.items():
        mark = MARKS.get(entry.supervision, OTHER_MARK)
        match role(name):
            case "baseline":
                looks[name] = Look(BASELINE, BASELINE, mark, ":")
            case "control":
                line = CONTROL_DASHES[controls.index(name) % len(CONTROL_DASHES)]
                looks[name] = Look(CONTROL, "white", mark, line)
            case _:
                colour = COLOURS[coloured.index(name) % len(COLOURS)]
                looks[name] = Look(colour, colour, mark, "-")
    return looks


def new_axes(title: str, x_title: str, y_title: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots()
    axes.set_title(plain(title))
    axes.set_xlabel(plain(x_title))
    axes.set_ylabel(plain(y_title))
    return figure, axes


def logarithmic(axes: Axes) -> None:
    """A logarithmic x axis with its numbers written out."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def with_legend(figure: Figure, axes: Axes) -> Figure:
    """The figure, with its legend at the right."""
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def marks(axes: Axes, shown: Iterable[tuple[Entry, Summary, float]], looks: Looks) -> None:
    """A mark per method, at x and at the mean of its summary, with its interval; variants of a method are named."""
    shown = list(shown)
    variants = Counter(entry.method for entry, *_ in shown)
    for entry, summary, x in shown:
        look = looks[entry.method]
        axes.errorbar(
            x,
            100 * summary.mean,
            yerr=half_width(summary),
            fmt=look.mark,
            color=look.colour,
            markerfacecolor=look.fill,
            label=plain(entry.label),
            linewidth=1,
        )
        if variants[entry.method] > 1 and entry.variant:
            place = (x, 100 * summary.mean)
            axes.annotate(
                plain(entry.variant), place, (4, 3), textcoords="offset points", fontsize=5.5, color=look.colour
            )


def half_width(summary: Summary) -> float:
    """Of the interval, in percent; 0 where there are too few seeds for one."""
    return 50 * (summary.high - summary.low) if summary.n >= LEAST_SEEDS else 0.0


def scored(section: Section, rule: str) -> list[tuple[Entry, Summary]]:
    """The current methods that have scores, best first."""
    found = [(entry, entry.summary(section.headline, rule)) for entry in section.current.values()]
    return sorted(((e, s) for e, s in found if s.n), key=lambda pair: (-pair[1].mean, pair[0].label))


def section_title(section: Section) -> str:
    """Task, level and protocol."""
    level = "" if section.rho is None else f", rho {section.rho:g}"
    return f"{section.task}{level}, protocol {section.protocol}"


def percent_of(metric: str) -> str:
    """Title of an axis."""
    return f"{metric.replace('_', ' ')}, %"


def plain(text: str) -> str:
    """Text in which a dollar is a dollar, not the begin of a formula, and which stays on its line."""
    return " ".join(text.split()).replace("$", r"\$")
