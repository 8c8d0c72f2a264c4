"""The counts in the data cards are those of the splits, and every task has a card."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.protocol import PROTOCOLS
from benchmark.registry import TASKS
from benchmark.task import Setting
from tasks.cards.counts import ABSENT, BLOCK, CARDS, updated
from tasks.sources.bar import BarSource
from tasks.sources.bffhq import BffhqSource
from tasks.sources.celeba import CelebaSource
from tasks.sources.cifar10 import Cifar10Source
from tasks.sources.cifar10c import LEVELS, Cifar10cSource
from tasks.sources.civil_comments import CivilCommentsSource
from tasks.sources.hatexplain import HateXplainSource
from tasks.sources.mnist import MnistSource
from tasks.sources.utkface import UtkFaceSource
from tests.tasks import layouts

DIGITS = ("biased_mnist", "colored_mnist", "multi_color_mnist")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]


SOURCES = {  # what the tables of a card are counted from
    "bar": BarSource,
    "bffhq": BffhqSource,
    "biased_mnist": MnistSource,
    "celeba": CelebaSource,
    "civil_comments": CivilCommentsSource,
    "colored_mnist": MnistSource,
    "corrupted_cifar10": Cifar10Source,
    "corrupted_cifar10_dfa": Cifar10cSource,
    "hatexplain": HateXplainSource,
    "multi_color_mnist": MnistSource,
    "utkface": UtkFaceSource,
}


@pytest.mark.parametrize("name", SOURCES)
def test_counts_are_as_generated(name: str, data_root: Path) -> None:
    if SOURCES[name]().missing(data_root):
        pytest.skip(f"no {SOURCES[name].title} under {data_root}")
    card = (CARDS / f"{name}.md").read_text()
    assert ABSENT not in card, "run python -m tasks.cards.counts"
    assert updated(card, data_root) == card, "run python -m tasks.cards.counts"


@pytest.mark.parametrize("name", SOURCES)
def test_tables_of_a_card_are_generated_or_say_that_they_are_not(name: str, tmp_path: Path) -> None:
    card = (CARDS / f"{name}.md").read_text()
    blocks = list(BLOCK.finditer(card))
    assert blocks
    for block in blocks:
        assert block[5] == ABSENT or rows_of(block[5])[1] == ["---"] * len(rows_of(block[5])[0])
    missing: list[str] = []
    assert updated(card, tmp_path, missing) == card, "without the data it stays as it is"
    assert len(missing) == len(blocks)
    assert all("is not complete under" in reason for reason in missing)


def counted(name: str, root: Path) -> list[list[list[str]]]:
    """The tables of a card, generated from the data under ``root``: rows without header and rule."""
    missing: list[str] = []
    text = updated((CARDS / f"{name}.md").read_text(), root, missing)
    assert missing == []
    return [rows_of(block[5])[2:] for block in BLOCK.finditer(text)]


def test_where_celeba_is_its_card_gets_counts(tmp_path: Path) -> None:
    parts, ffw, bise, denetdm = counted("celeba", layouts.celeba(tmp_path))
    for number, (name, part) in enumerate(zip(("training", "validation", "test"), parts, strict=False)):
        sizes = [counts[number] for counts in layouts.FACES.values()]
        assert part == [name, *map(str, sizes), str(sum(sizes))]
    assert ffw[0] == bise[0] == denetdm[0] == ["`train`", "60", "50", "30", "5", "145"]
    assert ffw[-1] == ["`test`", "6", "6", "6", "6", "24"]
    assert bise[-1] == ["`test`", "5", "5", "5", "5", "20"]
    assert denetdm[-1] == ["`test`", "22", "18", "12", "6", "58"]


def test_where_bffhq_is_its_card_gets_counts(tmp_path: Path) -> None:
    (table,) = counted("bffhq", layouts.bffhq(tmp_path))
    assert table == [
        ["0.5pct", "30", "1", "1", "20", "52"],
        ["valid", "6", "0", "0", "4", "10"],
        ["test", "5", "5", "5", "5", "20"],
        ["all", "41", "6", "6", "29", "82"],
    ]


def test_where_civil_comments_are_their_card_gets_counts(tmp_path: Path) -> None:
    (table,) = counted("civil_comments", layouts.civil_comments(tmp_path, layouts.comments()))
    assert table == [
        ["`train`", "90", "60", "20", "30", "200"],
        ["`unbiased`", "6", "6", "6", "6", "24"],
        ["`val_biased`", "16", "12", "4", "6", "38"],
        ["`val_unbiased`", "4", "4", "4", "4", "16"],
        ["`test`", "50", "40", "12", "20", "122"],
    ]


def test_where_the_distributed_cifar10_is_its_card_gets_counts(tmp_path: Path) -> None:
    for level in LEVELS.values():
        layouts.cifar10c(tmp_path, level)
    (table,) = counted("corrupted_cifar10_dfa", tmp_path)
    assert [row[0] for row in table] == list(TASKS.get("corrupted_cifar10_dfa").classes)
    assert all(row[1:] == ["9; 0 to 1"] * 4 for row in table)


def test_counting_opens_no_image(tmp_path: Path) -> None:
    root = layouts.celeba(tmp_path)
    for image in (root / "celeba" / "img_align_celeba").iterdir():
        image.write_bytes(b"no image")
    assert counted("celeba", root)[1][0][-1] == "145"
    assert not (tmp_path / "cache").exists()


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


@pytest.mark.parametrize("name", SOURCES)
def test_a_card_says_what_one_must_know_before_using_the_data(name: str) -> None:
    card = (CARDS / f"{name}.md").read_text()
    for field in ("Target", "Bias", "Source.", "Licence.", "Cite.", "Samples."):
        assert f"**{field}**" in card, f"{name}.md says nothing of: {field}"
    assert re.search(r"## Known (deviations and )?defects\n\n.+", card)
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", card)
    assert pictures or "**Samples.** Not shown here" in card, "samples, or the reason why there are none"
    for picture in pictures:
        assert (CARDS / picture).is_file(), picture


def test_the_cards_are_all_there() -> None:
    assert {path.stem for path in CARDS.glob("*.md")} == set(SOURCES)
