"""Artifacts: model states in safetensors under the key of the cell that made them, with their checksum in the name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.errors import ResultCorruptError
from benchmark.files import write_atomic


@dataclass(frozen=True)
class Artifact:
    """A model state.

    Attributes:
        key: The cell that made it.
        state: Tensors by name, as ``Network.state_dict()`` gives them, and whatever else the method keeps.
    """

    key: str
    state: dict[str, torch.Tensor]


def save_artifact(folder: Path, key: str, state: Mapping[str, torch.Tensor]) -> Path:
    """Write a state as ``folder/<key>.<sha256, 16 digits>.safetensors`` in one atomic step."""
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})
    path = folder / f"{key}.{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    write_atomic(path, content)
    return path


def find_artifact(folder: Path, key: str) -> Path | None:
    """The file of this key, if there is one."""
    return next(iter(sorted(folder.glob(f"{key}.*.safetensors"))), None)


def load_artifact(path: Path, key: str) -> Artifact:
    """Read an artifact back.

    Raises:
        ResultCorruptError: The content does not have the checksum in the file's name.
    """
    from safetensors.torch import load

    content = path.read_bytes()
    expected = path.name.split(".")[1]
    found = hashlib.sha256(content).hexdigest()[:16]
    if found != expected:
        raise ResultCorruptError(
            f"artifact {path} has checksum {found}, its name says {expected}; delete it and run again"
        )
    return Artifact(key, load(content))


def artifact_folder(root: Path, key: str) -> Path:
    """The shard of a results folder that holds the artifact of a key."""
    return root / "artifacts" / key[:2]
