"""BAR on generated files in its owners' layout, and on the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.task import Setting, Split, SplitName
from tasks.bar import Bar, _listing
from tasks.photos import FolderParams
from tasks.sources.bar import ACTIONS, BarSource

PAPER = PROTOCOLS["paper"]
TEST = 200
"""Test images are brighter than this."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Per action 40 training images, grey of value 4 times their number, and 10 test images."""
    for part, count in (("train", 40), ("test", 10)):
        folder = tmp_path / "data" / "BAR" / part
        folder.mkdir(parents=True)
        for action in ACTIONS:
            for number in range(count):
                value = 4 * number if part == "train" else 205 + 5 * number
                Image.new("RGB", (30, 20), (value,) * 3).save(folder / f"{action}_{number}.jpg", quality=100)
    return tmp_path / "data"


def build(root: Path, name: SplitName, rho: float = 1.0, seed: int = 0, protocol: Protocol = PAPER) -> Split:
    return Bar(FolderParams(size=8)).split(name, Setting(rho, seed, protocol, root))


def pictures(split: Split) -> set[tuple[int, int]]:
    return set(zip(split.y.tolist(), split.x[:, 0, 4, 4].tolist(), strict=True))


def test_the_release_trains_on_aligned_images_and_tests_on_conflicting_ones(root: Path) -> None:
    train, validation, test = (build(root, name) for name in Bar.splits)
    assert np.bincount(train.y).tolist() == [36] * 6
    assert np.bincount(validation.y).tolist() == [4] * 6
    assert np.bincount(test.y).tolist() == [10] * 6
    assert not pictures(train) & pictures(validation)
    assert max(train.x.max(), validation.x.max()) < TEST < test.x.min()
    assert train.b.shape == (216, 0)


def test_at_a_lower_level_test_images_move_to_training(root: Path) -> None:
    train, test = build(root, "train", 0.95), build(root, "test", 0.95)
    moved = (train.x[:, 0, 4, 4] > TEST).sum()
    assert moved == round(216 * 0.05 / 0.95)
    assert moved / len(train) == pytest.approx(0.05, abs=0.003)
    assert len(test) == 60 - moved
    assert not pictures(train) & pictures(test)
    again = build(root, "test", 0.95, seed=1)
    assert np.array_equal(np.sort(test.x[:, 0, 4, 4]), np.sort(again.x[:, 0, 4, 4])), "test is the same for all seeds"
    assert pictures(train) != pictures(build(root, "train", 0.95, seed=1))


def test_a_cap_takes_the_actions_in_proportion(root: Path) -> None:
    assert np.bincount(build(root, "train", protocol=Protocol("capped", 1, None, 60, 12, 1)).y).tolist() == [10] * 6


def test_levels_and_splits_that_cannot_be_are_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"rho 0.5 needs 216 conflicting training images; at most half of the 60"):
        build(root, "train", 0.5)
    with pytest.raises(ConfigError, match="bar has no split 'val_unbiased'"):
        build(root, "val_unbiased")


def test_missing_and_misnamed_files_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"missing BAR/train, BAR/test.*alinlab/BAR"):
        build(tmp_path / "empty", "train")
    assert "BAR/train has 240 images, the published data set 1,941" in BarSource().verify(root)
    (root / "BAR" / "test" / "fishing_0.jpg").rename(root / "BAR" / "test" / "knitting_0.jpg")
    with pytest.raises(DataCorruptError, match=r"knitting_0.jpg: expected a name <action>_<number>.jpg"):
        build(root, "test")


def both(root: Path) -> None:
    """All of the owners' training images."""
    for name in ("train", "val_biased"):
        build(root, name)  # type: ignore[arg-type]


def test_a_truncated_image_a_missing_one_and_an_empty_action_are_named(root: Path) -> None:
    image = root / "BAR" / "train" / "racing_7.jpg"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataCorruptError, match=r"train/racing_7.jpg cannot be read as an image.*copy the file again"):
        both(root)
    assert any("racing_7.jpg cannot be read" in problem for problem in BarSource().verify(root))
    image.unlink()
    with pytest.raises(DataCorruptError, match=r"racing_7.jpg (cannot be read|is listed and cannot be found)"):
        both(root)
    for image in (root / "BAR" / "test").glob("fishing_*"):
        image.unlink()
    _listing.cache_clear()
    with pytest.raises(DataCorruptError, match=r"BAR/test has no image of fishing; copy it again"):
        build(root, "test")


def test_under_a_cap_test_is_the_same_for_all_seeds(root: Path) -> None:
    capped = Protocol("capped", 1, None, 60, 12, 1)
    first, second = (build(root, "test", 0.95, seed, capped) for seed in (0, 1))
    assert len(first) == 12
    assert np.array_equal(first.x, second.x)
    trained = (build(root, "train", 0.95, seed, capped) for seed in (0, 1))
    assert not np.array_equal(*(split.x for split in trained))


@pytest.mark.slow
def test_the_real_data_are_whole_and_have_the_published_sizes(data_root: Path) -> None:
    if BarSource().missing(data_root):
        pytest.skip(f"no BAR under {data_root}")
    assert BarSource().verify(data_root) == ()
    task = Bar(FolderParams(size=32))
    sizes = {name: len(task.split(name, Setting(0.99, 0, PAPER, data_root))) for name in task.splits}
    assert sizes == {"train": 1_764, "val_biased": 195, "test": 636}
    assert len(task.split("test", Setting(1.0, 0, PAPER, data_root))) == 654
