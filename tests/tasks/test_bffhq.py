"""BFFHQ and the distributed Corrupted CIFAR-10 on generated files in their owners' layouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.task import Setting, Split, SplitName
from tasks.bffhq import Bffhq, BffhqParams, _listing
from tasks.corrupted_cifar10_dfa import CorruptedCifar10Dfa
from tasks.corrupted_cifar10_dfa import _listing as dfa_listing
from tasks.sources.bffhq import BffhqSource
from tasks.sources.cifar10c import Cifar10cSource
from tests.tasks import layouts

PAPER = PROTOCOLS["paper"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bffhq(tmp_path: Path) -> Path:
    return layouts.bffhq(tmp_path / "data")


def counts(split: Split) -> list[list[int]]:
    return [[int(((split.y == y) & (split.b[:, 0] == b)).sum()) for b in (0, 1)] for y in (0, 1)]


def build(root: Path, name: SplitName, protocol: Protocol = PAPER, **params: object) -> Split:
    task = Bffhq(BffhqParams(size=8, **params))  # type: ignore[arg-type]
    return task.split(name, Setting(0.995, 0, protocol, root))


def test_bffhqs_splits_are_the_owners_folders(bffhq: Path) -> None:
    train = build(bffhq, "train")
    assert counts(train) == [[30, 1], [1, 20]]
    assert train.x.shape == (52, 3, 8, 8)
    assert train.x[:, 0, 0, 0].tolist() == (10 * train.y + train.b[:, 0]).tolist()
    assert len(np.unique(train.y[:10])) == 2, "classes are mixed"
    assert counts(build(bffhq, "val_biased")) == [[6, 0], [0, 4]]
    assert counts(build(bffhq, "test")) == [[0, 5], [5, 0]]
    assert counts(build(bffhq, "test", evaluation="all")) == [[5, 5], [5, 5]]


def test_a_cap_keeps_bffhqs_groups(bffhq: Path) -> None:
    assert counts(build(bffhq, "train", Protocol("capped", 1.0, None, 26, 6, 1))) in (
        [[15, 1], [0, 10]],
        [[15, 0], [1, 10]],
    )
    assert counts(build(bffhq, "test", Protocol("capped", 1.0, None, 26, 6, 1))) == [[0, 3], [3, 0]]


def test_bffhq_has_one_level_and_no_unbiased_images(bffhq: Path) -> None:
    task = Bffhq(BffhqParams())
    with pytest.raises(ConfigError, match=r"0.5 % conflicting images; rho is 0.995, got 0.9"):
        task.split("train", Setting(0.9, 0, PAPER, bffhq))
    with pytest.raises(ConfigError, match="no split 'unbiased'; it has train, val_biased, test"):
        task.split("unbiased", Setting(0.995, 0, PAPER, bffhq))
    assert task.backbone().options == {}, "the published networks start at random"


def test_missing_and_damaged_files_of_bffhq_are_named(bffhq: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"bffhq/0.5pct/align.*unpack it"):
        build(tmp_path / "empty", "train")
    problems = BffhqSource().verify(bffhq)
    assert problems == (
        "bffhq/0.5pct has 52 images, the published data set 19,200",
        "bffhq/valid has 10 images, the published data set 1,000",
        "bffhq/test has 20 images, the published data set 1,000",
    )
    image = bffhq / "bffhq/valid/0_0_0.png"
    image.write_bytes(image.read_bytes()[:40])
    with pytest.raises(DataCorruptError, match=r"valid/0_0_0.png cannot be read"):
        build(bffhq, "val_biased")


def test_a_label_out_of_range_is_named(bffhq: Path) -> None:
    (bffhq / "bffhq/test/0_0_0.png").rename(bffhq / "bffhq/test/0_5_0.png")
    with pytest.raises(DataCorruptError, match=r"test/0_5_0.png: target 5 and bias 0, expected less than 2 and 2"):
        build(bffhq, "test")


def test_an_empty_folder_and_an_empty_group_are_errors(bffhq: Path) -> None:
    (bffhq / "bffhq/0.5pct/conflict/0/0_0_1.png").unlink()
    with pytest.raises(DataCorruptError, match=r"bffhq, train: only 3 of the 4 groups \(y, b\) have samples"):
        build(bffhq, "train")
    for image in (bffhq / "bffhq/test").glob("*_1_0.png"):
        image.unlink()
    _listing.cache_clear()
    with pytest.raises(DataCorruptError, match=r"bffhq, test: only 1 of the 2 groups"):
        build(bffhq, "test")
    shutil.rmtree(bffhq / "bffhq/valid")
    (bffhq / "bffhq/valid").mkdir()
    assert BffhqSource().missing(bffhq) == ("bffhq/valid",)
    _listing.cache_clear()
    with pytest.raises(DataMissingError, match="missing bffhq/valid"):
        build(bffhq, "val_biased")


@pytest.fixture
def cifar10c(tmp_path: Path) -> Path:
    return layouts.cifar10c(tmp_path / "data")


def test_the_distributed_corrupted_cifar10_is_read_level_by_level(cifar10c: Path) -> None:
    task = CorruptedCifar10Dfa(CorruptedCifar10Dfa.Params())
    sizes = {}
    for name in task.splits:
        split = task.split(name, Setting(0.99, 0, PAPER, cifar10c))
        assert split.x.shape[1:] == (3, 32, 32)
        assert split.x[:, 1, 3, 3].tolist() == (10 * split.y + split.b[:, 0]).tolist()
        sizes[name] = (len(split), float((split.b[:, 0] == split.y).mean()))
    assert sizes == {"train": (100, 0.9), "val_biased": (20, 1.0), "test": (100, 0.1)}
    with pytest.raises(
        DataMissingError, match=r"missing cifar10c/5pct/align, cifar10c/5pct/conflict, cifar10c/5pct/valid\."
    ):
        task.split("train", Setting(0.95, 0, PAPER, cifar10c))
    with pytest.raises(ConfigError, match=r"the distributed levels are 0.95, 0.98, 0.99, 0.995; got 0.9"):
        task.split("train", Setting(0.9, 0, PAPER, cifar10c))
    assert len(Cifar10cSource().missing(cifar10c)) == 9


def test_damage_to_the_distributed_corrupted_cifar10_is_named(cifar10c: Path) -> None:
    task, setting = CorruptedCifar10Dfa(CorruptedCifar10Dfa.Params()), Setting(0.99, 0, PAPER, cifar10c)
    image = cifar10c / "cifar10c/test/3/37_3_7.png"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataCorruptError, match=r"test/3/37_3_7.png cannot be read as an image"):
        task.split("test", setting)
    shutil.rmtree(cifar10c / "cifar10c/1pct/conflict")
    for folder, error in (("1pct/conflict/0", DataCorruptError), ("1pct/valid", DataMissingError)):
        shutil.rmtree(cifar10c / "cifar10c" / folder, ignore_errors=True)
        (cifar10c / "cifar10c/1pct/conflict").mkdir(exist_ok=True)
        dfa_listing.cache_clear()
        with pytest.raises(error, match=folder.removesuffix("/0")):
            task.split("train", setting)
