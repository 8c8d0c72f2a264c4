"""Scoring counts every sample once under its (y, b, prediction), and never takes NaN for a class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.counts import Groups, PackedCounts
from benchmark.data import Data
from benchmark.errors import DivergedError
from benchmark.evaluate import EVALUATION_BATCH, count, flat_bias, predictions
from benchmark.task import Inputs, Split

INPUTS = Inputs((1, 1, 3), divide=1.0)
GROUPS = Groups(3, ("a", "b"), (2, 4), ((0, 1, 0), (0, 1, 2)))


def data(n: int = 2 * EVALUATION_BATCH + 7, *, with_bias: bool = True) -> Data:
    draws = np.random.default_rng(0)
    b = np.stack([draws.integers(0, 2, n), draws.integers(0, 4, n)], axis=1)
    x = draws.integers(0, 200, (n, 1, 1, 3), dtype=np.uint8)
    return Data(Split(x, draws.integers(0, 3, n), b), INPUTS, torch.device("cpu"), with_bias=with_bias)


class Pixels(nn.Module):
    """The pixels as logits."""

    def __init__(self, value: float | None = None) -> None:
        super().__init__()
        self.value = value
        self.modes: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.modes.append(self.training)
        logits = x.flatten(1)
        return logits if self.value is None else torch.where(logits == logits.max(), self.value, logits)


def test_counts_agree_with_counting_one_by_one() -> None:
    split = data()
    table = count(predictions(Pixels(), split, 3), split, GROUPS)
    expected = np.zeros((3, 8, 3), np.int64)
    assert split.b is not None
    for pixels, y, (first, second) in zip(split.x.tolist(), split.y.tolist(), split.b.tolist(), strict=True):
        expected[y, 4 * first + second, int(np.argmax(pixels[0][0]))] += 1
    assert table.tolist() == expected.tolist()
    assert table.sum() == len(split)


def test_without_bias_labels_everything_is_in_one_group() -> None:
    split = data(with_bias=False)
    table = count(predictions(Pixels(), split), split, Groups(3))
    assert table.shape == (3, 1, 3)
    assert table.sum(axis=(1, 2)).tolist() == [int((split.y == y).sum()) for y in range(3)]


def test_models_are_scored_in_eval_mode_and_keep_their_own() -> None:
    for training in (True, False):
        model = Pixels().train(training)
        predictions(model, data(10))
        assert set(model.modes) == {False}
        assert model.training == training


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_are_an_error(value: float) -> None:
    with pytest.raises(DivergedError, match="NaN or infinite"):
        predictions(Pixels(value), data(50))


def test_logits_of_another_number_of_classes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected logits of shape \(50, 2\), got \(50, 3\)"):
        predictions(Pixels(), data(50), 2)


def test_an_empty_split_gives_an_empty_table() -> None:
    split = data(0)
    assert count(predictions(Pixels(), split, 3), split, GROUPS).sum() == 0


def test_combinations_of_biases_are_numbered_row_major() -> None:
    b = torch.tensor([[first, second] for first in range(2) for second in range(4)])
    assert flat_bias(b, (2, 4)).tolist() == list(range(8))
    assert flat_bias(torch.zeros(3, 0, dtype=torch.int64), ()).tolist() == [0, 0, 0]


class TestPackedCounts:
    """Count tables as they are stored."""

    def test_come_back_as_they_were(self) -> None:
        tables = np.random.default_rng(0).integers(0, 2**32, (3, 2, 5, 2))
        packed = PackedCounts.pack(tables)
        assert packed.shape == (3, 2, 5, 2)
        assert packed.unpack().tolist() == tables.tolist()

    def test_must_have_four_axes(self) -> None:
        with pytest.raises(ValueError, match=r"got shape \(2, 2, 2\)"):
            PackedCounts.pack(np.zeros((2, 2, 2), np.int64))

    @pytest.mark.parametrize("shape", [(1, 2, 2, 2), (10**6, 2, 2, 2)])
    def test_that_are_not_of_their_shape_are_refused(self, shape: tuple[int, int, int, int]) -> None:
        packed = PackedCounts(shape, PackedCounts.pack(np.zeros((2, 2, 2, 2), np.int64)).data)
        with pytest.raises(ValueError, match=r"counts of shape .* need \d+ bytes"):
            packed.unpack()
