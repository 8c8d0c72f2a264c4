"""Artifacts: model states in safetensors under the key of the cell that made them, with their checksum in the name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load, save

from benchmark.errors import ResultCorruptError
from benchmark.files import write_atomic
from benchmark.task import Backbone


@dataclass(frozen=True)
class Artifact:
    """A model state.

    Attributes:
        key: The cell that made it.
        state: Tensors by name, as ``Network.state_dict()`` gives them, and whatever else the method keeps.
        backbone: The network that it is a state of, where that is known.
    """

    key: str
    state: dict[str, torch.Tensor]
    backbone: Backbone | None = None


def save_artifact(folder: Path, artifact: Artifact) -> Path:
    """Write a state as ``folder/<key>.<sha256, 16 digits>.safetensors`` in one atomic step."""
    key = artifact.key
    metadata = {} if artifact.backbone is None else {"backbone": msgspec.json.encode(artifact.backbone).decode()}
    content = save({name: tensor.cpu().contiguous() for name, tensor in artifact.state.items()}, metadata)
    path = folder / f"{key}.{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    write_atomic(path, content)
    return path


def load_artifact(path: Path, key: str) -> Artifact:
    """Read an artifact back.

    Raises:
        ResultCorruptError: The content does not have the checksum in the file's name.
    """
    content = path.read_bytes()
    expected = path.name.split(".")[1]
    found = hashlib.sha256(content).hexdigest()[:16]
    if found != expected:
        raise ResultCorruptError(
            f"artifact {path} has checksum {found}, its name says {expected}; delete it and run again"
        )
    header = msgspec.json.decode(content[8 : 8 + int.from_bytes(content[:8], "little")])
    backbone = header.get("__metadata__", {}).get("backbone")
    return Artifact(key, load(content), None if backbone is None else msgspec.json.decode(backbone, type=Backbone))
