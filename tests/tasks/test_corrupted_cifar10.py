from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from benchmark.errors import ConfigError, DataMissingError
from benchmark.protocol import PROTOCOLS
from benchmark.task import Setting, Split, SplitName
from tasks import corrupted_cifar10
from tasks.corrupted_cifar10 import CorruptedCifar10, CorruptedCifar10Params
from tasks.corruptions import TYPE0, corrupt
from tasks.sources import cifar10
from tasks.sources.cifar10_layouts import PickledBatches

PAPER = PROTOCOLS["paper"]
RHO = 0.96


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(numbered_cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # of 2,500 training images 250 validate and 250 are unbiased
    monkeypatch.setattr(corrupted_cifar10, "HELD_OUT_SIZE", 250)
    return numbered_cifar10


def build(root: Path, name: SplitName, rho: float = RHO, seed: int = 0, kind: int = 1) -> Split:
    task = CorruptedCifar10(CorruptedCifar10Params(kind=1 if kind else 0))
    return task.split(name, Setting(rho, seed, PAPER, root))


def counts(split: Split) -> list[list[int]]:
    return [[int(((split.y == y) & (split.b[:, 0] == b)).sum()) for b in range(10)] for y in range(10)]


def originals(root: Path, split: Split) -> list[int]:
    """The numbers of the images that kind 1 leaves as they are (corruption 9)."""
    red = split.x[split.b[:, 0] == 9][:, 0, 0].astype(int)
    return sorted((red[:, 0] + 256 * red[:, 1]).tolist())


def test_each_class_has_exactly_its_aligned_share_and_the_rest_even(root: Path) -> None:
    split = build(root, "train")
    assert split.x.shape == (2_000, 3, 32, 32)
    assert split.x.dtype == np.uint8
    for y, row in enumerate(counts(split)):
        assert row[y] == 192  # round(200 * .96)
        others = row[:y] + row[y + 1 :]
        assert sum(others) == 8
        assert set(others) <= {0, 1}


@pytest.mark.parametrize(("name", "size"), [("unbiased", 25), ("val_unbiased", 25), ("test", 50)])
def test_unbiased_splits_have_every_corruption_equally_often(root: Path, name: SplitName, size: int) -> None:
    table = np.array(counts(build(root, name)))
    assert (table.sum(axis=1) == size).all()
    assert table.min() >= size // 10
    assert table.max() <= -(-size // 10)


def test_biased_validation_has_the_share_of_training(root: Path) -> None:
    assert [row[y] for y, row in enumerate(counts(build(root, "val_biased")))] == [24] * 10


def test_pictures_are_the_corrupted_images(root: Path) -> None:
    split = build(root, "test", kind=0)
    photos = PickledBatches(root / "cifar-10-batches-py")
    index = corrupted_cifar10.choose("test", photos.labels("test"), 0, None)
    assert np.array_equal(photos.labels("test")[index], split.y)
    for place in (0, 100, 499):
        image = photos.images("test", index[place : place + 1])
        corrupted = corrupt(image, TYPE0[split.b[place, 0]], 5, [2_500 + index[place]])
        assert np.array_equal(split.x[place], corrupted[0].transpose(2, 0, 1))


@pytest.mark.parametrize("kind", [0, 1])
def test_both_kinds_come_at_every_severity(root: Path, kind: Literal[0, 1]) -> None:
    found = {}
    for severity in (1, 2, 3, 4, 5):
        task = CorruptedCifar10(CorruptedCifar10Params(kind=kind, severity=severity))  # type: ignore[arg-type]
        split = task.split("val_biased", Setting(RHO, 0, PAPER, root))
        assert split.x.shape == (250, 3, 32, 32)
        found[severity] = split
    assert all(np.array_equal(split.b, found[1].b) for split in found.values()), "images get the same corruptions"
    assert len({split.x.tobytes() for split in found.values()}) == 5


def test_splits_share_no_image_but_the_two_validation_splits_share_all(root: Path) -> None:
    names: list[SplitName] = ["train", "unbiased", "val_biased", "val_unbiased"]
    labels = PickledBatches(root / "cifar-10-batches-py").labels("train")
    train, unbiased, biased, again = (corrupted_cifar10.choose(name, labels, 3, None).tolist() for name in names)
    assert biased == again
    assert sorted(train + unbiased + biased) == list(range(2_500))
    shown = originals(root, build(root, "train", seed=3))
    assert set(shown) <= set(train)


def test_test_is_the_same_for_all_seeds_and_levels_and_training_is_not(root: Path) -> None:
    first, second = build(root, "test", RHO, 0), build(root, "test", 0.99, 1)
    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.b, second.b)
    assert not np.array_equal(build(root, "train", seed=0).y, build(root, "train", seed=1).y)


def test_a_second_build_is_equal_and_reads_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(root, "train")
    monkeypatch.setattr(corrupted_cifar10, "corrupt", None)
    second = build(root, "train")
    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.b, second.b)


