"""Profiles say what jobs are given, and refuse what nobody reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import ConfigError
from slurm.profile import Profile, read_profile

PROFILES = Path(__file__).parents[2] / "slurm" / "profiles"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["gpu", "cpu", "preemptible", "devcluster"])
def test_the_examples_are_valid(name: str) -> None:
    assert read_profile(PROFILES / f"{name}.yaml").partition is not None


def test_a_profile_may_leave_everything_out(tmp_path: Path) -> None:
    assert read_profile(written(tmp_path, "")) == Profile()
    assert Profile().devices == "cpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin: gpu", "unknown key in mine.yaml 'partitoin'; did you mean 'partition'"),
        ("gpus: two", "`int`, got `str`"),
        ("cpus: 0", "`int` >= 1"),
        ("memory_gb: 0", "`float` > 0"),
        ("{gpus: 4, cells_at_once: 2}", "some GPUs would idle"),
        ("{gpus: 1, device: cpu}", "device is cpu, so the GPUs would idle"),
        ("{wall_minutes: 1, signal_seconds: 60}", "all of wall_minutes"),
        ("setup: module load cuda", "`array`, got `str`"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_profile(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("gpus: 1", "cuda"),
        ("{gpus: 2, cells_at_once: 4}", "cuda:0,cuda:1"),
        ("{parameters: {gres: 'gpu:a100:1'}, device: cuda}", "cuda"),
    ],
)
def test_gpus_are_the_devices(tmp_path: Path, text: str, devices: str) -> None:
    assert read_profile(written(tmp_path, text)).devices == devices
