"""A results folder knows the sweeps that were run in it, and which results are of another version."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cell import Cell
from benchmark.errors import ResultCorruptError
from benchmark.manifest import Staleness, read_manifests, write_manifest
from benchmark.registry import METHODS, TASKS
from benchmark.store import Store
from benchmark.sweep import expand, read_sweep

SweepFile = Callable[..., Path]


@pytest.fixture
def remember(tmp_path: Path, sweep_file: SweepFile, toy_plugin: Path) -> Callable[..., list[Cell]]:
    """``remember(name, methods=[…])``: write the manifest of a sweep; its cells."""

    def write(name: str, **content: Any) -> list[Cell]:
        sweep = read_sweep(sweep_file(name, **content))
        expansion = expand(sweep, tmp_path)
        write_manifest(Store(tmp_path), name, sweep, expansion)
        return expansion.cells

    return write


def test_sweeps_come_back_with_their_cells(remember: Callable[..., list[Cell]], tmp_path: Path) -> None:
    grid = {"name": "toy_erm", "grid": {"epochs": [1, 2]}}
    cells = remember("second", methods=[grid, "toy_groups"], tasks=["toy", "toy_unlabelled"], seeds=[3])
    remember("first", methods=["toy_erm"])
    first, second = read_manifests(Store(tmp_path))
    assert (first.name, second.name) == ("first", "second")
    assert second.cells == cells
    assert [cell.key for cell in second.cells] == [cell.key for cell in cells]
    assert [(pair.task, pair.method) for pair in second.not_applicable] == [("toy_unlabelled", "toy_groups")]
    assert second.sweep.seeds == [3]


def test_a_sweep_that_changed_takes_its_own_place(remember: Callable[..., list[Cell]], tmp_path: Path) -> None:
    remember("one", methods=["toy_erm"])
    cells = remember("one", methods=["toy_groups"])
    (manifest,) = read_manifests(Store(tmp_path))
    assert manifest.cells == cells


def test_an_empty_folder_knows_no_sweep(tmp_path: Path) -> None:
    assert read_manifests(Store(tmp_path / "absent")) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b"\xff"])
def test_a_damaged_manifest_says_so(remember: Callable[..., list[Cell]], tmp_path: Path, content: bytes) -> None:
    remember("one", methods=["toy_erm"])
    (tmp_path / "sweeps" / "one.json").write_bytes(content)
    with pytest.raises(ResultCorruptError, match=r"one\.json is damaged .* run the sweep again"):
        read_manifests(Store(tmp_path))


class TestStaleness:
    """Whether the installed code would compute what a record says."""

    @pytest.fixture
    def cell(self, cells_of: Callable[..., list[Cell]]) -> Cell:
        return cells_of("toy_erm")[0]

    def test_of_the_installed_code_is_none(self, cell: Cell) -> None:
        assert Staleness()(cell) is None

    def test_names_what_has_changed(self, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(TASKS.get("toy"), "version", 2)
            assert Staleness()(cell) == "task version 1, now 2"
        with monkeypatch.context() as patch:
            patch.setattr(METHODS.get("toy_erm"), "version", 3)
            assert Staleness()(cell) == "method version 1, now 3"
        assert Staleness()(dataclasses.replace(cell, engine_version=0)) == "harness 0, now 1"

    def test_of_what_it_starts_from_counts(
        self, cells_of: Callable[..., list[Cell]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cells = cells_of("toy_tune", seeds=2)
        assert [Staleness()(cell) for cell in cells] == [None, None]
        monkeypatch.setattr(METHODS.get("toy_erm"), "version", 3)
        staleness = Staleness()
        assert {staleness(cell) for cell in cells} == {"starts from another toy_erm than it would now"}

    def test_of_what_its_start_starts_from_is_that_of_its_own_seed(self, cells_of: Callable[..., list[Cell]]) -> None:
        matched = {"name": "random_pruning", "params": {"match": "bise"}}
        cells = cells_of(matched, tasks=[{"name": "colored_mnist", "rho": [0.95]}], seeds=3)
        staleness = Staleness()
        assert [staleness(cell) for cell in cells] == [None, None, None]

    def test_of_a_plugin_that_is_not_installed_is_unknown(self, cell: Cell) -> None:
        assert Staleness()(dataclasses.replace(cell, method="not_installed", method_version=9)) is None