def test_a_protocols_cap_keeps_the_share_of_aligned_images(root: Path) -> None:
    protocol = replace(PROTOCOLS["smoke"], max_train=505, max_eval=100)
    task = CorruptedCifar10(CorruptedCifar10Params(kind=1))
    train = task.split("train", Setting(RHO, 0, protocol, root))
    assert sorted(np.bincount(train.y).tolist()) == [50] * 5 + [51] * 5
    assert all(row[y] in (48, 49) for y, row in enumerate(counts(train)))
    assert len(task.split("test", Setting(RHO, 0, protocol, root))) == 100


def test_levels_and_sources_are_checked(root: Path, tmp_path: Path) -> None:
    task = CorruptedCifar10(CorruptedCifar10Params())
    with pytest.raises(ConfigError, match="rho is the share of bias-aligned samples"):
        task.split("train", Setting(None, 0, PAPER, root))
    with pytest.raises(DataMissingError, match=r"CIFAR-10 is not complete.*data fetch cifar10"):
        task.split("train", Setting(RHO, 0, PAPER, tmp_path / "empty"))
    assert CorruptedCifar10.resolve(CorruptedCifar10Params(), tmp_path / "empty", PAPER).source == "auto"
    assert CorruptedCifar10.resolve(CorruptedCifar10Params(), root, PAPER).source == "torchvision"
    assert CorruptedCifar10.resolve(CorruptedCifar10Params(source="binary"), root, PAPER).source == "binary"


def test_declared_network_and_recipe_are_the_published_ones() -> None:
    task = CorruptedCifar10(CorruptedCifar10Params())
    assert task.backbone().factory == "tasks.backbones.resnet:resnet18"
    assert task.backbone().options == {"weights": "imagenet"}
    assert CorruptedCifar10(CorruptedCifar10Params(weights="none")).backbone().options == {}
    recipe = task.recipe(0.99)
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adam", 1e-3, 1e-4)
    assert (recipe.batch_size, recipe.epochs, recipe.schedule, recipe.augment) == (256, 200, "cosine", "crop_flip")


def test_the_real_data_have_the_published_sizes(data_root: Path) -> None:
    if cifar10.Cifar10Source().missing(data_root):
        pytest.skip(f"no CIFAR-10 under {data_root}")
    photos = cifar10.photos(data_root, cifar10.found(data_root))
    names: list[SplitName] = ["train", "unbiased", "val_biased"]
    sizes = [len(corrupted_cifar10.choose(name, photos.labels("train"), 0, None)) for name in names]
    assert sizes == [45_000, 2_500, 2_500]
    assert len(corrupted_cifar10.choose("test", photos.labels("test"), 0, None)) == 10_000
    task = CorruptedCifar10(CorruptedCifar10Params())
    split = task.split("train", Setting(0.99, 0, PROTOCOLS["smoke"], data_root))
    assert split.x.shape == (500, 3, 32, 32)
    # brightness (class 3) is lighter than contrast (class 4), which is flat
    bright, flat = (split.x[(split.y == y) & (split.b[:, 0] == y)] for y in (3, 4))
    assert bright.mean() > flat.mean() + 25
    assert flat.std(axis=(2, 3)).mean() < 0.3 * bright.std(axis=(2, 3)).mean()
