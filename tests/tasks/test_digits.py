from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data import Data
from benchmark.errors import ConfigError, DataMissingError
from benchmark.network import build_network
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.task import SPLITS, Setting, SplitName
from tasks.biased_mnist import BiasedMnist
from tasks.colored_mnist import ColoredMnist
from tasks.digits import DigitTask, choose
from tasks.multi_color_mnist import MultiColorMnist
from tasks.partition import evenly, proportionally
from tasks.sources import mnist

TASKS = (BiasedMnist, ColoredMnist, MultiColorMnist)
PAPER = PROTOCOLS["paper"]
NOWHERE = Path("/no/data/here")
DISJOINT: tuple[SplitName, ...] = ("train", "unbiased", "val_biased", "test")


def task_of(kind: type[DigitTask], source: str = "embedded", **params: object) -> DigitTask:
    return kind(kind.Params(source=source, **params))


def setting(rho: float = 0.99, seed: int = 0, protocol: Protocol = PAPER, root: Path = NOWHERE) -> Setting:
    return Setting(rho, seed, protocol, root)


def numbers(images: np.ndarray) -> set[int]:
    """Which images of ``numbered_mnist`` these are."""
    flat = images.reshape(len(images), -1).astype(np.int64)
    return set((flat[:, 0] + 256 * flat[:, 1] + 65536 * flat[:, 2]).tolist())


def test_complete_mnist_is_cut_into_disjoint_parts_of_the_promised_sizes(numbered_mnist: Path) -> None:
    chosen = {name: choose(name, "complete", 3, numbered_mnist, None) for name in SPLITS}
    assert {name: len(y) for name, (_, y) in chosen.items()} == {
        "train": 50_000,
        "unbiased": 5_000,
        "val_biased": 5_000,
        "val_unbiased": 5_000,
        "test": 10_000,
    }
    from_training_file = [numbers(chosen[name][0]) for name in ("train", "unbiased", "val_biased")]
    assert set.union(*from_training_file) == set(range(60_000))  # with 60,000 in all, so they are disjoint
    assert numbers(chosen["test"][0]) == set(range(10_000))


def test_labels_stay_with_their_images(numbered_mnist: Path) -> None:
    labels = mnist.complete(numbered_mnist, "train").labels
    images, y = choose("unbiased", "complete", 1, numbered_mnist, None)
    flat = images.reshape(len(images), -1).astype(np.int64)
    assert (labels[flat[:, 0] + 256 * flat[:, 1] + 65536 * flat[:, 2]] == y).all()


def test_embedded_digits_are_cut_into_disjoint_parts_of_each_class() -> None:
    parts = {name: choose(name, "embedded", 3, NOWHERE, None) for name in DISJOINT}
    per_class = {"train": 300, "unbiased": 50, "val_biased": 50, "test": 100}
    for name, (_, y) in parts.items():
        assert np.bincount(y).tolist() == [per_class[name]] * 10
    contents = [image.tobytes() for images, _ in parts.values() for image in images]
    assert len(set(contents)) == len(contents) == 5_000


@pytest.mark.parametrize("name", ["train", "unbiased", "val_biased"])
def test_parts_of_complete_mnist_are_stratified(numbered_mnist: Path, name: SplitName) -> None:
    pool = np.bincount(mnist.complete(numbered_mnist, "train").labels)
    _, y = choose(name, "complete", 0, numbered_mnist, None)
    assert np.abs(np.bincount(y) - pool * len(y) / 60_000).max() < 2


def test_both_validation_splits_hold_the_same_images_coloured_differently() -> None:
    for protocol in (PAPER, PROTOCOLS["smoke"]):
        gray = [choose(name, "embedded", 0, NOWHERE, protocol.max_eval)[0] for name in ("val_biased", "val_unbiased")]
        assert (gray[0] == gray[1]).all()
    for kind in TASKS:
        biased, unbiased = (task_of(kind).split(name, setting()) for name in ("val_biased", "val_unbiased"))
        assert (biased.y == unbiased.y).all()
        assert (biased.b == biased.y[:, None]).mean() > 0.9
        assert (unbiased.b == unbiased.y[:, None]).mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("kind", TASKS)
def test_the_test_split_is_one_fixed_set(kind: type[DigitTask]) -> None:
    task = task_of(kind)
    first, other = task.split("test", setting(0.99, 0)), task.split("test", setting(0.5, 7))
    assert (first.x == other.x).all()
    assert (first.y == other.y).all()
    assert (first.b == other.b).all()


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("name", ["train", "unbiased", "val_biased", "val_unbiased"])
def test_other_splits_are_those_of_their_seed(kind: type[DigitTask], name: SplitName) -> None:
    task = task_of(kind)
    first, again, other = (task.split(name, setting(seed=seed)) for seed in (0, 0, 1))
    assert (first.x == again.x).all()
    assert (first.b == again.b).all()
    assert (first.x != other.x).any()


