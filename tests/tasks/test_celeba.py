"""CelebA on generated files in torchvision's layout: image i is grey of value i % 256."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.task import Setting, Split, SplitName
from tasks.celeba import Celeba, CelebaParams
from tasks.sources.celeba import CelebaSource, faces
from tests.tasks import layouts
from tests.tasks.layouts import FACES

PAPER = PROTOCOLS["paper"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layouts.celeba(tmp_path / "data")


def build(root: Path, name: SplitName, evaluation: str = "ffw", seed: int = 0, protocol: Protocol = PAPER) -> Split:
    params = CelebaParams(evaluation=evaluation, size=8)  # type: ignore[arg-type]
    return Celeba(params).split(name, Setting(None, seed, protocol, root))


def counts(split: Split) -> dict[tuple[int, int], int]:
    return {group: int(((split.y == group[0]) & (split.b[:, 0] == group[1])).sum()) for group in FACES}


def numbers(split: Split) -> set[int]:
    """Which images (from 1), of 263 in all, so that grey values are ambiguous only beyond 255."""
    return set(split.x[:, 0, 4, 4].tolist())


def test_training_is_the_official_part_at_its_natural_level(root: Path) -> None:
    train = build(root, "train")
    assert train.x.shape == (145, 3, 8, 8)
    assert train.b.shape == (145, 1)
    assert counts(train) == {group: parts[0] for group, parts in FACES.items()}
    assert train.x[:, 0, 0, 0].tolist() == list(range(1, 146))  # in the official order, not copied


@pytest.mark.parametrize(
    ("evaluation", "reported", "held_out"), [("ffw", (146 + 60, 263), (146, 205)), ("bise", (146, 205), (206, 263))]
)
def test_the_reported_part_is_balanced_and_the_other_is_held_out(
    root: Path, evaluation: str, reported: tuple[int, int], held_out: tuple[int, int]
) -> None:
    test = build(root, "test", evaluation)
    smallest = min(parts[2 if evaluation == "ffw" else 1] for parts in FACES.values())
    assert set(counts(test).values()) == {smallest}
    official = {number % 256 for number in range(reported[0], reported[1] + 1)}
    assert numbers(test) <= official
    others = {number % 256 for number in range(held_out[0], held_out[1] + 1)}
    unbiased, biased, val = (build(root, name, evaluation) for name in ("unbiased", "val_biased", "val_unbiased"))
    assert numbers(unbiased) | numbers(biased) <= others
    assert not numbers(unbiased) & numbers(biased)
    assert numbers(val) <= numbers(biased)
    assert len(set(counts(unbiased).values())) == len(set(counts(val).values())) == 1


def test_the_held_out_part_is_divided_sixty_to_forty_by_group(root: Path) -> None:
    assert set(counts(build(root, "unbiased")).values()) == {3}  # .6 of 5
    assert counts(build(root, "val_biased")) == {(0, 0): 8, (0, 1): 8, (1, 0): 6, (1, 1): 2}


def test_denetdm_reports_the_whole_test_part(root: Path) -> None:
    assert counts(build(root, "test", "denetdm")) == {group: parts[2] for group, parts in FACES.items()}


def test_test_does_not_depend_on_the_seed_and_the_held_out_splits_do(root: Path) -> None:
    assert np.array_equal(build(root, "test", seed=0).x, build(root, "test", seed=1).x)
    assert numbers(build(root, "unbiased", seed=0)) != numbers(build(root, "unbiased", seed=1))


def test_a_cap_keeps_the_share_of_every_group(root: Path) -> None:
    cap = Protocol("capped", 1.0, None, 29, 12, 1)
    assert counts(build(root, "train", protocol=cap)) == {(0, 0): 12, (0, 1): 10, (1, 0): 6, (1, 1): 1}
    assert counts(build(root, "test", protocol=cap)) == dict.fromkeys(FACES, 3)


def test_a_level_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="natural level only; leave rho out"):
        Celeba(CelebaParams()).split("train", Setting(0.9, 0, PAPER, root))


def test_missing_files_are_named_with_what_to_do(root: Path) -> None:
    (root / "celeba" / "list_eval_partition.txt").unlink()
    with pytest.raises(DataMissingError, match=r"missing celeba/list_eval_partition.txt.*owners' page"):
        build(root, "train")
    with pytest.raises(DataMissingError, match="missing celeba/img_align_celeba, "):
        CelebaSource().fetch(root / "nowhere", lambda what, done, total: None)


def test_a_missing_or_truncated_image_is_named(root: Path) -> None:
    image = root / "celeba" / "img_align_celeba" / "000077.jpg"
    image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(DataCorruptError, match=r"000077.jpg cannot be read as an image"):
        build(root, "train")
    problems = CelebaSource().verify(root)
    assert "celeba/img_align_celeba has 263 images, the published data set 202,599" in problems
    assert any("000077.jpg cannot be read" in problem for problem in problems)


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("list_attr_celeba.txt", "Blond_Hair", "Hair", "has no column Blond_Hair"),
        ("list_attr_celeba.txt", "263\n", "264\n", "announces 264 images and has 263"),
        ("list_attr_celeba.txt", "000001.jpg  1", "000001.jpg", "image 000001.jpg has 3 attributes, expected 4"),
        (
            "list_eval_partition.txt",
            "000003.jpg 0",
            "000003.jpg 3",
            "line 3, has the value '3'; expected one of",
        ),
        (
            "list_eval_partition.txt",
            "000003.jpg 0",
            "000003.jpg",
            "line 3: expected an image and a number in each",
        ),
        ("list_eval_partition.txt", "000003.jpg", "000004.jpg", "does not list the images of list_attr_celeba.txt"),
    ],
)
def test_a_damaged_table_is_named_with_what_is_wrong(root: Path, file: str, old: str, new: str, complaint: str) -> None:
    rewrite(root / "celeba" / file, old, new)
    with pytest.raises(DataCorruptError, match=rf"{file}.*{complaint}"):
        faces(root, ("Blond_Hair", "Male"))


def test_a_wrong_attribute_value_is_named(root: Path) -> None:
    table = root / "celeba" / "list_attr_celeba.txt"
    lines = table.read_text().splitlines()
    lines[2] = "000001.jpg 1 0 1 1"
    table.write_text("\n".join(lines))
    with pytest.raises(DataCorruptError, match="line 3, has the value '0'; expected one of -1, 1"):
        faces(root, ("Blond_Hair", "Male"))


def test_an_empty_group_is_an_error(root: Path) -> None:
    table = root / "celeba" / "list_attr_celeba.txt"
    head, lines = table.read_text().splitlines()[:2], table.read_text().splitlines()[2:]
    # no blond man is left
    table.write_text("\n".join(head + [line.replace(" 1  1  1 -1", " 1 -1  1 -1") for line in lines]))
    for name, evaluation in (("train", "ffw"), ("unbiased", "ffw"), ("test", "ffw"), ("test", "denetdm")):
        with pytest.raises(DataCorruptError, match=r"official part \d: only 3 of the 4 groups \(y, b\) have samples"):
            build(root, name, evaluation)  # type: ignore[arg-type]


def test_the_command_line_says_what_is_lacking_of_an_incomplete_copy(root: Path) -> None:
    (root / "celeba" / "list_eval_partition.txt").unlink()
    shown = CliRunner().invoke(main, ["data", "status", "--data", str(root)])
    lines = {line.split()[0]: line for line in shown.output.splitlines() if line}
    assert "lacks celeba/list_eval_partition.txt " in lines["celeba"]
    assert "not here" in lines["bffhq"]
    checked = CliRunner().invoke(main, ["data", "verify", "celeba", "--data", str(root)])
    assert (checked.exit_code, checked.output) == (1, "celeba/list_eval_partition.txt is missing\n")
