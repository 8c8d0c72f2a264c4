"""Readers of CIFAR-10 in the layouts in which it is passed on."""

from __future__ import annotations

import hashlib
import io
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from benchmark.errors import DataCorruptError
from tasks.partition import IntArray

Part = Literal["train", "test"]
COUNTS: dict[Part, int] = {"train": 50_000, "test": 10_000}
SHAPE = (32, 32, 3)
BATCHES: dict[Part, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
BATCH = 10_000
AGAIN = "Delete the file and copy it again."


class Photos(ABC):
    """CIFAR-10 in one layout."""

    @abstractmethod
    def labels(self, part: Part) -> IntArray:
        """Classes of the official training or test images (N,), 0 to 9."""

    @abstractmethod
    def images(self, part: Part, index: IntArray) -> npt.NDArray[np.uint8]:
        """The images at ``index`` (M,), uint8 (M, 32, 32, 3)."""

    @cached_property
    def digest(self) -> str:
        """Checksum of all images and labels: tells copies apart that differ in content."""
        content = hashlib.sha256()
        for part in COUNTS:
            for piece in self.content(part):
                content.update(piece)
        return content.hexdigest()

    @abstractmethod
    def content(self, part: Part) -> Iterator[bytes | memoryview]:
        """What the digest is of."""


class Batches(Photos, ABC):
    """Six files of 10,000 images, small enough to be held in memory."""

    suffix = ""

    def __init__(self, folder: Path) -> None:
        """Of the files in ``folder``."""
        self._folder = folder
        self._parts: dict[Part, npt.NDArray[np.uint8]] = {}

    @abstractmethod
    def read(self, path: Path) -> npt.NDArray[np.uint8]:
        """Label and pixels (red, green, blue plane) of each image of a file: (10000, 3073)."""

    def labels(self, part: Part) -> IntArray:
        """Classes (N,)."""
        return self._rows(part)[:, 0].astype(np.int64)

    def images(self, part: Part, index: IntArray) -> npt.NDArray[np.uint8]:
        """Images (M, 32, 32, 3)."""
        planes = self._rows(part)[index, 1:].reshape(-1, 3, 32, 32)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))

    def content(self, part: Part) -> Iterator[memoryview]:
        """The rows, whatever file format they came in."""
        yield self._rows(part).data

    def _rows(self, part: Part) -> npt.NDArray[np.uint8]:
        if part not in self._parts:
            paths = [self._folder / f"{name}{self.suffix}" for name in BATCHES[part]]
            self._parts[part] = np.concatenate([_checked(path, self.read(path)) for path in paths])
        return self._parts[part]


class PickledBatches(Batches):
    """``cifar-10-batches-py``: pickles of a dictionary with ``data`` and ``labels``."""

    def read(self, path: Path) -> npt.NDArray[np.uint8]:
        """Without running what the pickle asks for."""
        try:
            with path.open("rb") as file:
                batch = _ArraysOnly(file, encoding="latin1").load()
            return np.column_stack([np.asarray(batch["labels"], dtype=np.uint8), np.asarray(batch["data"])])
        except OSError:
            raise
        except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
            raise DataCorruptError(
                f"{path} is not a batch of CIFAR-10: {type(error).__name__}: {error}. {AGAIN}"
            ) from error


class BinaryBatches(Batches):
    """``cifar-10-batches-bin``: 3,073 bytes an image."""

    suffix = ".bin"

    def read(self, path: Path) -> npt.NDArray[np.uint8]:
        """The bytes as they are."""
        content = np.fromfile(path, dtype=np.uint8)
        if content.size != BATCH * 3073:
            raise DataCorruptError(
                f"{path} has {content.size} bytes, expected {BATCH * 3073}: truncated or overlong. {AGAIN}"
            )
        return content.reshape(BATCH, 3073)


