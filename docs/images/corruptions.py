"""Draw corruptions.png: every corruption at severities 1 (upper row) and 5 (lower row) on images of CIFAR-10.

Run from the root of the repository: ``python docs/images/corruptions.py IMAGES.npy``, a file of uint8
images (N, 32, 32, 3).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tasks.corruptions import TYPE0, TYPE1, corrupt

SCALE, COLUMNS, LABEL, GAP = 2, 5, 16, 8


def main() -> None:
    """Write the sheet beside this file."""
    images = np.load(sys.argv[1], allow_pickle=False)
    width, height = 32 * SCALE * len(images) + GAP, 64 * SCALE + LABEL + GAP
    names = TYPE0 + TYPE1
    sheet = Image.new("RGB", (COLUMNS * width - GAP, len(names) // COLUMNS * height - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, name in enumerate(names):
        left, top = place % COLUMNS * width, place // COLUMNS * height
        draw.text((left, top), name.replace("_", " "), fill="black", font_size=12)
        rows = [
            np.concatenate(list(corrupt(images, name, severity, range(len(images)))), axis=1) for severity in (1, 5)
        ]
        tile = Image.fromarray(np.concatenate(rows))
        sheet.paste(
            tile.resize((tile.width * SCALE, tile.height * SCALE), Image.Resampling.NEAREST), (left, top + LABEL)
        )
    sheet.save(Path(__file__).with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
