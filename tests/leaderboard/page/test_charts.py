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
        "Pruned share per layer",
        "What the models still know of the bias",
        "Where models look (Grad-CAM)",
    }
    rows = [
        {**row, "diagnostics": None}
        for row in make_rows(seeds=3)
        if row["task"] == "celeba" and row["method"] in ("vanilla", "group_dro")
    ]
    build(make_board(rows), tmp_path / "page")
    page.open(tmp_path / "page")
    assert set(page.texts("figure.chart h3")) == {
        "Aligned against conflicting samples",
        "Score against cost",
        "Who beats whom, how surely",
    }


def test_variants_of_a_method_have_lines_of_their_own(page: Any, folder: Path) -> None:
    page.open(folder, "#task=colored_mnist&q=ffw_structured")
    dashes = page.run(
        "return [...document.querySelectorAll('.curve.method .line')].map((l) => getComputedStyle(l).strokeDasharray)"
    )
    assert len(dashes) == len(set(dashes)) == 4


def test_diagnostics_are_averaged_over_seeds(page: Any, folder: Path) -> None:
    page.open(folder, f"{SECTION}&q=bise")
    assert page.texts(".tints tbody td") == ["38", "48", "58", "90.0 → 92.0", "99.0 → 55.5", "80.0 → 20.0"]
    assert page.texts(".tints thead th")[-3:] == [
        "target read from features chance 10",
        "colour read from features chance 10",
        "follows colour (φ)",
    ]


def test_grad_cam_maps_are_drawn_as_stored(page: Any, folder: Path) -> None:
    page.open(folder, f"{SECTION}&q=bise")
    assert page.run("return [...document.querySelectorAll('.maps canvas')].map((c) => c.ariaLabel)") == [
        "before: class 7 taken for 1",
        "before: class 2 taken for 2",
        "after: class 7 taken for 7",
        "after: class 2 taken for 2",
    ]
    pixel = """
        const [x, y] = [arguments[1], arguments[2]];
        const canvas = document.querySelectorAll('.maps canvas')[arguments[0]];
        return [canvas.width, canvas.height, ...canvas.getContext('2d').getImageData(x, y, 1, 1).data];
    """
    assert page.run(pixel, 0, 3, 3) == [7, 7, 8, 8, 32, 255], "before: nothing in the middle"
    assert page.run(pixel, 2, 3, 3) == [7, 7, 252, 255, 164, 255], "after: all of it"


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
    assert [[row[0], row[2]] for row in page.run(script, "what γ does")] == [
        list(run) for run in sorted(swept, key=lambda run: float(run[0]))
    ]
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
    assert low["x"] < high["x"]
    assert low["y"] > high["y"], "up is more"
    for mark in marks:
        for place, value in (("x", "a"), ("y", "c")):
            share = (mark[value] - low[value]) / (high[value] - low[value])
            expected = low[place] + share * (high[place] - low[place])
            assert mark[place] == pytest.approx(expected, abs=1.0)


def test_the_trials_of_a_tuning_are_drawn_with_the_result_at_what_it_chose(
    page: Any, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    rows = []
    for row in make_rows(seeds=3):
        gamma = json.loads(row["params"]).get("gamma")
        trial = {**row, "seed": 1000, "purpose": "tuning", "study": "s", "trial": 7, "tuned": row["params"]}
        if row["task"] != "celeba":
            continue
        if row["method"] == "vanilla" or gamma == 10.0:
            rows.append(row)
        elif row["method"] == "ffw_structured" and row["seed"] == 0:
            rows.append(trial)
            if (gamma, row["rule"]) == (0.1, "last"):
                ended = {"status": "failed", "rule": None, "failure": "pruned: worse than the median of the others"}
                rows.append(
                    {**trial, **ended, "params": '{"gamma": 1000.0}', "key": "ended", "unbiased_accuracy": None}
                )
    build(make_board(rows), tmp_path / "page")
    page.open(tmp_path / "page")
    assert page.texts("#status") == ["2 methods"], "trials are no results"
    (figure,) = (text for text in page.texts("figure.chart") if "what γ does" in text)
    assert "trials of the tuning, on seed 1000" in figure
    script = (
        "return [...document.querySelectorAll('.gamma.score circle')].map((c) => [c.dataset.tip, c.cx.baseVal.value])"
    )
    circles = page.run(script)
    assert [tip.split("\n")[0] for tip, _ in circles] == ["trial, γ 0.1", "trial, γ 1", "trial, γ 100"]
    places = [place for _, place in circles]
    assert (places[1] - places[0]) / (places[2] - places[0]) == pytest.approx(1 / 3, abs=0.01)
    (chosen,) = page.run("return [...document.querySelectorAll('.gamma .chosen')].map((c) => c.dataset.tip)")
    (entry,) = (e for e in make_board(rows).sections[0].entries if e.method == "ffw_structured")
    assert chosen.split("\n")[1].startswith(f"score: {percent(entry, 'unbiased_accuracy')} ± ")
    ended_early = page.run("return [...document.querySelectorAll('.ended')].map((c) => c.dataset.tip)")
    assert ended_early == ["trial at γ 1000, ended early"]
    page.run("document.querySelector('.gamma .chosen').dispatchEvent(new MouseEvent('click', { bubbles: true }))")
    page.wait("return document.querySelector('dialog').open")
    assert page.texts("#details-title") == [entry.label]
