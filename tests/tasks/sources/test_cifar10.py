from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from tasks.sources.cifar10 import Cifar10Source, found, photos
from tasks.sources.cifar10_layouts import COUNTS, BinaryBatches, Parquet, PickledBatches

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def encoded(value: int, kind: str = "PNG", size: int = 32) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def write_parquet(root: Path, part: str, images: list[bytes], labels: list[int], pieces: int = 1) -> Path:
    folder = root / "cifar10" / "plain_text"
    folder.mkdir(parents=True, exist_ok=True)
    for piece in range(pieces):
        rows = slice(piece * len(images) // pieces, (piece + 1) * len(images) // pieces)
        table = pa.table({"img": [{"bytes": image, "path": None} for image in images[rows]], "label": labels[rows]})
        parquet.write_table(table, folder / f"{part}-{piece:05d}-of-{pieces:05d}.parquet")
    return folder


def complete_parquet(root: Path, kind: str = "PNG") -> Path:
    """Whole; image i is grey of value i % 100, its label i % 10."""
    greys = [encoded(value, kind) for value in range(100)]
    for part, count in COUNTS.items():
        folder = write_parquet(root, part, [greys[i % 100] for i in range(count)], [i % 10 for i in range(count)], 2)
    return folder


def test_both_batch_layouts_give_the_same_images_in_order(numbered_cifar10: Path) -> None:
    pickles = PickledBatches(numbered_cifar10 / "cifar-10-batches-py")
    binary = BinaryBatches(numbered_cifar10 / "cifar-10-batches-bin")
    index = np.array([0, 499, 500, 2_499, 3])
    for copy in (pickles, binary):
        images = copy.images("train", index)
        assert images.shape == (5, 32, 32, 3)
        assert (images[:, 0, :2, 0] @ [1, 256]).tolist() == index.tolist()
        assert (images[:, 1:] == 100).all()
        assert (images[..., 1:] == 100).all()
        assert copy.images("test", np.array([7]))[0, 0, :2, 0] @ [1, 256] == 2_507
        assert copy.labels("train").shape == (2_500,)
        assert np.bincount(copy.labels("test")).tolist() == [50] * 10
    assert np.array_equal(pickles.labels("train"), binary.labels("train"))
    assert pickles.digest == binary.digest


def test_a_pickle_that_names_anything_else_is_refused_and_not_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "attacked"),)

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in BATCHES:
        (folder / name).write_bytes(pickle.dumps({"data": Attack(), "labels": []}, protocol=2))
    with pytest.raises(DataCorruptError, match=r"data_batch_1 is not a batch of CIFAR-10.*mkdir"):
        PickledBatches(folder).labels("train")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x80\x02}(U\x04da", "test_batch is not a batch"),
        (pickle.dumps({"data": [[0] * 3072] * 5, "labels": [0] * 5}, 2), r"holds int64 \(5, 3073\), expected uint8"),
        (pickle.dumps({"labels": [0] * 5}, 2), "KeyError: 'data'"),
    ],
)
def test_a_damaged_pickle_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(DataCorruptError, match=complaint):
        PickledBatches(tmp_path).labels("test")


def test_a_damaged_binary_batch_is_named(tmp_path: Path, small_cifar10: int) -> None:
    file = tmp_path / "test_batch.bin"
    file.write_bytes(bytes(1_000))
    with pytest.raises(DataCorruptError, match=r"test_batch.bin has 1000 bytes, expected 1536500"):
        BinaryBatches(tmp_path).labels("test")
    rows = np.zeros((small_cifar10, 3073), dtype=np.uint8)
    rows[17, 0] = 10
    rows.tofile(file)
    with pytest.raises(DataCorruptError, match=r"test_batch.bin: image 17 has label 10"):
        BinaryBatches(tmp_path).labels("test")


def test_parquet_is_read_from_all_its_files(tmp_path: Path, small_cifar10: int) -> None:
    copy = Parquet(complete_parquet(tmp_path))
    images = copy.images("train", np.array([3, 1_303, 2_499]))
    assert images[:, 0, 0].tolist() == [[3] * 3, [3] * 3, [99] * 3]
    assert np.array_equal(copy.labels("train"), np.arange(2_500) % 10)
    assert copy.images("test", np.array([], dtype=np.int64)).shape == (0, 32, 32, 3)
    assert found(tmp_path) == "parquet"
    assert Cifar10Source().verify(tmp_path) == ()


def test_lossy_parquet_counts_as_a_layout_of_its_own(tmp_path: Path, small_cifar10: int) -> None:
    complete_parquet(tmp_path, "JPEG")
    assert found(tmp_path) == "parquet_jpeg"
    with pytest.raises(ConfigError, match="holds lossy JPEG images; ask for source 'auto'"):
        photos(tmp_path, "parquet")
    assert "lossy JPEG copies" in Cifar10Source().verify(tmp_path)[0]