@pytest.mark.parametrize("kind", TASKS)
def test_rho_changes_colours_and_not_images(kind: type[DigitTask]) -> None:
    first, other = (task_of(kind).split("train", setting(rho)) for rho in (0.99, 0.5))
    assert (first.y == other.y).all()
    share = [(split.b[:, 0] == split.y).mean() for split in (first, other)]
    assert share == pytest.approx([0.99, 0.5], abs=0.005)


@pytest.mark.parametrize("kind", TASKS)
def test_evaluation_at_the_same_level_does_not_colour_like_training(kind: type[DigitTask]) -> None:
    splits = [task_of(kind).split(name, setting(0.1)) for name in ("unbiased", "val_unbiased")]
    in_class_order = [split.b[np.argsort(split.y, kind="stable")] for split in splits]
    assert (in_class_order[0] != in_class_order[1]).any()


@pytest.mark.parametrize("kind", TASKS)
def test_splits_are_contiguous_bytes_that_the_harness_can_take(kind: type[DigitTask]) -> None:
    split = task_of(kind).split("train", setting())
    assert split.x.dtype == np.uint8
    assert split.x.shape == (3000, 3, 28, 28)
    assert split.x.flags.c_contiguous
    assert split.y.dtype == split.b.dtype == np.int64
    assert split.b.shape == (3000, len(kind.biases))
    assert all(array.flags.writeable for array in (split.x, split.y, split.b))  # torch shares memory with them


@pytest.mark.parametrize("kind", TASKS)
def test_a_cap_takes_the_classes_evenly_and_keeps_the_level(kind: type[DigitTask], numbered_mnist: Path) -> None:
    task = task_of(kind, "complete")
    capped = Protocol("capped", 1.0, None, max_train=2_000, max_eval=1_000, candidates=1)
    train = task.split("train", setting(0.95, protocol=capped, root=numbered_mnist))
    assert np.bincount(train.y).tolist() == [200] * 10
    assert np.bincount(train.y[train.b[:, 0] == train.y]).tolist() == [190] * 10
    for name in ("unbiased", "val_biased", "val_unbiased", "test"):
        assert np.bincount(task.split(name, setting(protocol=capped, root=numbered_mnist)).y).tolist() == [100] * 10


@pytest.mark.parametrize("name", SPLITS)
def test_a_cap_takes_a_part_of_the_full_split(name: SplitName, numbered_mnist: Path) -> None:
    full, capped = (numbers(choose(name, "complete", 2, numbered_mnist, cap)[0]) for cap in (None, 300))
    assert len(capped) == 300
    assert capped < full


def test_a_cap_above_the_size_takes_everything() -> None:
    assert len(choose("train", "embedded", 0, NOWHERE, 4_000)[1]) == 3_000


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(0, 400))
def test_even_division_differs_by_at_most_one_where_there_are_enough(sizes: list[int], total: int) -> None:
    counts = evenly(np.array(sizes), total)
    assert counts.sum() == min(total, sum(sizes))
    assert (counts <= sizes).all()
    unfilled = counts[counts < sizes]
    assert not len(unfilled) or counts.max() - unfilled.min() <= 1


@given(st.lists(st.integers(1, 7_000), min_size=1, max_size=12), st.floats(0, 1))
def test_proportional_division_is_exact_in_sum_and_within_one_of_the_share(sizes: list[int], share: float) -> None:
    total = int(share * sum(sizes))
    counts = proportionally(np.array(sizes), total)
    assert counts.sum() == total
    assert np.abs(counts - np.array(sizes) * total / sum(sizes)).max() < 1


def test_auto_is_the_complete_data_where_there_is_any(numbered_mnist: Path, tmp_path: Path) -> None:
    for kind in TASKS:
        assert kind.resolve(kind.Params(), tmp_path, PAPER).source == "embedded"
        assert kind.resolve(kind.Params(), numbered_mnist, PAPER).source == "complete"
        assert kind.resolve(kind.Params(source="embedded"), numbered_mnist, PAPER).source == "embedded"
        assert kind.resolve(kind.Params(source="complete"), tmp_path, PAPER).source == "complete"


def test_half_a_data_set_is_an_error_and_not_the_embedded_one(tmp_path: Path) -> None:
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.parent.mkdir(parents=True)
    path.touch()
    params = BiasedMnist.resolve(BiasedMnist.Params(), tmp_path, PAPER)
    with pytest.raises(DataMissingError, match=r"missing .*train-images.*data fetch mnist") as error:
        BiasedMnist(params).split("train", setting(root=tmp_path))
    assert "t10k-labels" not in str(error.value)


