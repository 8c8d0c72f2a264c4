"""Published folders to the Hugging Face Hub, through its own client."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.errors import ConfigError, DebiasBenchError

TARGET = re.compile(r"hf:([\w.-]+/[\w.-]+)")


class PushError(DebiasBenchError):
    """The Hub did not take the folder."""


def repository_of(target: str) -> str:
    """``owner/name`` of a target ``hf:owner/name``.

    Raises:
        ConfigError: It is of another form.
    """
    match = TARGET.fullmatch(target)
    if match is None:
        raise ConfigError(
            f"--push takes hf:owner/name, got {target!r}; for GitHub Pages commit the folder, see docs/publish.md"
        )
    return match[1]


def push(folder: Path, target: str, endpoint: str | None = None) -> str:
    """Upload a published folder to a data set repository, which is made if it is not there.

    The login is the client's own (``hf auth login`` or ``HF_TOKEN``); nothing of it passes through here.

    Args:
        folder: The folder.
        target: ``hf:owner/name``.
        endpoint: Of the Hub; default: the client's.

    Returns:
        Where it is now.

    Raises:
        ConfigError: The target is none, or the client is not installed.
        PushError: The Hub refused, or cannot be reached.
    """
    repository = repository_of(target)
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise ConfigError(
            "--push hf:... needs the client of the Hugging Face Hub: pip install 'debias-bench[hub]'"
        ) from error
    client = HfApi(endpoint=endpoint, library_name="debias-bench")
    try:
        client.create_repo(repository, repo_type="dataset", exist_ok=True)
        commit = client.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type="dataset",
            commit_message="Publish results",
            delete_patterns=["tables/*.csv", "data/*.js"],
        )
    except Exception as error:
        raise PushError(f"the Hub did not take {folder} as {repository}: {error}") from error
    return str(commit.commit_url)
