from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets."""
    folder = os.environ.get("DEBIAS_BENCH_DATA")
    if not folder:
        pytest.skip("needs real data: DEBIAS_BENCH_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def cifar10_images(data_root: Path) -> npt.NDArray[np.uint8]:
    """The first hundred test images of CIFAR-10 in the Hugging Face layout, (100, 32, 32, 3)."""
    from pyarrow import parquet

    files = sorted(data_root.glob("cifar10/plain_text/test-*.parquet"))
    if not files:
        pytest.skip(f"no CIFAR-10 in parquet files under {data_root}")
    rows = next(parquet.ParquetFile(files[0]).iter_batches(100, columns=["img"])).column("img")
    return np.stack([np.asarray(Image.open(BytesIO(row["bytes"].as_py()))) for row in rows])
