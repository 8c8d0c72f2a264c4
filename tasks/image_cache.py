"""Images made once and kept in a memory-mapped file: decoded, resized or corrupted ones.

A row of the file is an image. It is made when it is first asked for, so that a small run pays for what it uses, an
interruption costs what was in the making, and every split, seed and level of a data set shares the same rows. A row
counts as stored when its checksum is; it is checked whenever it is read, and made anew if it does not match.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from benchmark.errors import ConfigError
from benchmark.files import write_atomic
from benchmark.notes import NOTES
from benchmark.prefetch import ahead
from tasks.partition import IntArray

ENVIRONMENT = "DEBIAS_BENCH_CACHE"
CHUNK_BYTES = 8 * 2**20
"""Of the images made by one thread at a time."""
REPORT_SECONDS = 5

Make = Callable[[IntArray], npt.NDArray[np.uint8]]
"""Makes the images at the given rows (M,): uint8 (M, *shape). Called from several threads at once."""


def cache_root() -> Path:
    """Where caches lie: ``DEBIAS_BENCH_CACHE``, or ``debias-bench`` in the user's folder for caches."""
    if folder := os.environ.get(ENVIRONMENT):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "debias-bench"


class ImageCache:
    """The images of a data set in one form.

    Several processes may use one cache at once: one makes, the others wait. On a file system without locks two may make
    the same rows, which are the same bytes.
    """

    def __init__(self, name: str, identity: Mapping[str, Any], count: int, shape: tuple[int, ...], make: Make) -> None:
        """Open a cache; nothing is read or written yet.

        Args:
            name: Begins the folder's name.
            identity: All that the images depend on; a change is another folder. Values as in JSON.
            count: Number of rows.
            shape: Of an image.
            make: Makes rows.
        """
        described = json.dumps({**identity, "count": count, "shape": shape}, sort_keys=True, indent=1)
        self.folder = cache_root() / f"{name}-{hashlib.sha256(described.encode()).hexdigest()[:16]}"
        self.count = count
        self.shape = shape
        self._described = described
        self._make = make
        self._row_bytes = int(np.prod(shape))
        self._pixels = self.folder / "images.u8"
        self._checks = self.folder / "crc32.u4"

    def images(self, rows: IntArray) -> npt.NDArray[np.uint8]:
        """The images at ``rows`` (N,), uint8 (N, *shape), made first where they are not stored.

        Rows that follow one another are not copied: the result is then a private view of the file.

        Raises:
            ConfigError: The cache cannot be written.
            Exception: What making a row raises; rows made before it are kept.
        """
        if not len(rows):
            return np.zeros((0, *self.shape), dtype=np.uint8)
        if len(self._absent(rows)):
            self._fill(rows)
        stored = self._stored()
        first, last = int(rows[0]), int(rows[-1])
        if last - first + 1 == len(rows) and (np.diff(rows) == 1).all():
            return stored[first : last + 1]
        return np.asarray(stored[rows])

    def _stored(self) -> npt.NDArray[np.uint8]:
        # copy-on-write: torch warns of arrays that it cannot write to
        return np.memmap(self._pixels, dtype=np.uint8, mode="c", shape=(self.count, *self.shape))

    def _absent(self, rows: IntArray) -> IntArray:
        """Which of ``rows`` are not stored, or damaged; ascending, each once."""
        wanted = np.unique(rows)
        if not (self._is_whole(self._pixels, self._row_bytes) and self._is_whole(self._checks, 4)):
            return wanted
        checks = np.fromfile(self._checks, dtype="<u4")[wanted]
        pixels = np.memmap(self._pixels, dtype=np.uint8, mode="r", shape=(self.count, self._row_bytes))
        intact = [bool(check) and _checksum(pixels[row]) == check for row, check in zip(wanted, checks, strict=True)]
        return np.asarray(wanted[~np.array(intact)])

    def _is_whole(self, path: Path, row_bytes: int) -> bool:
        return path.is_file() and path.stat().st_size == self.count * row_bytes

    def _fill(self, rows: IntArray) -> None:
        """Make and store those of ``rows`` that are absent, while no other process does."""
        from filelock import FileLock

        with self._explained():
            write_atomic(self.folder / "about.json", self._described.encode())
        with FileLock(self.folder / "lock"):
            absent = self._absent(rows)  # another process may have made them meanwhile
            began = reported = time.monotonic()
            done = 0
            for chunk, images in self._made(absent):
                with self._explained():
                    self._write(chunk, images)
                done += len(chunk)
                if (now := time.monotonic()) - reported > REPORT_SECONDS:
                    left = (now - began) / done * (len(absent) - done)
                    NOTES.info("%s: %d of %d images made, about %.0f s left", self.folder, done, len(absent), left)
                    reported = now

    def _write(self, rows: IntArray, images: npt.NDArray[np.uint8]) -> None:
        """Store images, then their checksums: a row without one is not there."""
        # written to the files and not through the map: a full disk then raises, where a map would kill the process
        checks = [np.array(_checksum(image), dtype="<u4") for image in images]
        for path, contents in ((self._pixels, list(images)), (self._checks, checks)):
            size = contents[0].nbytes
            with self._open(path, size) as file:
                for row, content in zip(rows.tolist(), contents, strict=True):
                    file.seek(row * size)
                    file.write(content.tobytes())

    def _open(self, path: Path, row_bytes: int) -> BinaryIO:
        if not self._is_whole(path, row_bytes):
            with path.open("ab") as file:
                file.truncate(self.count * row_bytes)  # sparse: rows that nobody asks for take no space
        return path.open("rb+")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"cannot write the image cache {self.folder}: {error}; set {ENVIRONMENT} to a folder with up to "
                f"{self.count * self._row_bytes / 1e9:.1f} GB free"
            ) from error

    def _made(self, rows: IntArray) -> Iterator[tuple[IntArray, npt.NDArray[np.uint8]]]:
        """Chunks of rows with their images, made in parallel, in order; only a few are held at a time."""
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        length = max(1, CHUNK_BYTES // self._row_bytes)
        chunks = (rows[start : start + length] for start in range(0, len(rows), length))
        return ahead(chunks, self._make, workers)


def _checksum(row: npt.NDArray[np.uint8]) -> int:
    """CRC-32 of a row's bytes, never 0."""
    return zlib.crc32(np.ascontiguousarray(row).data) or 1
