"""Static figures: what they show is what the board says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.board import Board, Section
from leaderboard.drawing import looks_of
from leaderboard.figures import average_ranks, figures, rho_curves, write_figures
from leaderboard.section_figures import SECTION_FIGURES, alignment, cost, gamma, intervals, layers, sparsity

RULE = "unbiased_val"


def test_every_figure_is_there_where_there_are_data_for_it(made_up_board: Board) -> None:
    few = replace(made_up_board, sections=made_up_board.sections[:3])
    assert [section.task for section in few.sections] == ["celeba", "colored_mnist", "colored_mnist"]
    names = [name for name, _ in figures(few, RULE)]
    assert len(names) == len(set(names))
    ends = [name.rsplit("-", 1)[1] for name in names]
    assert {end: ends.count(end) for end in set(ends)} == {
        **dict.fromkeys(SECTION_FIGURES, 3),
        "rho": 1,
        "average_ranks": 1,
    }


def test_what_has_no_data_is_not_drawn(make_board: Callable[..., Board], make_rows: Callable[..., Any]) -> None:
    rows = [
        {**row, "aligned_accuracy": None, "conflicting_accuracy": None}
        for row in make_rows(seeds=3)
        if row["task"] == "celeba" and row["method"] in ("vanilla", "group_dro")
    ]
    board = make_board(rows)
    (only,) = board.sections
    looks = looks_of(board)
    assert [name for name, draw in SECTION_FIGURES.items() if draw(only, RULE, looks)] == ["intervals", "cost"]
    assert rho_curves(board.sections, RULE, looks) is None
    assert average_ranks(board.suites[0], RULE, looks) is None


def test_curves_have_a_point_per_level_and_a_band_as_wide_as_the_interval(made_up_board: Board) -> None:
    levels = next(levels for levels in made_up_board.suites[0].levels if len(levels) == 4)
    figure = rho_curves(levels, RULE, looks_of(made_up_board))
    assert figure is not None
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    (bise,) = (line for label, line in lines.items() if label == "bise")
    entries = [next(entry for entry in section.entries if entry.method == "bise") for section in levels]
    summaries = [e.summary(s.headline, RULE) for e, s in zip(entries, levels, strict=True)]
    assert np.asarray(bise.get_xdata()) == pytest.approx([-np.log10(1 - float(s.rho or 0)) for s in levels])
    assert np.asarray(bise.get_ydata()) == pytest.approx([100 * summary.mean for summary in summaries])
    band = axes.collections[list(lines).index("bise")].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(100 * summaries[0].high)
    assert band[:, 1].min() == pytest.approx(100 * summaries[-1].low)
    (colour,) = {line.get_color() for label, line in lines.items() if str(label).startswith("ffw_structured")}
    drawing = StringIO()
    figure.savefig(drawing, format="svg")
    styles = re.findall(rf'style="(fill: none; [^"]*stroke: {colour};[^"]*)"', drawing.getvalue())
    dashes = {match[1] if (match := re.search(r"stroke-dasharray: ([^;]+)", style)) else "" for style in styles}
    assert len(dashes) == 4


def test_marks_stand_at_their_numbers(made_up_board: Board, section: Section) -> None:
    looks = looks_of(made_up_board)
    pairs = {alignment: ("aligned_accuracy", "conflicting_accuracy"), sparsity: ("sparsity", section.headline)}
    for draw, (x_metric, y_metric) in pairs.items():
        figure = draw(section, RULE, looks)
        assert figure is not None
        drawn = {container.get_label(): container.lines[0].get_xydata()[0] for container in figure.axes[0].containers}
        for entry in section.entries:
            expected = [100 * entry.summary(metric, RULE).mean for metric in (x_metric, y_metric)]
            assert drawn[entry.label] == pytest.approx(expected)


def test_the_best_method_is_on_top(made_up_board: Board, section: Section) -> None:
    figure = intervals(section, RULE, looks_of(made_up_board))
    assert figure is not None
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    means = {entry.label: entry.summary(section.headline, RULE).mean for entry in section.entries}
    assert labels == sorted(means, key=lambda label: -means[label])
    assert figure.axes[0].yaxis_inverted()


def test_gamma_sweeps_show_score_bias_accuracy_and_sparsity(made_up_board: Board, section: Section) -> None:
    figure = gamma(section, RULE, looks_of(made_up_board))
    assert figure is not None
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert figure.axes[0].get_title() == "ffw_structured"
    assert list(lines) == ["unbiased accuracy", "bias accuracy", "sparsity"]
    assert np.asarray(lines["bias accuracy"].get_ydata()) == pytest.approx(
        [83, 68, 53, 38]
    )  # of probes; methods report others
    assert np.asarray(lines["sparsity"].get_xdata()) == pytest.approx([0.1, 1, 10, 100])


def test_layers_show_the_pruned_share(made_up_board: Board, section: Section) -> None:
    figure = layers(section, RULE, looks_of(made_up_board))
    assert figure is not None
    (axes,) = figure.axes
    row = [text.get_text() for text in axes.get_yticklabels()].index("bise")
    assert np.asarray(axes.images[0].get_array())[row] == pytest.approx([38.4, 48.0, 57.6])


def test_resumed_cells_do_not_count_as_fast(make_board: Callable[..., Board], make_rows: Callable[..., Any]) -> None:
    rows = [
        {**row, "train_seconds": 1.0 if row["seed"] else 100.0, "resumed": row["seed"] > 0}
        for row in make_rows(seeds=3)
        if row["task"] == "celeba" and row["method"] in ("vanilla", "group_dro")
    ]
    board = make_board(rows)
    figure = cost(board.sections[0], RULE, looks_of(board))
    assert figure is not None
    assert [container.lines[0].get_xdata()[0] for container in figure.axes[0].containers] == [100.0, 100.0]


def test_files_are_the_same_each_time_and_hold_no_foreign_markup(
    make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    names = {"vanilla": "vanilla", "group_dro": "$\\frac{<script>alert(1)</script> -->\n"}
    rows = [
        {**row, "method": names[row["method"]]}
        for row in make_rows(seeds=3)
        if row["task"] == "celeba" and row["method"] in names
    ]
    board = make_board(rows)
    first = write_figures(board, tmp_path / "a", RULE)
    second = write_figures(board, tmp_path / "b", RULE)
    assert [path.name for path in first] == [path.name for path in second]
    assert {path.suffix for path in first} == {".svg", ".png"}
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        if one.suffix == ".svg":
            tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(one).iter()}
            assert "script" not in tags
        else:
            assert one.read_bytes().startswith(b"\x89PNG")
