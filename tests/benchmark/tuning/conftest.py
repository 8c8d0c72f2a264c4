"""Sweeps of the toy that are tuned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.executor import Event, execute
from benchmark.planner import make_plan
from benchmark.serve import Options
from benchmark.store import Store
from benchmark.sweep import Expansion, expand, read_sweep


@pytest.fixture
def tuned(tmp_path: Path, toy_plugin: Path) -> Callable[..., Expansion]:
    """``tuned(trials=4, sweep={…})``: a sweep of the toy method that is tuned, expanded."""

    def make(sweep: dict[str, Any] | None = None, **tune: Any) -> Expansion:
        path = tmp_path / "sweep.yaml"
        content = {"tasks": ["toy"], "methods": ["toy_gamma"], "protocol": "smoke", "seeds": 2, **(sweep or {})}
        path.write_text(json.dumps({**content, "tune": {"methods": {"toy_gamma": "default"}, **tune}}))
        return expand(read_sweep(path), tmp_path)

    return make


@pytest.fixture
def run_tuned(toy_plugin: Path, tmp_path: Path) -> Callable[..., list[Event]]:
    """``run_tuned(expansion, results, jobs=0)``: run what is missing of a sweep; the events."""

    def run(expansion: Expansion, results: Path, jobs: int = 0) -> list[Event]:
        plan = make_plan(expansion.cells, Store(results), expansion.finals)
        return list(execute(plan, Options(results, tmp_path, jobs=jobs, plugins=(toy_plugin,))))

    return run
