"""CelebA in torchvision's layout: aligned faces, a table of attributes, and the official partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.errors import DataCorruptError
from tasks.partition import IntArray
from tasks.sources.folders import ManualSource

FOLDER = "celeba"
IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"


class CelebaSource(ManualSource):
    """CelebA, 202,599 faces with 40 attributes."""

    name = "celeba"
    title = "CelebA"
    licence = "non-commercial research; redistribution of the images is not allowed"
    citation = "Liu, Luo, Wang and Tang: Deep learning face attributes in the wild. ICCV 2015"
    url = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    files = tuple(f"{FOLDER}/{name}" for name in (IMAGES, ATTRIBUTES, PARTITION))
    sizes = ((f"{FOLDER}/{IMAGES}", 202_599),)
    obtain = (
        "Download 'Align&Cropped Images', 'Attributes Annotations' and 'Train/Val/Test Partitions' from the owners' "
        "page and put the unpacked folder img_align_celeba and the files list_attr_celeba.txt and "
        "list_eval_partition.txt into celeba under the data root; a torchvision CelebA folder is the same."
    )


@dataclass(frozen=True)
class Faces:
    """What CelebA's tables say.

    Attributes:
        files: Names of the images, in the tables' order.
        attributes: 0 or 1 for each asked attribute (N, attributes).
        part: 0 training, 1 validation, 2 test (N,).
    """

    files: Sequence[str]
    attributes: IntArray
    part: IntArray


def faces(root: Path, attributes: Sequence[str]) -> Faces:
    """Read the tables; images are not opened.

    Args:
        root: The data root.
        attributes: Names of the wanted ones, such as ``Blond_Hair``.

    Raises:
        DataMissingError: The data set is not complete under ``root``.
        DataCorruptError: A table lacks a column or a row, or holds a value that it should not.
    """
    CelebaSource().require(root)
    table = root / FOLDER / ATTRIBUTES
    with table.open() as file:
        announced = file.readline().strip()
        columns = file.readline().split()
        rows = [line.split() for line in file if line.strip()]
    if lacking := [name for name in attributes if name not in columns]:
        raise DataCorruptError(f"{table} has no column {', '.join(lacking)} in its second line; is it CelebA's table?")
    if announced != str(len(rows)):
        raise DataCorruptError(f"{table} announces {announced} images and has {len(rows)}: truncated; copy it again")
    if odd := next((row for row in rows if len(row) != len(columns) + 1), None):
        raise DataCorruptError(f"{table}: image {odd[0]} has {len(odd) - 1} attributes, expected {len(columns)}")
    places = [columns.index(name) + 1 for name in attributes]
    values = _values(table, 3, [[row[place] for place in places] for row in rows], (-1, 1))
    files = [row[0] for row in rows]
    return Faces(files, (values + 1) // 2, _partition(root / FOLDER / PARTITION, files))


def _partition(path: Path, files: Sequence[str]) -> IntArray:
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if odd := next(((line, row) for line, row in enumerate(rows, start=1) if len(row) != 2), None):
        raise DataCorruptError(
            f"{path}, line {odd[0]}: expected an image and a number in each line, got {' '.join(odd[1])!r}"
        )
    if [row[0] for row in rows] != list(files):
        raise DataCorruptError(f"{path} does not list the images of {ATTRIBUTES} in their order; copy both again")
    return _values(path, 1, [row[1:] for row in rows], (0, 1, 2))[:, 0]


def _values(path: Path, first_line: int, texts: Sequence[Sequence[str]], allowed: tuple[int, ...]) -> IntArray:
    """Whole numbers of a table's rows, the first of which is ``first_line`` of its file."""
    strings: npt.NDArray[np.str_] = np.array(texts)
    wrong = np.argwhere(~np.isin(strings, [str(value) for value in allowed]))
    if len(wrong):
        row, column = wrong[0]
        raise DataCorruptError(
            f"{path}, line {first_line + row}, has the value {strings[row, column].item()!r}; "
            f"expected one of {', '.join(map(str, allowed))}"
        )
    return strings.astype(np.int64)
