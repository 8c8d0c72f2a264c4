"""What tests of the harness share: the toy plugin, and short ways to make, run and read cells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cell import Cell
from benchmark.config import convert
from benchmark.executor import Event, execute
from benchmark.planner import make_plan
from benchmark.record import Record
from benchmark.registry import load_plugin_file
from benchmark.serve import Options
from benchmark.store import Store, read_record
from benchmark.sweep import Sweep, expand

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "toy_plugin.py"


@pytest.fixture(scope="session")
def toy_plugin() -> Path:
    """The file with the toy task and the toy methods, loaded."""
    load_plugin_file(PLUGIN)
    return PLUGIN


@pytest.fixture
def cells_of(toy_plugin: Path, tmp_path: Path) -> Callable[..., list[Cell]]:
    """``cells_of("toy_erm", {"name": …}, seeds=2)``: the cells of methods on the toy task, protocol smoke."""

    def make(*methods: str | dict[str, Any], tasks: list[Any] | None = None, **settings: Any) -> list[Cell]:
        sweep = {"tasks": tasks or ["toy"], "methods": list(methods), "seeds": 1, "protocol": "smoke", **settings}
        return expand(convert(sweep, Sweep, "sweep"), tmp_path).cells

    return make


@pytest.fixture
def run_cells(toy_plugin: Path, tmp_path: Path) -> Callable[..., list[Event]]:
    """``run_cells(cells, results, jobs=0, device="cpu")``: run what is missing; the events."""

    def run(cells: list[Cell], results: Path, jobs: int = 0, device: str = "cpu") -> list[Event]:
        options = Options(results, tmp_path, jobs=jobs, device=device, plugins=(toy_plugin,))
        return list(execute(make_plan(cells, Store(results)), options))

    return run


def records_in(results: Path) -> dict[str, Record]:
    """All records of a results folder by key; a damaged one is an error."""
    return {key: read_record(Path(path)) for key, path in Store(results).record_files()}


@pytest.fixture
def records() -> Callable[[Path], dict[str, Record]]:
    """``records(results)``: all records of a results folder, by key."""
    return records_in


@pytest.fixture
def sweep_file(tmp_path: Path) -> Callable[..., Path]:
    """``sweep_file(tasks=[…], methods=[…])``: a sweep file, JSON being YAML; protocol smoke and one seed by default."""

    def write(name: str = "toy", **content: Any) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps({"tasks": ["toy"], "seeds": 1, "protocol": "smoke", **content}))
        return path

    return write


@pytest.fixture
def start_command(toy_plugin: Path) -> Callable[..., subprocess.Popen[str]]:
    """``start_command("run", sweep, …)``: ``debias-bench`` in a process group of its own, with the toy plugin."""

    def start(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from benchmark.cli import main; main()", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*command, "--plugin", str(toy_plugin)],
            env=environment,
            text=True,
            start_new_session=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings},
        )

    return start
