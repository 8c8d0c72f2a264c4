"""The page's charts, in a headless Chromium: which there are, what they say, and where their marks lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.board import Board, Entry, Section
from leaderboard.page import build

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SECTION = "#task=colored_mnist&rho=0.99"
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"
    "=="
)


def percent(entry: Entry, metric: str) -> str:
    return f"{100 * entry.summary(metric, 'unbiased_val').mean:.1f}"


def test_charts_appear_where_there_are_data_for_them(
    page: Any, folder: Path, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    page.open(folder, SECTION)
    titles = set(page.texts("figure.chart h3"))
    assert titles == {
        "colored mnist: score as the bias gets stronger",
        "Score against sparsity",
        "Aligned against conflicting samples",
        "Score against cost",
        "ffw_structured: what γ does",
        "Who beats whom, how surely",
    }
    report = {
        "pruned_per_layer": {"conv1": 0.25, "conv2": 0.5},
        "grad_cam": [{"label": "a seven", "input": PICTURE, "before": PICTURE, "after": "https://example.org/x.png"}],
    }
    rows = [
        {**row, "diagnostics": json.dumps(report)} if row["method"] == "bise" and row["status"] == "done" else row
        for row in make_rows(seeds=3)
        if row["task"] == "celeba" and row["method"] in ("vanilla", "bise")
    ]
    build(make_board(rows), tmp_path / "page")
    page.open(tmp_path / "page")
    assert {"Pruned share per layer", "Where models look (Grad-CAM)"} <= set(page.texts("figure.chart h3"))
    assert page.run("return [...document.querySelectorAll('.tints tbody td')].map((c) => c.innerText)")[-2:] == [
        "25",
        "50",
    ]
    assert page.run("return [...document.images].map((i) => i.getAttribute('src'))") == [PICTURE, PICTURE, ""]
    assert "ffw_structured: what γ does" not in page.texts("figure.chart h3")


def test_charts_tell_their_data_in_words(page: Any, folder: Path, section: Section) -> None:
    page.open(folder, SECTION)
    script = """
        const figure = [...document.querySelectorAll('figure.chart')].find((f) => f.innerText.includes(arguments[0]));
        figure.querySelector('details').open = true;
        return new Promise((done) => setTimeout(() => done(
          [...figure.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.innerText))), 50));
    """
    expected = [
        [entry.label, percent(entry, "aligned_accuracy"), percent(entry, "conflicting_accuracy")]
        for entry in section.entries
    ]
    assert sorted(page.run(script, "Aligned against")) == sorted(expected)
    swept = [
        [f"{entry.params['gamma']:g}", percent(entry, section.headline)]
        for entry in section.entries
        if "gamma" in entry.params
    ]
    assert [row[:2] for row in page.run(script, "what γ does")] == sorted(swept, key=lambda row: float(row[0]))
    labels = page.run("return [...document.querySelectorAll('.canvas svg')].map((s) => [s.role, s.ariaLabel])")
    assert labels
    assert all(kind == "img" and text for kind, text in labels)


def test_marks_of_a_chart_lie_where_their_numbers_say(page: Any, folder: Path) -> None:
    page.open(folder, SECTION)
    script = """
        const figures = [...document.querySelectorAll('figure.chart')];
        const figure = figures.find((each) => each.innerText.includes('Aligned against'));
        return [...figure.querySelectorAll('.mark')].map((mark) => {
          const [x, y] = mark.getAttribute('transform').match(/-?[\\d.]+/g).map(Number);
          const [a, c] = mark.dataset.tip.match(/: [\\d.]+/g).map((text) => Number(text.slice(2)));
          return { x, y, a, c };
        });
    """
    marks = page.run(script)
    assert len(marks) == 16
    low, high = min(marks, key=lambda m: m["a"]), max(marks, key=lambda m: m["a"])
    for mark in marks:
        for place, value in (("x", "a"), ("y", "c")):
            share = (mark[value] - low[value]) / (high[value] - low[value])
            expected = low[place] + share * (high[place] - low[place])
            assert mark[place] == pytest.approx(expected, abs=1.0)