class _ArraysOnly(pickle.Unpickler):
    """Reads a pickle of plain values and NumPy arrays.

    A pickle may have any function called while it is read; this one calls only those that make an array.
    """

    def find_class(self, module: str, name: str) -> Any:
        """The few things that the published batches name."""
        allowed = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy", "_reconstruct"): np.empty(0).__reduce__()[0],
        }
        found = allowed.get((module.split(".")[0], name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of CIFAR-10 does")
        return found


def _checked(path: Path, rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if rows.shape != (BATCH, 3073) or rows.dtype != np.uint8:
        raise DataCorruptError(f"{path} holds {rows.dtype} {rows.shape}, expected uint8 {(BATCH, 3073)}. {AGAIN}")
    if rows[:, 0].max() > 9:
        row = int(rows[:, 0].argmax())
        raise DataCorruptError(f"{path}: image {row} has label {rows[row, 0]}, CIFAR-10 has 0 to 9. {AGAIN}")
    return rows


class Parquet(Photos):
    """Columns ``img`` (a struct with the encoded ``bytes``) and ``label``, in one or more files per part."""

    def __init__(self, folder: Path) -> None:
        """Of the files ``train-*.parquet`` and ``test-*.parquet`` in ``folder``."""
        self._folder = folder
        self._tables: dict[Part, Any] = {}

    def labels(self, part: Part) -> IntArray:
        """Classes (N,)."""
        labels = self._table(part)["label"].to_numpy().astype(np.int64)
        wrong = np.flatnonzero((labels < 0) | (labels > 9))
        if len(wrong):
            raise DataCorruptError(
                f"{self._folder}: {part} image {wrong[0]} has label {labels[wrong[0]]}, CIFAR-10 has 0 to 9. {AGAIN}"
            )
        return cast(IntArray, labels)

    def images(self, part: Part, index: IntArray) -> npt.NDArray[np.uint8]:
        """Images (M, 32, 32, 3), decoded each time."""
        return np.array([self._decoded(part, row) for row in index.tolist()], dtype=np.uint8).reshape(-1, *SHAPE)

    def content(self, part: Part) -> Iterator[bytes]:
        """The files."""
        for path in self._files(part):
            yield path.read_bytes()

    def is_jpeg(self) -> bool:
        """Whether the images are lossy copies."""
        return self._encoded("test", 0).startswith(b"\xff\xd8")

    def _files(self, part: Part) -> list[Path]:
        return sorted(self._folder.glob(f"{part}-*.parquet"))

    def _encoded(self, part: Part, row: int) -> bytes:
        return cast(bytes, self._table(part)["img"].chunk(0).field("bytes")[row].as_py())

    def _decoded(self, part: Part, row: int) -> npt.NDArray[np.uint8]:
        from PIL import Image

        where = f"{self._folder}: {part} image {row}"
        try:
            image = np.asarray(Image.open(io.BytesIO(self._encoded(part, row))).convert("RGB"))
        except (OSError, SyntaxError) as error:  # what Pillow raises for damaged JPEG and PNG
            raise DataCorruptError(f"{where} cannot be decoded: {error}. {AGAIN}") from error
        if image.shape != SHAPE:
            raise DataCorruptError(f"{where} is {image.shape}, expected {SHAPE}. {AGAIN}")
        return image

    def _table(self, part: Part) -> Any:
        if part not in self._tables:
            from pyarrow import ArrowInvalid, concat_tables, parquet

            try:
                tables = [parquet.read_table(path, columns=["img", "label"]) for path in self._files(part)]
                table = concat_tables(tables).combine_chunks()
            except (ArrowInvalid, OSError) as error:
                raise DataCorruptError(
                    f"{self._folder}: columns img and label of {part} cannot be read: {error}. {AGAIN}"
                ) from error
            if table.num_rows != COUNTS[part]:
                raise DataCorruptError(
                    f"{self._folder} has {table.num_rows} {part} images, expected {COUNTS[part]}. {AGAIN}"
                )
            self._tables[part] = table
        return self._tables[part]
