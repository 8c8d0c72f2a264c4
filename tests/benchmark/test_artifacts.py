"""Artifacts come back bit for bit, with the network they are a state of; a damaged one is never used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.artifacts import Artifact, load_artifact, save_artifact
from benchmark.errors import ResultCorruptError
from benchmark.store import Store
from benchmark.task import Backbone

KEY = "ab" * 10


def state() -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(3, 4, generator=draws),
        "turned": torch.randn(3, 4, generator=draws).t(),
        "steps": torch.tensor(7),
        "half": torch.randn(5, generator=draws).to(torch.bfloat16),
        "mask": torch.tensor([True, False]),
        "nothing": torch.zeros(0, 3),
    }


@pytest.mark.parametrize(
    "backbone", [None, Backbone("a.module:net", {"widths": [3, 4], "deep": True}, "channels_last")]
)
def test_an_artifact_comes_back_bit_for_bit(tmp_path: Path, backbone: Backbone | None) -> None:
    store = Store(tmp_path)
    path = save_artifact(store.artifact_folder(KEY), Artifact(KEY, state(), backbone))
    assert store.artifact(KEY) == path
    found = load_artifact(path, KEY)
    assert (found.key, found.backbone) == (KEY, backbone)
    assert set(found.state) == set(state())
    for name, tensor in state().items():
        assert found.state[name].dtype == tensor.dtype
        assert torch.equal(found.state[name], tensor)


def test_the_same_state_has_the_same_file(tmp_path: Path) -> None:
    paths = {save_artifact(tmp_path, Artifact(KEY, state(), None)) for _ in range(2)}
    assert len(paths) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("where", [0, 9, 100, -1])
def test_one_wrong_byte_is_found(tmp_path: Path, where: int) -> None:
    path = save_artifact(tmp_path, Artifact(KEY, state(), None))
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(ResultCorruptError, match=r"has checksum [0-9a-f]{16}, its name says .*; delete it"):
        load_artifact(path, KEY)


@pytest.mark.parametrize("size", [0, 4, 200])
def test_a_truncated_artifact_is_found(tmp_path: Path, size: int) -> None:
    path = save_artifact(tmp_path, Artifact(KEY, state(), None))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ResultCorruptError, match="has checksum"):
        load_artifact(path, KEY)


def test_other_cells_artifacts_and_half_written_ones_are_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save_artifact(store.artifact_folder(KEY), Artifact("ab" * 9 + "cd", state(), None))
    (store.artifact_folder(KEY) / f".{KEY}.0123.safetensors.1.tmp").touch()
    assert store.artifact(KEY) is None
