from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.protocol import PROTOCOLS
from benchmark.task import Setting
from tasks.colored_mnist import ColoredMnist
from tasks.digits import choose

NOWHERE = Path("/no/data/here")
PAPER = PROTOCOLS["paper"]
TABLE = """
    0 .9837 .3125 .1686   1 .9905 .9156 .3515   2 .6730 .4611 .5798   3 .7833 .8316 .6013   4 .0880 .7780 .9818
    5 .3214 .9611 .4464   6 .0246 .2357 .7587   7 .5552 .1016 .7618   8 .2077 .3929 .0187   9 .8337 .2024 .2669
"""
COLOURS = np.array([float(number) for number in TABLE.split()]).reshape(10, 4)[:, 1:]


def task(**params: object) -> ColoredMnist:
    return ColoredMnist(ColoredMnist.Params(**params))


@pytest.mark.parametrize("rho", [0.95, 0.98, 0.99, 0.995])
def test_each_class_of_mnist_has_the_published_number_of_aligned_samples(data_root: Path, rho: float) -> None:
    split = task(source="complete").split("train", Setting(rho, 0, PAPER, data_root))
    for digit in range(10):
        colours = np.bincount(split.b[split.y == digit, 0], minlength=10)
        n = int(colours.sum())
        assert colours[digit] == round(n * rho)
        others = np.delete(colours, digit)
        assert others.sum() == n - round(n * rho)
        assert others.max() - others.min() <= 1


def test_the_test_split_of_mnist_is_unbiased(data_root: Path) -> None:
    split = task(source="complete").split("test", Setting(0.99, 0, PAPER, data_root))
    cells = np.zeros((10, 10), dtype=int)
    np.add.at(cells, (split.y, split.b[:, 0]), 1)
    assert cells.sum() == 10_000
    assert (cells.max(axis=1) - cells.min(axis=1)).max() <= 1


@given(st.integers(0, 9), st.integers(0, 7_000), st.floats(0.001, 1), st.integers(0, 1_000))
def test_the_rest_is_spread_evenly(digit: int, n: int, rho: float, seed: int) -> None:
    counts = task().bias_counts(digit, n, (rho,), np.random.default_rng(seed))
    assert counts.sum() == n
    assert abs(counts[digit] - n * rho) <= 0.5
    others = np.delete(counts, digit)
    assert others.min() >= 0
    assert others.max() - others.min() <= 1


@pytest.mark.parametrize("value", range(10))
def test_a_pixel_is_the_colour_times_its_gray_value_rounded(value: int) -> None:
    gray = np.arange(784).reshape(1, 28, 28).astype(np.uint8)
    painted = task().paint(gray, COLOURS[[value]].astype(np.float32))
    for channel in range(3):
        exact = gray[0].astype(float) * COLOURS[value, channel]
        undecided = np.abs(exact % 1 - 0.5) < 1e-4  # float32 may round these either way
        assert (painted[0, channel] == np.round(exact))[~undecided].all()
        assert not undecided.all()


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.05), (2, 0.02), (3, 0.01), (4, 0.005), (5, 0.002)])
def test_each_image_draws_a_colour_around_that_of_its_bias_value(severity: int, sigma: float) -> None:
    b = np.full((20_000, 1), 2)  # far from 0 and 1 in all channels: nothing is clamped
    colours = task(severity=severity).colours(b, np.random.default_rng(0))
    assert colours.mean(axis=0) == pytest.approx(COLOURS[2], abs=4 * sigma / np.sqrt(20_000))
    assert colours.std(axis=0) == pytest.approx([sigma] * 3, rel=0.03)
    correlation = np.corrcoef(colours.T)
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.03  # channels are drawn independently


def test_colours_are_clamped() -> None:
    colours = task(severity=1).colours(np.repeat(np.arange(10), 500)[:, None], np.random.default_rng(1))
    assert colours.min() == 0
    assert colours.max() == 1


def test_real_digits_are_coloured_on_black() -> None:
    split = task(source="embedded", severity=5).split("train", Setting(0.5, 0, PAPER, NOWHERE))
    gray, y = choose("train", "embedded", 0, NOWHERE, None)
    assert (split.y == y).all()
    assert (split.x.transpose(1, 0, 2, 3)[:, gray == 0] == 0).all()
    expected = gray[:, None] * COLOURS[split.b[:, 0]][:, :, None, None]
    assert np.abs(split.x - expected).max() <= 0.5 + 255 * 0.002 * 5


def test_the_recipe_is_the_one_nearest_to_the_published_vanilla_rows() -> None:
    recipe = task().recipe(0.99)
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adam", 1e-3, 1e-3)
    assert (recipe.batch_size, recipe.epochs, recipe.schedule) == (64, 100, "constant")
    assert task().backbone().options == {"widths": [100] * 4}
