"""Files in the layouts of MNIST and CIFAR-10 whose images say which one they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tasks.sources import cifar10_layouts

MNIST_COUNTS = {"train": 60_000, "t10k": 10_000}


@pytest.fixture(scope="session")
def numbered_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with MNIST of the official size and uneven classes; pixels 0 to 2 of image i are i in base 256."""
    root = tmp_path_factory.mktemp("numbered")
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(5)
    for part, count in MNIST_COUNTS.items():
        labels = draws.choice(10, count, p=np.arange(6, 16) / 105).astype(np.uint8)
        images = np.zeros((count, 784), dtype=np.uint8)
        images[:, 0], images[:, 1], images[:, 2] = (np.arange(count) // 256**k % 256 for k in range(3))
        header = (0x803).to_bytes(4) + count.to_bytes(4) + (28).to_bytes(4) * 2
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes((0x801).to_bytes(4) + count.to_bytes(4) + labels.tobytes())
    return root


CIFAR10_BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def pickled_as_in_python_2(rows: npt.NDArray[np.uint8]) -> bytes:
    """The published batches' pickle, opcode by opcode: protocol 2, byte strings, an array, a list of integers."""

    def text(value: bytes) -> bytes:  # SHORT_BINSTRING
        return b"U" + bytes([len(value)]) + value

    def integer(value: int) -> bytes:  # BININT
        return b"J" + value.to_bytes(4, "little", signed=True)

    pixels = np.ascontiguousarray(rows[:, 1:]).tobytes()
    empty_array = (
        b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + text(b"b") + b"\x87R"
    )
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + integer(-1) + integer(-1) + b"K\x00tb"
    shape = integer(len(rows)) + integer(3072) + b"\x86"
    array = (
        empty_array + b"(K\x01" + shape + dtype + b"\x89" + b"T" + len(pixels).to_bytes(4, "little") + pixels + b"tb"
    )
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in rows[:, 0]) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + b"u."


def cifar10_rows(batch: int, size: int) -> npt.NDArray[np.uint8]:
    """A batch: label, then the image's number in base 256 in the first pixels of the red plane."""
    draws = np.random.default_rng(batch)
    number = np.arange(size) + size * batch
    rows = np.full((size, 3073), 100, dtype=np.uint8)
    rows[:, 0] = draws.permutation(np.repeat(np.arange(10), size // 10))
    rows[:, 1], rows[:, 2] = number % 256, number // 256
    return rows


@pytest.fixture
def small_cifar10(monkeypatch: pytest.MonkeyPatch) -> int:
    """CIFAR-10 counts as whole with 2,500 training and 500 test images; gives the size of a batch."""
    monkeypatch.setattr(cifar10_layouts, "BATCH", 500)
    monkeypatch.setitem(cifar10_layouts.COUNTS, "train", 2_500)
    monkeypatch.setitem(cifar10_layouts.COUNTS, "test", 500)
    return 500


@pytest.fixture
def numbered_cifar10(tmp_path: Path, small_cifar10: int) -> Path:
    """A data root with both batch layouts of CIFAR-10."""
    root = tmp_path / "numbered"
    pickles, binary = root / "cifar-10-batches-py", root / "cifar-10-batches-bin"
    pickles.mkdir(parents=True)
    binary.mkdir()
    for batch, name in enumerate(CIFAR10_BATCHES):
        rows = cifar10_rows(batch, small_cifar10)
        (pickles / name).write_bytes(pickled_as_in_python_2(rows))
        rows.tofile(binary / f"{name}.bin")
    return root
