"""What sources of images in folders share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchmark.errors import DataCorruptError
from benchmark.source import Progress, Source

SUFFIXES = (".jpg", ".jpeg", ".png")
LABELLED = re.compile(r"[^_]+_(\d+)_(\d+)\.png")


class ManualSource(Source):
    """A data set in folders that a person has to fetch: its owner asks for consent, or keeps it on a drive."""

    sizes: ClassVar[tuple[tuple[str, int | None], ...]]
    """The folders of images, and how many the published data set has in each, if it has one size."""

    def missing(self, root: Path) -> tuple[str, ...]:
        """Which folders and files are not there, or are empty."""
        return tuple(name for name in self.files if not _holds_something(root / name))

    def fetch(self, root: Path, report: Progress) -> None:
        """There is nothing to fetch from: say what a person has to do."""
        del report
        self.require(root)

    def verify(self, root: Path) -> tuple[str, ...]:
        """Missing folders, numbers of images other than the published ones, and images that cannot be decoded."""
        if missing := self.missing(root):
            return tuple(f"{name} is missing" for name in missing)
        return tuple(self._problems(root))

    def other_sizes(self, names: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """Which folders have other numbers of images than the published ones.

        Args:
            names: The images in each of some folders.
        """
        published = dict(self.sizes)
        for folder, found in names.items():
            if (size := published.get(folder)) is not None and len(found) != size:
                yield f"{folder} has {len(found):,} images, the published data set {size:,}"

    def _problems(self, root: Path) -> Iterator[str]:
        from PIL import Image

        for folder, _ in self.sizes:
            names = image_names(root / folder)
            yield from self.other_sizes({folder: names})
            for name in names:
                path = root / folder / name
                try:
                    with Image.open(path) as image:
                        image.load()
                except (OSError, SyntaxError, ValueError) as error:
                    yield f"{path} cannot be read as an image: {error}"


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.is_file() and path.stat().st_size > 0


def image_names(folder: Path) -> list[str]:
    """The image files in ``folder`` and its subfolders, relative to it with forward slashes, sorted."""
    found = []
    for where, _, names in os.walk(folder):
        inside = Path(where).relative_to(folder)
        found += [(inside / name).as_posix() for name in names if name.lower().endswith(SUFFIXES)]
    return sorted(found)


def labels_of(name: str, folder: Path, classes: int, values: int) -> tuple[int, int]:
    """Target and bias from a file called ``<id>_<target>_<bias>.png``.

    Raises:
        DataCorruptError: The name is not of this form, or a label is out of range.
    """
    match = LABELLED.fullmatch(name.rsplit("/", 1)[-1])
    if match is None:
        raise DataCorruptError(f"{folder / name}: expected a name <id>_<target>_<bias>.png; remove or rename the file")
    y, b = int(match[1]), int(match[2])
    if y >= classes or b >= values:
        raise DataCorruptError(
            f"{folder / name}: target {y} and bias {b}, expected less than {classes} and {values}; wrong folder?"
        )
    return y, b
