"""Downloads that break off, from a server that does it on purpose."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.sources import download as module
from tasks.sources.download import DownloadError, download, download_from_hub

CONTENT = np.random.default_rng(0).bytes(500_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 10_000)


def test_a_file_arrives_whole_and_says_how_far_it_is(web: Any, tmp_path: Path) -> None:
    web.files["/data.bin"] = CONTENT
    percentages: list[int] = []
    download(f"{web.address}/data.bin", tmp_path / "folder" / "data.bin", MD5, percentages.append)
    assert (tmp_path / "folder" / "data.bin").read_bytes() == CONTENT
    assert percentages == list(range(10, 101, 10))
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["data.bin"]


def test_one_that_breaks_off_is_taken_up_where_it_stopped(web: Any, tmp_path: Path) -> None:
    web.files["/data.bin"] = CONTENT
    web.breaks_off = [120_000, 50_000]
    download(f"{web.address}/data.bin", tmp_path / "data.bin", MD5)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert web.asked == [("/data.bin", asked) for asked in (None, "bytes=120000-", "bytes=170000-")]


def test_one_that_is_given_up_goes_on_at_the_next_call(web: Any, tmp_path: Path) -> None:
    web.files["/data.bin"] = CONTENT
    web.breaks_off = [100_000] * 3
    with pytest.raises(DownloadError, match=r"data.bin.part keeps 300,000 bytes for the next try"):
        download(f"{web.address}/data.bin", tmp_path / "data.bin", MD5)
    assert not (tmp_path / "data.bin").exists()
    web.asked.clear()
    download(f"{web.address}/data.bin", tmp_path / "data.bin", MD5)
    assert web.asked == [("/data.bin", "bytes=300000-")]
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_server_that_cannot_go_on_in_the_middle_sends_it_again(web: Any, tmp_path: Path) -> None:
    web.files["/data.bin"], web.resumes = CONTENT, False
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    download(f"{web.address}/data.bin", tmp_path / "data.bin", MD5)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_one_that_is_complete_but_in_its_place_is_not_fetched_again(web: Any, tmp_path: Path) -> None:
    web.files["/data.bin"] = CONTENT
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    download(f"{web.address}/data.bin", tmp_path / "data.bin", MD5)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [b"", b"of another file", CONTENT + b"more"])
def test_another_file_takes_no_place_and_leaves_nothing(web: Any, tmp_path: Path, kept: bytes) -> None:
    web.files["/data.bin"] = CONTENT if kept else b"not the file"
    if kept:
        (tmp_path / "data.bin.part").write_bytes(kept)
    with pytest.raises(DownloadError, match=rf"has md5 \w+, expected {MD5}: it is not the published file"):
        download(f"{web.address}/data.bin", tmp_path / "data.bin", MD5)
    assert list(tmp_path.iterdir()) == []


def test_no_file_and_no_network_are_said(web: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"nothing: HTTP Error 404"):
        download(f"{web.address}/nothing", tmp_path / "data.bin", MD5)
    assert len(web.asked) == 1, "it is not asked again"
    with pytest.raises(DownloadError, match="Connection refused"):
        download("http://127.0.0.1:9/data.bin", tmp_path / "data.bin", MD5)


def hub_file(web: Any, name: str, content: bytes, etag: str | None = None) -> None:
    path = f"/datasets/owner/set/resolve/main/{name}"
    web.files[path] = content
    checksum = etag or hashlib.sha256(content).hexdigest()
    web.headers[path] = {"ETag": f'"{checksum}"', "X-Repo-Commit": "0" * 40, "X-Linked-Size": str(len(content))}


@pytest.fixture
def hub(web: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, web.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", web.address)
    return web


def test_a_file_of_the_hub_is_checked(hub: Any, tmp_path: Path) -> None:
    hub_file(hub, "plain/a.parquet", CONTENT)
    download_from_hub("owner/set", "plain/a.parquet", tmp_path)
    assert (tmp_path / "plain" / "a.parquet").read_bytes() == CONTENT
    hub_file(hub, "plain/b.parquet", CONTENT, etag="1" * 64)
    with pytest.raises(DownloadError, match=rf"b.parquet has sha256 \w+, expected {'1' * 64}: it is damaged"):
        download_from_hub("owner/set", "plain/b.parquet", tmp_path)
    assert not (tmp_path / "plain" / "b.parquet").exists()
    with pytest.raises(DownloadError, match="owner/set on the Hugging Face Hub"):
        download_from_hub("owner/set", "plain/c.parquet", tmp_path)
