"""Small data sets in the layouts in which their owners publish them, for what may not or cannot be here."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.sources.civil_comments import FILE, IDENTITIES

FACES = {  # (blond, male): images in the training, validation and test part
    (0, 0): (60, 20, 22),
    (0, 1): (50, 20, 18),
    (1, 0): (30, 15, 12),
    (1, 1): (5, 5, 6),
}
ATTRIBUTES = ["Attractive", "Blond_Hair", "Male", "Young"]
COMMENTS = {  # (toxic, mentions an identity): comments in the official parts train, val and test
    (0, 0): (90, 40, 50),
    (0, 1): (60, 30, 40),
    (1, 0): (20, 10, 12),
    (1, 1): (30, 15, 20),
}
COLUMNS = ("", "id", "split", "comment_text", "article_id", "toxicity", "identity_any", *IDENTITIES)
VOCABULARY = ["people", "they", "we", "you", "good", "bad", "great", "awful", "nice", "stupid"]
Row = dict[str, str]


def labelled_images(folder: Path, labels: Sequence[tuple[int, int]], size: int, *, by_class: bool) -> None:
    """Images called ``<id>_<y>_<b>.png``, in a subfolder per class or not; grey 10 y + b but for a pixel."""
    for number, (y, b) in enumerate(labels):
        path = folder / (str(y) if by_class else "") / f"{number}_{y}_{b}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (size, size), (10 * y + b,) * 3)
        image.putpixel((size - 1, size - 1), (*hashlib.sha256(str(path).encode()).digest()[:3],))
        image.save(path)


def bffhq(root: Path) -> Path:
    """BFFHQ as DFA's authors distribute it."""
    labelled_images(root / "bffhq/0.5pct/align", [(0, 0)] * 30 + [(1, 1)] * 20, 16, by_class=True)
    labelled_images(root / "bffhq/0.5pct/conflict", [(0, 1), (1, 0)], 16, by_class=True)
    labelled_images(root / "bffhq/valid", [(0, 0)] * 6 + [(1, 1)] * 4, 16, by_class=False)
    labelled_images(root / "bffhq/test", [(0, 0), (0, 1), (1, 0), (1, 1)] * 5, 16, by_class=False)
    return root


def cifar10c(root: Path, level: str = "1pct") -> Path:
    """One level of Corrupted CIFAR-10 as DFA's authors distribute it: 90 aligned, 10 conflicting, 20 and 100 images."""
    folder = root / "cifar10c"
    labelled_images(folder / level / "align", [(y, y) for y in range(10)] * 9, 32, by_class=True)
    labelled_images(folder / level / "conflict", [(y, (y + 1) % 10) for y in range(10)], 32, by_class=True)
    labelled_images(folder / level / "valid", [(y, y) for y in range(10)] * 2, 32, by_class=True)
    labelled_images(folder / "test", [(y, b) for y in range(10) for b in range(10)], 32, by_class=True)
    return root


def celeba(root: Path) -> Path:
    """CelebA in torchvision's layout, the parts one after the other as in the original; image i is grey of value i."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    attributes, partition, number = [], [], 0
    for part in range(3):
        labels = [label for label, counts in FACES.items() for _ in range(counts[part])]
        for blond, male in np.random.default_rng(part).permutation(labels):
            number += 1
            name = f"{number:06d}.jpg"
            image = Image.new("L", (178, 218), number % 256)
            image.paste(number // 256 * 200, (160, 200, 178, 218))  # a corner that tells image 260 from image 4
            image.save(folder / "img_align_celeba" / name)
            values = (1, 2 * blond - 1, 2 * male - 1, -1)
            attributes.append(f"{name} " + " ".join(f"{value:2d}" for value in values))
            partition.append(f"{name} {part}")
    header = f"{number}\n{' '.join(ATTRIBUTES)} \n"
    (folder / "list_attr_celeba.txt").write_text(header + "\n".join(attributes) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    return root


def comments(times: int = 1) -> list[Row]:
    """Comments part by part; those with identities mention one or two, in turn; quotes and line breaks in some."""
    rows: list[Row] = []
    for part, split in enumerate(("train", "val", "test")):
        for (toxic, identity), counts in COMMENTS.items():
            for _ in range(times * counts[part]):
                number = len(rows)
                words = " ".join(VOCABULARY[int(digit)] for digit in f"{number:03d}")
                text = f'"{words}",\nthey are' if number % 7 == 0 else words
                row = dict.fromkeys(COLUMNS, "0") | {"": str(number), "split": split, "comment_text": text}
                row["toxicity"] = ("0.5", "0.83")[number % 2] if toxic else ("0.0", "0.49")[number % 2]
                if identity:
                    row[IDENTITIES[number % 8]] = "0.5"
                    row[IDENTITIES[(number // 8) % 8]] = "1.0"
                rows.append(row)
    return rows


def civil_comments(root: Path, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> Path:
    """CivilComments in WILDS' layout."""
    path = root / FILE
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return root
