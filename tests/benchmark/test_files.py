from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.files import read_ahead


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.json" for i in range(20)]
    for i, path in enumerate(paths):
        path.write_bytes(b"x" * i * 1000)
    return paths


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_contents_come_in_order_without_files_that_are_gone(paths: list[Path]) -> None:
    paths[3].unlink()
    found = list(read_ahead(paths))
    assert [path for path, _ in found] == paths[:3] + paths[4:]
    assert all(content == path.read_bytes() for path, content in found)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files by /proc")
def test_files_are_closed_when_nobody_reads_on(paths: list[Path]) -> None:
    before = open_files()
    reading = read_ahead(paths)
    next(reading)
    assert open_files() > before
    reading.close()
    assert open_files() == before
