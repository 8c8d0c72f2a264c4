from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.protocol import PROTOCOLS
from benchmark.task import Setting
from tasks.biased_mnist import BiasedMnist
from tasks.sources import mnist

BACKGROUNDS = {
    0: (255, 0, 0),
    1: (0, 255, 0),
    2: (0, 0, 255),
    3: (225, 225, 0),
    4: (225, 0, 225),
    5: (0, 255, 255),
    6: (255, 128, 0),
    7: (255, 0, 128),
    8: (128, 0, 255),
    9: (128, 128, 128),
}


def task(**params: object) -> BiasedMnist:
    return BiasedMnist(BiasedMnist.Params(**params))


@pytest.mark.parametrize("rho", [0.99, 0.995, 0.997, 0.999, 0.1])
def test_each_class_of_mnist_has_exactly_the_published_number_of_aligned_samples(data_root: Path, rho: float) -> None:
    split = task(source="complete").split("train", Setting(rho, 0, PROTOCOLS["paper"], data_root))
    assert len(split) == 50_000
    for digit in range(10):
        colours = np.bincount(split.b[split.y == digit, 0], minlength=10)
        n = int(colours.sum())
        assert colours[digit] == int(n * rho)
        rest = n - int(n * rho)
        chunk = int(np.ceil(rest / 9))
        others = sorted(np.delete(colours, digit).tolist(), reverse=True)
        assert others == [len(range(start, min(start + chunk, rest))) for start in range(0, 9 * chunk, chunk)]


def test_the_test_split_of_mnist_is_unbiased(data_root: Path) -> None:
    split = task(source="complete").split("test", Setting(0.999, 4, PROTOCOLS["paper"], data_root))
    official = np.bincount(mnist.complete(data_root, "t10k").labels)
    assert official.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(split.y).tolist() == official.tolist()
    aligned = np.bincount(split.y[split.b[:, 0] == split.y])
    assert aligned.tolist() == [int(n * 0.1) for n in official.tolist()]


@given(st.integers(0, 9), st.integers(0, 7_000), st.floats(0.001, 1), st.integers(0, 1_000))
def test_conflicting_samples_come_in_chunks(digit: int, n: int, rho: float, seed: int) -> None:
    counts = task().bias_counts(digit, n, (rho,), np.random.default_rng(seed))
    images = list(range(n))
    aligned, conflicting = images[: int(n * rho)], images[int(n * rho) :]
    size = int(np.ceil(len(conflicting) / 9)) or 1
    chunks = [conflicting[start : start + size] for start in range(0, len(conflicting), size)]
    assert counts[digit] == len(aligned)
    assert sorted(np.delete(counts, digit).tolist()) == sorted(
        [len(chunk) for chunk in chunks] + [0] * (9 - len(chunks))
    )


def test_which_colours_get_the_few_conflicting_samples_is_drawn() -> None:
    found = {
        tuple(np.flatnonzero(task().bias_counts(4, 1_000, (0.997,), np.random.default_rng(seed))).tolist())
        for seed in range(40)
    }
    assert all(len(colours) == 4 and 4 in colours for colours in found)  # 997 aligned, three chunks of one
    assert len(found) > 20


@pytest.mark.parametrize("value", range(10))
def test_background_takes_the_colour_and_every_other_pixel_is_white(value: int) -> None:
    gray = np.zeros((1, 28, 28), dtype=np.uint8)
    gray[0, 3, 4], gray[0, 5, 6], gray[0, 7, 8] = 1, 128, 255
    painted = task().paint(gray, task().colours(np.array([[value]]), np.random.default_rng(0)))
    expected = np.empty((1, 3, 28, 28), dtype=np.uint8)
    for channel in range(3):
        expected[0, channel] = BACKGROUNDS[value][channel]
    for row, column in ((3, 4), (5, 6), (7, 8)):
        expected[0, :, row, column] = 255
    assert painted.dtype == np.uint8
    assert (painted == expected).all()


def test_real_digits_are_painted_with_the_colour_of_their_bias_value() -> None:
    split = task(source="embedded").split("train", Setting(0.5, 0, PROTOCOLS["paper"], Path("/no/data/here")))
    corner = split.x[:, :, 0, 0]  # of the embedded digits, none reaches the corner
    assert (corner == np.array([BACKGROUNDS[value] for value in split.b[:, 0].tolist()])).all()
    assert (split.x == 255).all(axis=1).any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("rho", "milestones"), [(0.99, (40, 60)), (0.995, (40, 60)), (0.997, (80, 90)), (0.999, (80, 90))]
)
def test_the_learning_rate_decays_as_published_at_each_level(rho: float, milestones: tuple[int, ...]) -> None:
    recipe = task().recipe(rho)
    assert recipe.milestones == milestones
    assert (recipe.optimizer, recipe.learning_rate, recipe.momentum, recipe.weight_decay) == ("sgd", 0.1, 0.9, 1e-4)
    assert (recipe.batch_size, recipe.epochs, recipe.schedule, recipe.decay) == (100, 80, "step", 0.1)


def test_the_last_activation_is_a_parameter() -> None:
    assert task().backbone().options == {"last_activation": "tanh"}
    assert task(activation="relu").backbone().options == {"last_activation": "relu"}