def test_an_unresolved_source_is_resolved_when_data_is_read() -> None:
    task = ColoredMnist(ColoredMnist.Params())
    expected = task_of(ColoredMnist).split("test", setting())
    assert (task.split("test", setting()).x == expected.x).all()


@pytest.mark.parametrize("rho", [None, 0.0, -0.1, 1.01])
def test_a_level_that_is_none_is_refused(rho: float | None) -> None:
    with pytest.raises(ConfigError, match=r"biased_mnist: rho is the share of bias-aligned samples, in \(0, 1\]; got"):
        task_of(BiasedMnist).split("train", Setting(rho, 0, PAPER, NOWHERE))


@given(st.floats(0.001, 1), st.sampled_from(TASKS), st.sampled_from(["train", "val_biased"]))
def test_every_level_gives_every_class_its_share(rho: float, kind: type[DigitTask], name: SplitName) -> None:
    split = task_of(kind).split(name, setting(rho, protocol=PROTOCOLS["smoke"]))
    aligned = np.bincount(split.y[split.b[:, 0] == split.y], minlength=10)
    assert np.abs(aligned - rho * np.bincount(split.y)).max() <= 1
    assert split.b.min() >= 0
    assert split.b.max() <= 9


def test_full_alignment_has_no_conflicting_sample() -> None:
    for kind, params in ((BiasedMnist, {}), (ColoredMnist, {}), (MultiColorMnist, {"rho_right": 1.0})):
        split = task_of(kind, **params).split("train", setting(1.0))
        assert (split.b == split.y[:, None]).all()


@pytest.mark.parametrize("kind", TASKS)
def test_the_backbone_takes_the_inputs(kind: type[DigitTask]) -> None:
    import torch

    task = task_of(kind)
    data = Data(task.split("test", setting()), task.inputs(), torch.device("cpu"), with_bias=True)
    batch = data.batch(torch.arange(100))
    network = build_network(task.backbone(), task.inputs(), len(task.classes), "test")
    assert network(batch.x[:2]).shape == (2, 10)
    low = -1 if kind is BiasedMnist else 0
    assert low <= batch.x.min() < low + 0.01  # the whole range is used
    assert 0.99 < batch.x.max() <= 1


def test_data_of_this_version_are_what_they_were() -> None:
    """Whoever changes them raises the task's version."""
    found = {}
    for kind in TASKS:
        digest = hashlib.sha256()
        for name in SPLITS:
            split = task_of(kind).split(name, setting(0.95, 1, PROTOCOLS["smoke"]))
            digest.update(split.x.tobytes() + split.y.tobytes() + split.b.tobytes())
        found[kind.name, kind.version] = digest.hexdigest()[:16]
    assert found == {
        ("biased_mnist", 1): "33fd1fc0a123cfa0",
        ("colored_mnist", 1): "82086d4c9e105897",
        ("multi_color_mnist", 1): "3d71b028e68aab3c",
    }


def test_tasks_are_declared_and_built_without_heavy_packages() -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from benchmark.protocol import PROTOCOLS; from benchmark.task import Setting\n"
        "from tasks.biased_mnist import BiasedMnist; from tasks.colored_mnist import ColoredMnist\n"
        "from tasks.multi_color_mnist import MultiColorMnist\n"
        "for kind in (BiasedMnist, ColoredMnist, MultiColorMnist):\n"
        "    kind(kind.Params()).split('train', Setting(.99, 0, PROTOCOLS['smoke'], Path('/no/data/here')))\n"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'pandas', 'mlxtend.data'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", TASKS)
def test_only_images_whose_bias_changes_are_redrawn_differently(kind: type[DigitTask]) -> None:
    task, where = task_of(kind), setting(protocol=PROTOCOLS["smoke"])
    split = task.split("test", where)
    other = split.b.copy()
    other[::3, -1] = (other[::3, -1] + 4) % 10
    redrawn = task.redraw("test", where, other)
    assert np.array_equal(redrawn.b, other)
    assert np.array_equal(redrawn.y, split.y)
    changed = (redrawn.x != split.x).any((1, 2, 3))
    assert changed.tolist() == [i % 3 == 0 for i in range(len(split))]


def test_a_redrawn_digit_keeps_its_shape_and_takes_the_other_colour() -> None:
    task, where = task_of(ColoredMnist), setting(protocol=PROTOCOLS["smoke"])
    split = task.split("test", where)
    redrawn = task.redraw("test", where, np.full_like(split.b, 8))  # (0.2077, 0.3929, 0.0187)
    before, after = split.x.max(1), redrawn.x.max(1)
    assert after[before == 0].max() <= 1  # where the faintest grey may have been rounded away
    assert after[before > 10].min() > 0
    strongest = redrawn.x.max((2, 3))
    assert np.abs(strongest / 255 - [0.2077, 0.3929, 0.0187]).max() < 0.03
