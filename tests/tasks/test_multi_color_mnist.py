from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.protocol import PROTOCOLS
from benchmark.task import Setting
from tasks.colored_mnist import MEAN_COLOURS
from tasks.multi_color_mnist import MultiColorMnist

NOWHERE = Path("/no/data/here")
PAPER = PROTOCOLS["paper"]


def task(**params: object) -> MultiColorMnist:
    return MultiColorMnist(MultiColorMnist.Params(**params))


def exact_bounds(digit: int, n: int, left: Fraction, right: Fraction) -> list[Fraction]:
    """Where the images of each (left, right) pair end, before rounding."""
    bounds, total = [], Fraction(0)
    for a in range(10):
        for c in range(10):
            share_left = left if a == digit else (1 - left) / 9
            share_right = right if c == digit else (1 - right) / 9
            total += n * share_left * share_right
            bounds.append(total)
    return bounds


@pytest.mark.parametrize(("name", "left", "right"), [("train", "0.99", "0.95"), ("test", "0.1", "0.1")])
def test_pairs_of_each_class_of_mnist_follow_the_outer_product(
    data_root: Path, name: str, left: str, right: str
) -> None:
    split = task(source="complete").split(name, Setting(0.99, 0, PAPER, data_root))
    for digit in range(10):
        b = split.b[split.y == digit]
        found = np.cumsum(np.bincount(10 * b[:, 0] + b[:, 1], minlength=100)).tolist()
        exact = exact_bounds(digit, len(b), Fraction(left), Fraction(right))
        # a bound that is half an integer may be rounded to either side
        assert all(a == round(e) or abs(a - e) == Fraction(1, 2) for a, e in zip(found, exact, strict=True))


def test_groups_of_the_training_split_of_mnist_have_the_published_shares(data_root: Path) -> None:
    split = task(source="complete").split("train", Setting(0.99, 0, PAPER, data_root))
    aligned = split.b == split.y[:, None]
    for left, right, share in (
        (True, True, 0.9405),
        (True, False, 0.0495),
        (False, True, 0.0095),
        (False, False, 0.0005),
    ):
        found = ((aligned[:, 0] == left) & (aligned[:, 1] == right)).mean()
        assert found == pytest.approx(share, abs=3e-4)


@given(st.integers(0, 9), st.integers(0, 7_000), st.floats(0.001, 1), st.floats(0.001, 1))
def test_pair_counts_are_rounded_on_the_cumulative_sum(digit: int, n: int, left: float, right: float) -> None:
    counts = task().bias_counts(digit, n, (left, right), np.random.default_rng(0))
    assert counts.shape == (100,)
    assert counts.min() >= 0
    assert counts.sum() == n
    bounds = exact_bounds(digit, n, Fraction(left), Fraction(right))
    assert max(abs(a - float(b)) for a, b in zip(np.cumsum(counts).tolist(), bounds, strict=True)) <= 0.5 + 1e-6


def test_the_right_level_is_a_parameter() -> None:
    split = task(source="embedded", rho_right=0.5).split("train", Setting(0.9, 0, PAPER, NOWHERE))
    aligned = (split.b == split.y[:, None]).mean(axis=0)
    assert aligned == pytest.approx([0.9, 0.5], abs=0.01)
    with pytest.raises(ValueError, match=r"rho_right is the share of right-aligned samples, in \(0, 1\]; got 0"):
        task(rho_right=0)


def test_each_half_takes_its_colour_wherever_the_pixel_is_not_white() -> None:
    gray = np.zeros((1, 28, 28), dtype=np.uint8)
    gray[0, 1, 13], gray[0, 1, 14], gray[0, 2, 3], gray[0, 4, 20] = 100, 100, 255, 254
    colours = np.array([[[0.2, 0.0, 0.8], [0.6, 1.0, 0.1]]], dtype=np.float32)
    painted = task().paint(gray, colours)[0]
    assert painted.dtype == np.uint8
    assert painted[:, 0, 0].tolist() == painted[:, 27, 13].tolist() == [51, 0, 204]
    assert painted[:, 0, 14].tolist() == painted[:, 27, 27].tolist() == [153, 255, 26]  # 25.5 to the even neighbour
    assert painted[:, 1, 13].tolist() == [151, 100, 255]  # 100 + 204 is clamped
    assert painted[:, 1, 14].tolist() == [253, 255, 126]  # 125.5 to the even neighbour
    assert painted[:, 2, 3].tolist() == [255, 255, 255]
    assert painted[:, 4, 20].tolist() == [255, 255, 255]


def test_right_colours_are_the_complement_of_left_ones_with_their_own_jitter() -> None:
    b = np.stack([np.full(20_000, 2), np.full(20_000, 5)], axis=1)
    colours = task().colours(b, np.random.default_rng(0)).astype(float)
    assert colours.shape == (20_000, 2, 3)
    tolerance = 4 * 0.005 / np.sqrt(20_000)
    assert colours[:, 0].mean(axis=0) == pytest.approx(MEAN_COLOURS[2].astype(float), abs=tolerance)
    assert colours[:, 1].mean(axis=0) == pytest.approx([1 - 0.3214, 1 - 0.9611, 1 - 0.4464], abs=tolerance)
    assert colours.std(axis=0).ravel() == pytest.approx([0.005] * 6, rel=0.03)
    correlation = np.corrcoef(colours.reshape(-1, 6).T)
    assert np.abs(correlation[np.triu_indices(6, 1)]).max() < 0.03


def test_real_digits_stand_before_their_colours() -> None:
    split = task(source="embedded").split("train", Setting(0.5, 0, PAPER, NOWHERE))
    left, right = split.x[:, :, 0, 0].astype(float), split.x[:, :, 0, 27].astype(float)
    means = MEAN_COLOURS.astype(float)
    assert np.abs(left - 255 * means[split.b[:, 0]]).max() < 255 * 0.005 * 6
    assert np.abs(right - 255 * (1 - means[split.b[:, 1]])).max() < 255 * 0.005 * 6


def test_inputs_are_divided_twice_under_the_paper_protocol_only() -> None:
    def resolved(protocol: str, **params: object) -> str:
        found = MultiColorMnist.resolve(MultiColorMnist.Params(**params), NOWHERE, PROTOCOLS[protocol])
        assert found.source == "embedded"
        return str(found.input_scaling)

    assert (resolved("paper"), resolved("short"), resolved("smoke")) == ("double", "single", "single")
    assert resolved("paper", input_scaling="single") == "single"
    assert resolved("short", input_scaling="double") == "double"
    assert task(input_scaling="double").inputs().divide == 65025
    assert task(input_scaling="single").inputs().divide == 255


def test_the_recipe_is_that_of_debian() -> None:
    recipe = task().recipe(0.99)
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adam", 1e-3, 1e-4)
    assert (recipe.batch_size, recipe.epochs, recipe.schedule) == (256, 100, "constant")
    assert task().backbone().options == {"widths": [100] * 3}
