"""Files from the web: one that breaks off goes on where it stopped, and takes its place only when it is right."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ATTEMPTS = 3
"""How often a download that breaks off is taken up again before it is given up."""
TIMEOUT = 30
"""Seconds without a byte."""
PIECE = 2**20
RANGE_NOT_SATISFIABLE = 416


class DownloadError(Exception):
    """A file could not be fetched, or is not the published one."""


def download(url: str, path: Path, md5: str, report: Callable[[int], object] = int) -> None:
    """Fetch a file.

    What has arrived is kept in ``path`` with ``.part`` appended until all of it has.

    Args:
        url: Of the file.
        path: Where it goes; its folder is made.
        md5: Its published checksum.
        report: Called with the percentage that is there, about every tenth of the file.

    Raises:
        DownloadError: There is no network, the server has no such file, or it is another one than the published.
    """
    part = path.with_name(f"{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _rest(url, part, report)
            break
        except (OSError, HTTPException) as error:
            refused = isinstance(error, HTTPError)  # it will not change its mind
            if refused or attempt == ATTEMPTS:
                kept = f"; {part} keeps {part.stat().st_size:,} bytes for the next try" if part.is_file() else ""
                raise DownloadError(f"{url}: {error}{kept}") from error
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        part.unlink()
        raise DownloadError(f"{url} has md5 {found}, expected {md5}: it is not the published file")
    part.replace(path)


def _rest(url: str, part: Path, report: Callable[[int], object]) -> None:
    """Append to ``part`` what it lacks; from the start where the server cannot go on in the middle."""
    there = part.stat().st_size if part.is_file() else 0
    request = Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        answer = cast(HTTPResponse, urlopen(request, timeout=TIMEOUT))
    except HTTPError as error:
        if error.code != RANGE_NOT_SATISFIABLE:
            raise
        return  # all of it is there, or more than all: the checksum tells
    with answer, part.open("ab") as file:
        if answer.status != 206:
            file.truncate(0)
            there = 0
        total = there + int(answer.headers.get("Content-Length") or 0)
        reported = 0
        while piece := answer.read(PIECE):
            file.write(piece)
            there += len(piece)
            if there - reported >= total / 10:
                report(100 * there // max(total, there))
                reported = there
    if there < total:
        raise ConnectionError(f"cut off after {there:,} of {total:,} bytes")


def download_from_hub(repository: str, name: str, folder: Path) -> None:
    """Fetch a file of a data set on the Hugging Face Hub; its client takes up downloads that were cut off.

    Args:
        repository: Of the data set.
        name: Of the file in it, with subfolders.
        folder: Under which it goes, subfolders included.

    Raises:
        DownloadError: There is no network, no such file, or what arrived has another checksum than the hub says.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HTTPError as HubError  # type: ignore[attr-defined]

    try:
        path = Path(hf_hub_download(repository, name, repo_type="dataset", local_dir=folder))
        published = get_hf_file_metadata(hf_hub_url(repository, name, repo_type="dataset")).etag
    except (OSError, ValueError, HubError) as error:
        raise DownloadError(f"{repository} on the Hugging Face Hub: {str(error).splitlines()[0]}") from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != published:
        path.unlink()
        raise DownloadError(f"{repository}: {name} has sha256 {found}, expected {published}: it is damaged")
