"""Files in MNIST's layout whose images say which one they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

COUNTS = {"train": 60_000, "t10k": 10_000}


@pytest.fixture(scope="session")
def numbered_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with MNIST of the official size and uneven classes; pixels 0 to 2 of image i are i in base 256."""
    root = tmp_path_factory.mktemp("numbered")
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(5)
    for part, count in COUNTS.items():
        labels = draws.choice(10, count, p=np.arange(6, 16) / 105).astype(np.uint8)
        images = np.zeros((count, 784), dtype=np.uint8)
        images[:, 0], images[:, 1], images[:, 2] = (np.arange(count) // 256**k % 256 for k in range(3))
        header = (0x803).to_bytes(4) + count.to_bytes(4) + (28).to_bytes(4) * 2
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes((0x801).to_bytes(4) + count.to_bytes(4) + labels.tobytes())
    return root
