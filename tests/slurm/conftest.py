"""A real SLURM for the tests marked `slurm`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.devcluster import DevCluster, Settings, requirements, start, stop


@pytest.fixture(scope="session")
def open_dir() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own: munged insists on that for its socket."""
    with tempfile.TemporaryDirectory(prefix="devcluster-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def devcluster(open_dir: Path) -> Iterator[DevCluster]:
    """A SLURM of two nodes with 4 CPUs, 1000 MB and one GPU each; MaxArraySize is 11."""
    if (problem := requirements.unmet()) is not None:
        pytest.skip(f"no SLURM: {problem}")
    directory = open_dir / "session"
    try:
        yield start(Settings(nodes=2, cpus_per_node=4, memory_per_node=1000, max_array_size=11), directory)
    finally:
        stop(directory)


@pytest.fixture
def slurm_cluster(devcluster: DevCluster, monkeypatch: pytest.MonkeyPatch) -> DevCluster:
    """The same, with the environment set so that sbatch and submitit called by the test use it."""
    for name, value in devcluster.environment.items():
        monkeypatch.setenv(name, value)
    return devcluster
