"""A real SLURM for the tests marked `slurm`, and toy submissions for those that need none."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from benchmark.code import code_root, code_version
from benchmark.config import convert
from benchmark.planner import Plan, make_plan
from benchmark.registry import load_plugin_file
from benchmark.store import Store
from benchmark.sweep import Sweep, expand
from slurm.devcluster import DevCluster, Settings, requirements, start, stop
from slurm.profile import Profile
from slurm.submission import (
    Cluster,
    PackCells,
    SentPack,
    Submission,
    new_submission,
    write_pack,
    write_submission,
)


@pytest.fixture(scope="session")
def open_dir() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own: munged insists on that for its socket."""
    with tempfile.TemporaryDirectory(prefix="devcluster-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def devcluster(open_dir: Path) -> Iterator[DevCluster]:
    """A SLURM of two nodes with 4 CPUs, 8000 MB and one GPU each; MaxArraySize is 11."""
    if (problem := requirements.unmet()) is not None:
        pytest.skip(f"no SLURM: {problem}")
    directory = open_dir / "session"
    try:
        yield start(Settings(nodes=2, cpus_per_node=4, memory_per_node=8000, max_array_size=11), directory)
    finally:
        stop(directory)


@pytest.fixture
def slurm_cluster(devcluster: DevCluster, monkeypatch: pytest.MonkeyPatch) -> DevCluster:
    """The same, with the environment set so that sbatch and submitit called by the test use it."""
    for name, value in devcluster.environment.items():
        monkeypatch.setenv(name, value)
    return devcluster


@pytest.fixture(scope="session")
def toy_plugin() -> Path:
    """The file with the toy task and the toy methods, loaded."""
    path = Path(__file__).parents[1] / "benchmark" / "toy_plugin.py"
    load_plugin_file(path)
    return path


@pytest.fixture
def toy_plan(toy_plugin: Path, tmp_path: Path) -> Callable[..., Plan]:
    """``toy_plan("toy_erm", {"name": …}, seeds=2)``: what is to run of a sweep of the toy task."""

    def make(*methods: str | dict[str, Any], seeds: int = 1) -> Plan:
        sweep = convert({"tasks": ["toy"], "methods": list(methods), "seeds": seeds, "protocol": "smoke"}, Sweep, "")
        return make_plan(expand(sweep, tmp_path).cells, Store(tmp_path / "results"))

    return make


@pytest.fixture
def sent(toy_plugin: Path, tmp_path: Path) -> Callable[..., Submission]:
    """``sent(plan, cluster, profile, sizes=[…])``: a submission of packs with so many cells, ready for its jobs."""
    results = tmp_path / "results"

    def make(plan: Plan, cluster: Cluster, profile: Profile = Profile(), sizes: Sequence[int] = ()) -> Submission:  # noqa: B008
        cells = iter(plan.to_run)
        packs = [tuple(islice(cells, size)) for size in sizes or [len(plan.to_run)]]
        keys = [tuple(cell.key for cell in pack) for pack in packs]
        submission = new_submission(
            sweep="toy",
            cluster=cluster,
            code=code_version(),
            code_root=code_root(),
            profile=profile,
            data_root=tmp_path,
            plugins=(toy_plugin,),
            packs=tuple(SentPack(held, 10.0, 10) for held in keys),
        )
        write_submission(results, submission)
        for number, pack in enumerate(packs):
            write_pack(results, submission.id, number, PackCells(pack, plan.upstream))
        return submission

    return make