def test_damaged_parquet_is_named(tmp_path: Path, small_cifar10: int) -> None:
    images, labels = [encoded(1)] * small_cifar10, [0] * small_cifar10
    images[5] = images[5][:60]
    images[6] = encoded(1, size=16)
    copy = Parquet(write_parquet(tmp_path / "image", "test", images, labels))
    with pytest.raises(DataCorruptError, match="test image 5 cannot be decoded"):
        copy.images("test", np.arange(4, 8))
    with pytest.raises(DataCorruptError, match=r"test image 6 is \(16, 16, 3\), expected \(32, 32, 3\)"):
        copy.images("test", np.array([6]))
    with pytest.raises(DataCorruptError, match="has 3 test images, expected 500"):
        Parquet(write_parquet(tmp_path / "count", "test", images[:3], labels[:3])).labels("test")
    with pytest.raises(DataCorruptError, match=r"test image 1 has label 12"):
        Parquet(write_parquet(tmp_path / "label", "test", images, [0, 12, *labels[2:]])).labels("test")
    folder = write_parquet(tmp_path / "column", "test", images, labels)
    parquet.write_table(pa.table({"image": [1], "label": [1]}), folder / "test-00000-of-00001.parquet")
    with pytest.raises(DataCorruptError, match="columns img and label of test cannot be read"):
        Parquet(folder).labels("test")
    (folder / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataCorruptError, match="columns img and label of test cannot be read"):
        Parquet(folder).labels("test")


def test_the_first_complete_layout_is_found_and_the_most_complete_one_is_missed(
    numbered_cifar10: Path, tmp_path: Path
) -> None:
    source = Cifar10Source()
    assert found(numbered_cifar10) == "torchvision"
    assert len(source.missing(tmp_path)) == 6
    with pytest.raises(DataMissingError, match=r"data_batch_1.*debias-bench data fetch cifar10"):
        found(tmp_path)
    whole, part = numbered_cifar10 / "cifar-10-batches-bin", tmp_path / "cifar-10-batches-bin"
    shutil.copytree(whole, part)
    (part / "data_batch_4.bin").unlink()
    assert source.missing(tmp_path) == ("cifar-10-batches-bin/data_batch_4.bin",)
    with pytest.raises(DataMissingError, match=r"missing cifar-10-batches-bin/data_batch_4.bin\."):
        photos(tmp_path, "binary")
    shutil.copy(whole / "data_batch_4.bin", part)
    assert found(tmp_path) == "binary"


def test_verify_compares_pickles_with_the_published_checksums(numbered_cifar10: Path) -> None:
    problems = Cifar10Source().verify(numbered_cifar10)
    assert len(problems) == 6
    assert problems[0].endswith("expected c99cafc152244af753f735de768cd75f")


def archive_of(root: Path) -> bytes:
    """What the owner publishes: the folder of pickles, with two files more."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name in (*BATCHES, "batches.meta", "readme.html"):
            path = root / "cifar-10-batches-py" / name
            content = path.read_bytes() if path.is_file() else b""
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def published(web: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server that is the owner's page and the hub; nothing is there yet."""
    from huggingface_hub import constants
    from torchvision.datasets import CIFAR10

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, web.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", web.address)
    monkeypatch.setattr(CIFAR10, "url", f"{web.address}/cifar-10-python.tar.gz")
    return web


def test_fetching_unpacks_the_owners_archive_and_goes_on_where_it_stopped(
    numbered_cifar10: Path, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    archive = archive_of(numbered_cifar10)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive, usedforsecurity=False).hexdigest())
    published.files["/cifar-10-python.tar.gz"] = archive
    root = tmp_path / "root"
    root.mkdir()
    (root / "cifar-10-python.tar.gz.part").write_bytes(archive[:500])
    reports: list[tuple[str, int, int]] = []
    Cifar10Source().fetch(root, lambda *report: reports.append(report))
    assert published.asked == [("/cifar-10-python.tar.gz", "bytes=500-")]
    assert reports[-1] == ("CIFAR-10", 1, 1)
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
    assert found(root) == "torchvision"
    expected = photos(numbered_cifar10, "torchvision")
    assert np.array_equal(photos(root, "torchvision").labels("train"), expected.labels("train"))
    published.asked.clear()
    Cifar10Source().fetch(root, lambda *report: None)
    assert published.asked == []


def test_where_the_owners_page_fails_the_hub_is_asked(published: Any, tmp_path: Path, small_cifar10: int) -> None:
    images = [encoded(7)] * 5 * small_cifar10
    for part, count in COUNTS.items():
        folder = write_parquet(tmp_path / "there", part, images[:count], [i % 10 for i in range(count)])
    for path in folder.iterdir():
        name = f"/datasets/uoft-cs/cifar10/resolve/main/plain_text/{path.name}"
        published.files[name] = path.read_bytes()
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        published.headers[name] = {"ETag": f'"{checksum}"', "X-Repo-Commit": "0" * 40}
    root = tmp_path / "root"
    Cifar10Source().fetch(root, lambda *report: None)
    assert found(root) == "parquet"
    assert len(photos(root, "parquet").labels("train")) == 5 * small_cifar10


def test_a_failed_download_says_what_to_do(published: Any, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError) as error:
        Cifar10Source().fetch(tmp_path, lambda what, done, total: None)
    for part in ("Download failed", "tar.gz: HTTP Error 404", "uoft-cs/cifar10 on the Hugging Face Hub", "copy to the"):
        assert part in str(error.value)


def test_the_real_copy_is_whole(data_root: Path) -> None:
    if Cifar10Source().missing(data_root):
        pytest.skip(f"no CIFAR-10 under {data_root}")
    copy = photos(data_root, found(data_root))
    assert np.bincount(copy.labels("train")).tolist() == [5_000] * 10
    assert np.bincount(copy.labels("test")).tolist() == [1_000] * 10
    images = copy.images("test", np.arange(200))
    assert 60 < images.mean() < 180
    assert images.std() > 40
