"""BFFHQ and the distributed Corrupted CIFAR-10 on generated files in their owners' layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.task import Setting, Split, SplitName
from tasks.bffhq import Bffhq, BffhqParams
from tasks.corrupted_cifar10_dfa import CorruptedCifar10Dfa
from tasks.sources.bffhq import BffhqSource
from tasks.sources.cifar10c import Cifar10cSource

PAPER = PROTOCOLS["paper"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


def write(folder: Path, labels: list[tuple[int, int]], size: int, *, by_class: bool) -> None:
    """Images called ``<id>_<y>_<b>.png``, in a subfolder per class or not; grey of value 10 y + b."""
    for number, (y, b) in enumerate(labels):
        path = folder / (str(y) if by_class else "") / f"{number}_{y}_{b}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (size, size), (10 * y + b,) * 3).save(path)


@pytest.fixture
def bffhq(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write(root / "bffhq/0.5pct/align", [(0, 0)] * 30 + [(1, 1)] * 20, 16, by_class=True)
    write(root / "bffhq/0.5pct/conflict", [(0, 1), (1, 0)], 16, by_class=True)
    write(root / "bffhq/valid", [(0, 0)] * 6 + [(1, 1)] * 4, 16, by_class=False)
    write(root / "bffhq/test", [(0, 0), (0, 1), (1, 0), (1, 1)] * 5, 16, by_class=False)
    return root


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


@pytest.fixture
def cifar10c(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write(root / "cifar10c/1pct/align", [(y, y) for y in range(10)] * 9, 32, by_class=True)
    write(root / "cifar10c/1pct/conflict", [(y, (y + 1) % 10) for y in range(10)], 32, by_class=True)
    write(root / "cifar10c/1pct/valid", [(y, y) for y in range(10)] * 2, 32, by_class=True)
    write(root / "cifar10c/test", [(y, b) for y in range(10) for b in range(10)], 32, by_class=True)
    return root


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
