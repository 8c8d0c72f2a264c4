"""CIFAR-10 as a data source: torchvision's pickles, the binary version, or Hugging Face's parquet.

The first two hold the same images in the same order. Parquet copies come with lossless PNG images or, some of them,
with lossy JPEG ones; the latter count as a layout of their own, so that they are named wherever the layout is.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.errors import ConfigError, DataCorruptError
from benchmark.source import Progress, Source
from tasks.sources.cifar10_layouts import BATCHES, COUNTS, BinaryBatches, Parquet, Photos, PickledBatches
from tasks.sources.download import DownloadError, download, download_from_hub

Layout = Literal["torchvision", "binary", "parquet", "parquet_jpeg"]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDERS = {"torchvision": "cifar-10-batches-py", "binary": "cifar-10-batches-bin", "parquet": "cifar10/plain_text"}
HUB = "uoft-cs/cifar10"
"""The data set on the Hugging Face Hub."""
_NAMES = [name for names in BATCHES.values() for name in names]
_FILES = {
    "torchvision": tuple(f"{FOLDERS['torchvision']}/{name}" for name in _NAMES),
    "binary": tuple(f"{FOLDERS['binary']}/{name}.bin" for name in _NAMES),
    "parquet": tuple(f"{FOLDERS['parquet']}/{part}-*.parquet" for part in COUNTS),
}


class Cifar10Source(Source):
    """CIFAR-10, 50,000 + 10,000 images of 32 x 32 pixels."""

    name = "cifar10"
    title = "CIFAR-10"
    licence = "none stated by the owner; cite the technical report"
    citation = "Krizhevsky: Learning multiple layers of features from tiny images. Technical report, 2009"
    url = "https://www.cs.toronto.edu/~kriz/cifar.html"
    files = _FILES["torchvision"]
    obtain = (
        "Run `debias-bench data fetch cifar10` where there is a network; or copy to the data root the folder "
        "cifar-10-batches-py (torchvision) or cifar-10-batches-bin, or the parquet files of the Hugging Face data set "
        "as cifar10/plain_text."
    )

    def missing(self, root: Path) -> tuple[str, ...]:
        """Nothing if one layout is complete; else the missing files of the layout of which there is most."""
        lacks = [tuple(file for file in files if not any(root.glob(file))) for files in _FILES.values()]
        started = [lack for lack, files in zip(lacks, _FILES.values(), strict=True) if len(lack) < len(files)]
        return min(started, key=len) if started else self.files

    def fetch(self, root: Path, report: Progress) -> None:
        """Download torchvision's archive and unpack it; where that fails, the parquet files of the Hugging Face Hub."""
        if not (missing := self.missing(root)):
            return None
        failures = []
        for way in (self._fetch_archive, self._fetch_parquet):
            try:
                way(root, report)
            except DownloadError as error:
                failures.append(str(error))
            else:
                return report(self.title, 1, 1)
        raise self.missing_error(root, missing, f"Download failed ({'; '.join(failures)})")

    def _fetch_archive(self, root: Path, report: Progress) -> None:
        from torchvision.datasets import CIFAR10

        archive = root / Path(CIFAR10.url).name
        download(CIFAR10.url, archive, CIFAR10.tgz_md5, lambda percent: report(archive.name, percent, 100))
        folder = root / FOLDERS["torchvision"]
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".unpacked-") as unpacked:
            with tarfile.open(archive) as file:
                file.extractall(unpacked, filter="data")
            for name in _NAMES:  # whole files only, wherever one is interrupted
                (Path(unpacked) / folder.name / name).replace(folder / name)
        archive.unlink()

    def _fetch_parquet(self, root: Path, report: Progress) -> None:
        folder = Path(FOLDERS["parquet"])
        for part in COUNTS:
            name = f"{folder.name}/{part}-00000-of-00001.parquet"
            report(name, 0, 1)
            download_from_hub(HUB, name, root / folder.parent)

    def verify(self, root: Path) -> tuple[str, ...]:
        """Missing files; pickles that are not the published ones; otherwise images or labels that cannot be right."""
        if missing := self.missing(root):
            return tuple(f"{file} is missing" for file in missing)
        layout = found(root)
        if layout == "torchvision":
            from torchvision.datasets import CIFAR10

            published = dict(CIFAR10.train_list + CIFAR10.test_list)
            folder = root / FOLDERS["torchvision"]
            sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in _NAMES}
            return tuple(
                f"{folder / name} has md5 {sums[name]}, expected {published[name]}"
                for name in _NAMES
                if sums[name] != published[name]
            )
        try:
            copy = photos(root, layout)
            for part, count in COUNTS.items():
                copy.images(part, np.arange(count))
                classes = np.bincount(copy.labels(part), minlength=10)
                if (classes != count // 10).any():
                    return (f"{part} images per class are {classes.tolist()}, expected {count // 10} each",)
        except DataCorruptError as error:
            return (str(error),)
        if layout == "parquet_jpeg":
            return ("the parquet files hold lossy JPEG copies, not the published images",)
        return ()


def found(root: Path) -> Layout:
    """The layout in which CIFAR-10 lies under ``root``: the first complete one.

    Raises:
        DataMissingError: None is complete.
    """
    Cifar10Source().require(root)
    layout = next(name for name, files in _FILES.items() if all(any(root.glob(file)) for file in files))
    if layout == "parquet":
        return "parquet_jpeg" if Parquet(root / FOLDERS["parquet"]).is_jpeg() else "parquet"
    return "torchvision" if layout == "torchvision" else "binary"


@lru_cache(maxsize=2)
def photos(root: Path, layout: Layout) -> Photos:
    """The images and labels in ``layout``; files are read when something of them is asked for, once per process.

    Raises:
        DataMissingError: Files of the layout are not under ``root``.
        ConfigError: The parquet files hold lossy images where lossless ones were asked for, or the other way round.
    """
    kind = "parquet" if layout == "parquet_jpeg" else layout
    missing = tuple(file for file in _FILES[kind] if not any(root.glob(file)))
    if missing:
        raise Cifar10Source().missing_error(root, missing)
    folder = root / FOLDERS[kind]
    if layout == "torchvision":
        return PickledBatches(folder)
    if layout == "binary":
        return BinaryBatches(folder)
    copy = Parquet(folder)
    if copy.is_jpeg() != (layout == "parquet_jpeg"):
        held = "lossy JPEG" if copy.is_jpeg() else "lossless"
        raise ConfigError(f"{folder} holds {held} images; ask for source 'auto' to take what is there, not {layout!r}")
    return copy
