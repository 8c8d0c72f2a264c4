"""Jobs run a copy of the code that was submitted, whatever happens to the original."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.code import code_root, code_version, fingerprint
from slurm.snapshot import Snapshot, take_snapshot


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def snapshot(results: Path) -> Snapshot:
    return take_snapshot(results, [])


def python(snapshot: Snapshot, code: str, cwd: Path) -> str:
    """What a process prints that has the copy first on its path, as jobs have."""
    environment = {**os.environ, "PYTHONPATH": str(snapshot.root), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_job_imports_the_copy_also_from_within_a_checkout(snapshot: Snapshot) -> None:
    code = "import benchmark, methods, tasks, slurm.job; print(benchmark.__file__, slurm.job.__file__)"
    assert python(snapshot, code, code_root()) == (
        f"{snapshot.root}/benchmark/__init__.py {snapshot.root}/slurm/job.py"
    )


def test_the_copy_has_the_version_of_what_was_copied(snapshot: Snapshot, tmp_path: Path) -> None:
    assert snapshot.version == code_version()
    code = "from benchmark.code import code_version; print(code_version())"
    assert python(snapshot, code, tmp_path) == code_version()


def test_the_copy_is_complete(snapshot: Snapshot) -> None:
    assert fingerprint(snapshot.root) == fingerprint(code_root())
    assert not list(snapshot.root.rglob("__pycache__"))


def test_the_copys_own_plugins_are_found(snapshot: Snapshot, tmp_path: Path) -> None:
    """A method that a later installation no longer has."""
    points = next(snapshot.root.glob("*.dist-info")) / "entry_points.txt"
    before = points.read_text()
    points.write_text(before.replace("vanilla = methods", "plain_old = methods"))
    try:
        code = "from benchmark.registry import METHODS; print('plain_old' in METHODS.names())"
        assert python(snapshot, code, tmp_path) == "True"
    finally:
        points.write_text(before)


def test_equal_code_is_copied_once(results: Path, snapshot: Snapshot) -> None:
    stamp = (snapshot.root / "benchmark" / "__init__.py").stat()
    again = take_snapshot(results, [])
    assert again == snapshot
    assert (again.root / "benchmark" / "__init__.py").stat() == stamp
    assert [path.name for path in (results / "code").iterdir()] == [snapshot.root.name]


def test_a_plugin_file_is_copied_under_its_content(results: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("ONE = 1\n")
    (first,) = take_snapshot(results, [plugin]).plugins
    plugin.write_text("ONE = 2\n")
    (second,) = take_snapshot(results, [plugin]).plugins
    assert (first.name, first.read_text()) == ("mine.py", "ONE = 1\n")
    assert (second.name, second.read_text()) == ("mine.py", "ONE = 2\n")
