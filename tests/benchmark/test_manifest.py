"""A results folder knows the sweeps that were run in it, and which results are of another version."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cell import Cell
from benchmark.errors import ResultCorruptError
from benchmark.manifest import expected_cells, read_manifests, staleness, write_manifest
from benchmark.protocol import PROTOCOLS
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


def test_the_cells_of_all_sweeps_are_expected(remember: Callable[..., list[Cell]], tmp_path: Path) -> None:
    grid = {"name": "toy_erm", "grid": {"epochs": [1, 2]}}
    first = remember("first", methods=[grid, "toy_groups"], tasks=["toy", "toy_unlabelled"], seeds=[3])
    second = remember("second", methods=["toy_erm"])
    expected = expected_cells(Store(tmp_path))
    assert list(expected.values()) == [*first, *second]
    assert all(cell.key == key for key, cell in expected.items())
    manifests = read_manifests(Store(tmp_path))
    assert [manifest.name for manifest in manifests] == ["first", "second"]
    assert [(pair.task, pair.method) for pair in manifests[0].not_applicable] == [("toy_unlabelled", "toy_groups")]
    assert manifests[0].sweep.seeds == [3]


def test_a_sweep_that_changed_takes_its_own_place(remember: Callable[..., list[Cell]], tmp_path: Path) -> None:
    remember("one", methods=["toy_erm"])
    cells = remember("one", methods=["toy_groups"])
    assert list(expected_cells(Store(tmp_path))) == [cell.key for cell in cells]


def test_an_empty_folder_expects_nothing(tmp_path: Path) -> None:
    assert expected_cells(Store(tmp_path / "absent")) == {}


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
        assert staleness(cell) is None

    def test_names_what_has_changed(self, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(TASKS.get("toy"), "version", 2)
            assert staleness(cell) == "task version 1, now 2"
        with monkeypatch.context() as patch:
            patch.setattr(METHODS.get("toy_erm"), "version", 3)
            assert staleness(cell) == "method version 1, now 3"
        assert staleness(dataclasses.replace(cell, engine_version=0)) == "engine version 0, now 1"

    def test_of_what_it_starts_from_counts(
        self, cells_of: Callable[..., list[Cell]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (cell,) = cells_of("toy_tune")
        assert staleness(cell) is None
        monkeypatch.setattr(METHODS.get("toy_erm"), "version", 3)
        assert re.match(r"upstream .*start.*, now .*start", staleness(cell) or "")

    def test_of_rules_and_parameters_counts(self, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setitem(PROTOCOLS, "smoke", dataclasses.replace(PROTOCOLS["smoke"], max_epochs=3))
            assert (staleness(cell) or "").startswith("protocol Protocol(name='smoke'")
        fewer = {name: value for name, value in cell.params.items() if name != "pause"}
        assert (staleness(dataclasses.replace(cell, params=fewer)) or "").startswith("params {")
        gone = dataclasses.replace(cell, params={**cell.params, "gone": 1})
        assert (staleness(gone) or "").startswith("can no longer be made: unknown key in parameters of toy_erm 'gone'")

    def test_of_a_plugin_that_is_not_installed_is_unknown(self, cell: Cell) -> None:
        assert staleness(dataclasses.replace(cell, method="not_installed", method_version=9)) is None
