"""Splits on the device: the right samples, normalised as said, without the labels that were not asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data import Data
from benchmark.randomness import torch_stream
from benchmark.task import Inputs, Split

CPU = torch.device("cpu")


def split(n: int = 10, channels: int = 3) -> Split:
    draws = np.random.default_rng(0)
    x = draws.integers(0, 256, (n, channels, 4, 5), dtype=np.uint8)
    return Split(x, draws.integers(0, 3, n), draws.integers(0, 2, (n, 2)))


@pytest.mark.parametrize(
    "inputs",
    [
        Inputs((3, 4, 5)),
        Inputs((3, 4, 5), divide=255.0 * 255.0),
        Inputs((3, 4, 5), mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3)),
        Inputs((3, 4, 5), mean=(0.5,), std=(0.5,)),
        Inputs((3, 4, 5), mean=(0.5, 0.1, 0.2)),
    ],
)
def test_normalisation_agrees_with_its_definition_in_float64(inputs: Inputs) -> None:
    data = split()
    x = data.x.astype(np.float64) / inputs.divide
    mean = np.array(inputs.mean or (0.0,)).reshape(1, -1, 1, 1)
    std = np.array(inputs.std or (1.0,)).reshape(1, -1, 1, 1)
    found = Data(data, inputs, CPU, with_bias=False).batch(torch.arange(10)).x
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), (x - mean) / std, rtol=2e-6, atol=2e-6)


def test_tokens_pass_unchanged() -> None:
    tokens = np.arange(12).reshape(4, 3)
    data = Data(Split(tokens, np.zeros(4, np.int64), np.zeros((4, 0), np.int64)), Inputs((3,)), CPU, with_bias=True)
    assert torch.equal(data.batch(torch.tensor([2, 0])).x, torch.tensor([[6, 7, 8], [0, 1, 2]]))


def test_a_batch_holds_the_samples_that_were_asked_for() -> None:
    data, index = split(), torch.tensor([7, 2, 2])
    batch = Data(data, Inputs((3, 4, 5)), CPU, with_bias=True).batch(index)
    assert batch.y.tolist() == data.y[index].tolist()
    assert batch.b is not None
    assert batch.b.tolist() == data.b[index].tolist()
    assert torch.equal(batch.index, index)
    assert torch.equal((batch.x * 255).round().to(torch.uint8), torch.as_tensor(data.x)[index])


def test_bias_labels_are_left_behind_unless_asked_for() -> None:
    data = Data(split(), Inputs((3, 4, 5)), CPU, with_bias=False)
    assert data.b is None
    assert data.batch(torch.arange(3)).b is None
    assert data.subset(torch.arange(3)).b is None


def test_a_subset_is_a_split_of_its_own() -> None:
    whole = Data(split(), Inputs((3, 4, 5)), CPU, with_bias=True)
    part = whole.subset(torch.tensor([4, 1]))
    assert len(part) == 2
    assert part.y.tolist() == whole.y[[4, 1]].tolist()
    part.y[0] = 99
    assert 99 not in whole.y


@pytest.mark.parametrize(("n", "size", "batches"), [(10, 4, [4, 4, 2]), (9, 4, [4, 4]), (1, 4, [1]), (8, 8, [8])])
def test_an_epoch_is_a_shuffled_pass_without_a_last_single_sample(n: int, size: int, batches: list[int]) -> None:
    data = Data(split(n), Inputs((3, 4, 5)), CPU, with_bias=False)
    seen = [batch.index for batch in data.shuffled(size, torch_stream("order"))]
    assert [len(index) for index in seen] == batches
    assert len(set(torch.cat(seen).tolist())) == sum(batches)
    if n == 10:
        again = [batch.index for batch in data.shuffled(size, torch_stream("order"))]
        other = [batch.index for batch in data.shuffled(size, torch_stream("another"))]
        assert torch.equal(torch.cat(seen), torch.cat(again))
        assert not torch.equal(torch.cat(seen), torch.cat(other))


@pytest.mark.parametrize(("n", "size"), [(10, 4), (1, 4), (0, 4)])
def test_ordered_batches_hold_every_sample_once_in_stored_order(n: int, size: int) -> None:
    data = Data(split(n), Inputs((3, 4, 5)), CPU, with_bias=False)
    assert [i for batch in data.ordered(size) for i in batch.index.tolist()] == list(range(n))


def test_images_lie_in_memory_as_the_backbone_wants_them() -> None:
    last = Data(split(), Inputs((3, 4, 5)), CPU, "channels_last", with_bias=False).batch(torch.arange(4)).x
    assert last.is_contiguous(memory_format=torch.channels_last)
    first = Data(split(), Inputs((3, 4, 5)), CPU, with_bias=False).batch(torch.arange(4)).x
    assert first.is_contiguous()
    assert torch.equal(first, last)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"equally many x, y and b.*\(3, 1, 2, 2\), \(2,\), \(3, 1\)"):
        Split(np.zeros((3, 1, 2, 2), np.uint8), np.zeros(2, np.int64), np.zeros((3, 1), np.int64))
    with pytest.raises(ValueError, match=r"b as \(N, biases\)"):
        Split(np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, np.int64), np.zeros(3, np.int64))


def sentences(n: int = 230, width: int = 30) -> Split:
    """Token i of sentence k is 1000 k + i; lengths from 1 to ``width``."""
    lengths = np.random.default_rng(1).integers(1, width + 1, n)
    columns = np.arange(width)
    x = np.where(columns < lengths[:, None], 1000 * np.arange(n)[:, None] + columns, -1).astype(np.int32)
    return Split(x, np.zeros(n, np.int64), np.zeros((n, 1), np.int64))


def test_batches_of_tokens_are_cut_to_their_longest_and_lose_nothing() -> None:
    split = sentences()
    data = Data(split, Inputs((30,)), CPU, with_bias=True)
    for batches in (
        data.shuffled(16, torch_stream("order")),
        data.ordered(16),
        data.subset(torch.arange(50)).ordered(7),
    ):
        for batch in batches:
            longest = int((split.x[batch.index.numpy()] >= 0).sum(1).max())
            assert batch.x.shape[1] == min(30, -(-longest // 8) * 8)
            assert np.array_equal(batch.x.numpy(), split.x[batch.index.numpy(), : batch.x.shape[1]])


def test_an_epoch_of_tokens_is_a_pass_in_another_order_each_time_with_like_lengths_together() -> None:
    split = sentences()
    data = Data(split, Inputs((30,)), CPU, with_bias=False)
    order = torch_stream("order")
    first, second = ([batch.index for batch in data.shuffled(16, order)] for _ in range(2))
    again = [batch.index for batch in data.shuffled(16, torch_stream("order"))]
    assert [len(index) for index in first] == [16] * 14 + [6]
    assert sorted(torch.cat(first).tolist()) == list(range(230))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    lengths = (split.x >= 0).sum(1)
    spread = [np.ptp(lengths[index.numpy()]) for index in first]
    assert np.mean(spread) < 6, "of lengths between 1 and 30"
    longest = [int(lengths[index.numpy()].max()) for index in first]
    assert longest != sorted(longest), "short batches do not always come first"


def test_batches_that_are_not_trained_on_hold_a_bounded_number_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.data.ORDERED_TOKENS", 200)
    data = Data(sentences(), Inputs((30,)), CPU, with_bias=False)
    batches = list(data.ordered(1000))
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(230))
    assert max(batch.x.numel() for batch in batches) <= 200


def mapped(folder: Path, original: Split) -> Split:
    """The same split with its inputs in a memory-mapped file."""
    original.x.tofile(folder / "images.u8")
    x = np.memmap(folder / "images.u8", dtype=np.uint8, mode="c", shape=original.x.shape)
    return Split(x, original.y, original.b)


@pytest.mark.parametrize(("n", "size"), [(10, 4), (9, 4), (1, 4), (10, 100)])
def test_batches_read_ahead_from_a_file_are_those_of_the_memory(n: int, size: int, tmp_path: Path) -> None:
    inputs = Inputs((3, 4, 5), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    held = Data(split(n), inputs, CPU, "channels_last", with_bias=True)
    read = Data(mapped(tmp_path, split(n)), inputs, CPU, "channels_last", with_bias=True)
    assert (held.in_file, read.in_file) == (False, True)
    for first, second in (
        (held.ordered(size), read.ordered(size)),
        (held.shuffled(size, torch.Generator().manual_seed(1)), read.shuffled(size, torch.Generator().manual_seed(1))),
        (iter([held.batch(torch.tensor([0]))]), iter([read.batch(torch.tensor([0]))])),
        (held.subset(torch.arange(n)).ordered(size), read.subset(torch.arange(n)).ordered(size)),
    ):
        for one, other in zip(first, second, strict=True):
            for name in ("x", "y", "b", "index"):
                assert torch.equal(getattr(one, name), getattr(other, name))
            assert one.x.stride() == other.x.stride()
    assert not read.subset(torch.arange(n)).in_file
    assert not read.with_inputs(read.normalise(read.x)).in_file


def test_a_split_in_a_file_goes_to_a_device_that_has_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = split(10).x.nbytes
    for free, stays in ((2 * size - 1, True), (2 * size, False)):
        monkeypatch.setattr("benchmark.data._free_bytes", lambda device, free=free: free)
        assert Data(mapped(tmp_path, split(10)), Inputs((3, 4, 5)), CPU, with_bias=False).in_file is stays
        assert not Data(split(10), Inputs((3, 4, 5)), CPU, with_bias=False).in_file, "what is in memory already moves"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_batches_read_ahead_are_those_of_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    held = Data(mapped(tmp_path, split(200)), Inputs((3, 4, 5)), gpu, with_bias=True)
    assert held.x.is_cuda
    monkeypatch.setattr("benchmark.data._free_bytes", lambda device: 0)
    read = Data(mapped(tmp_path, split(200)), Inputs((3, 4, 5)), gpu, with_bias=True)
    assert read.in_file
    orders = [torch.Generator().manual_seed(1) for _ in range(2)]
    for one, other in zip(held.shuffled(7, orders[0]), read.shuffled(7, orders[1]), strict=True):
        for name in ("x", "y", "b", "index"):
            assert getattr(other, name).is_cuda
            assert torch.equal(getattr(one, name), getattr(other, name))
