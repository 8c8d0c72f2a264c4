"""UTKFace as its owners publish it: age, gender and race are in the name of the file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import DataCorruptError
from tasks.partition import IntArray
from tasks.sources.folders import ManualSource, image_names

FOLDER = "UTKFace"
GENDERS, RACES, OLDEST = 2, 5, 120


class UtkFaceSource(ManualSource):
    """UTKFace, aligned and cropped: 9,778 faces in its first part, 23,708 in all."""

    name = "utkface"
    title = "UTKFace"
    licence = "non-commercial research; images under licences of their own"
    citation = "Zhang, Song and Qi: Age progression/regression by conditional adversarial autoencoder. CVPR 2017"
    url = "https://susanqq.github.io/UTKFace/"
    files = (FOLDER,)
    sizes = ((FOLDER, None),)
    obtain = (
        "Download the aligned and cropped faces from the owners' page and put the JPEG files (of the first part, or of "
        "all) into UTKFace under the data root."
    )


@dataclass(frozen=True)
class Portraits:
    """What the names of UTKFace's files say.

    Attributes:
        files: Names, sorted.
        age: In years (N,).
        gender: 0 male, 1 female (N,).
        race: 0 White, 1 Black, 2 Asian, 3 Indian, 4 other (N,).
        copy_of: The first file with the same content, as a position in ``files`` (N,); itself where there is no other.
        left_out: Files without a race in their name; there are three in all of UTKFace.
    """

    files: tuple[str, ...]
    age: IntArray
    gender: IntArray
    race: IntArray
    copy_of: IntArray
    left_out: int


def portraits(root: Path) -> Portraits:
    """Read the names, and compare the contents of all files; those without a race are left out.

    Raises:
        DataMissingError: There is no UTKFace under ``root``.
        DataCorruptError: A name says something impossible.
    """
    UtkFaceSource().require(root)
    folder = root / FOLDER
    files, labels, left_out = [], [], 0
    for name in image_names(folder):
        fields = name.rsplit("/", 1)[-1].split("_")
        if len(fields) == 3:
            left_out += 1
            continue
        if len(fields) != 4 or not all(field.isdecimal() for field in fields[:3]):
            raise DataCorruptError(
                f"{folder / name}: expected a name <age>_<gender>_<race>_<time>.jpg; remove the file"
            )
        age, gender, race = map(int, fields[:3])
        if age > OLDEST or gender >= GENDERS or race >= RACES:
            raise DataCorruptError(
                f"{folder / name}: age {age}, gender {gender}, race {race}; expected at most {OLDEST}, {GENDERS - 1} "
                f"and {RACES - 1}; remove the file"
            )
        files.append(name)
        labels.append((age, gender, race))
    if not files:
        raise DataCorruptError(f"{folder} holds no face called <age>_<gender>_<race>_<time>.jpg; copy it again")
    first: dict[bytes, int] = {}
    digests = [hashlib.blake2b((folder / name).read_bytes(), digest_size=16).digest() for name in files]
    copy_of = np.array([first.setdefault(digest, place) for place, digest in enumerate(digests)], dtype=np.int64)
    table = np.array(labels, dtype=np.int64).reshape(-1, 3)
    return Portraits(tuple(files), table[:, 0], table[:, 1], table[:, 2], copy_of, left_out)
