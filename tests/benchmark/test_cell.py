"""A cell's key says what the cell is: nothing else changes it, and whatever changes a result changes it."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cell import Cell, Siblings, make_cell, method_of, task_of, upstream_cells
from benchmark.errors import ConfigError, NotApplicableError, UnknownNameError
from benchmark.protocol import PROTOCOLS
from benchmark.registry import METHODS, TASKS

BASE = Cell(
    task="a_task",
    task_version=1,
    task_params={"source": "embedded", "severity": 4},
    rho=0.95,
    method="a_method",
    method_version=2,
    params={"rate": 0.001, "depth": None, "names": ["x", "y"]},
    seed=0,
    protocol=PROTOCOLS["short"],
    upstream={"start": "0123456789abcdef0123"},
)

CHANGES: dict[str, Any] = {
    "task": "another_task",
    "task_version": 2,
    "task_params": {"source": "complete", "severity": 4},
    "rho": 0.951,
    "method": "another_method",
    "method_version": 3,
    "params": {"rate": 0.001, "depth": 3, "names": ["x", "y"]},
    "seed": 1,
    "protocol": PROTOCOLS["smoke"],
    "precision": "bf16",
    "upstream": {"start": "another key"},
    "engine_version": 1_000,
}


NO_IDENTITY = ("diagnostics", "tuning")


def make(toy: dict[str, Any] | None = None, rho: float | None = 0.9, method: str = "toy_erm", **params: Any) -> Cell:
    kind = TASKS.get("toy")
    return make_cell(kind(kind.Params(**(toy or {}))), rho, method, params, 0, PROTOCOLS["smoke"])


def test_the_key_of_a_known_cell_never_changes() -> None:
    """Whatever breaks this throws away everybody's results."""
    assert BASE.key == "c488dc7e221f9723e652"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Cell) if field.name not in NO_IDENTITY])
def test_every_field_changes_the_key(field: str) -> None:
    assert dataclasses.replace(BASE, **{field: CHANGES[field]}).key != BASE.key


def test_what_is_diagnosed_is_no_part_of_what_a_cell_is() -> None:
    diagnosed = dataclasses.replace(BASE, diagnostics=("pruned", "latency"))
    assert diagnosed.key == BASE.key
    assert diagnosed == BASE
    back = msgspec.json.decode(msgspec.json.encode(diagnosed), type=Cell)
    assert back.diagnostics == ("pruned", "latency")
    assert back.key == BASE.key


def test_a_cell_stored_before_there_were_diagnostics_keeps_its_key() -> None:
    plain = msgspec.to_builtins(BASE)
    del plain["diagnostics"]
    assert msgspec.convert(plain, Cell).key == BASE.key


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(PROTOCOLS["short"])])
def test_every_rule_of_the_protocol_changes_the_key(field: str) -> None:
    value = "other" if field == "name" else 0.123 if field == "epoch_share" else 77
    protocol = dataclasses.replace(BASE.protocol, **{field: value})
    assert dataclasses.replace(BASE, protocol=protocol).key != BASE.key


def test_the_order_of_parameters_does_not_change_the_key() -> None:
    turned = dict(reversed(BASE.params.items()))
    assert list(turned) != list(BASE.params)
    assert dataclasses.replace(BASE, params=turned).key == BASE.key


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.floats(0, 1, exclude_min=True), st.randoms())
def test_a_cell_keeps_its_key_on_every_way(params: dict[str, Any], rho: float, random: Any) -> None:
    cell = dataclasses.replace(BASE, params=params, rho=rho)
    items = list(params.items())
    random.shuffle(items)
    copies = [
        dataclasses.replace(cell, params=dict(items)),
        pickle.loads(pickle.dumps(cell)),
        msgspec.json.decode(msgspec.json.encode(cell), type=Cell),
        msgspec.convert(json.loads(msgspec.json.encode(cell, order="sorted")), Cell),
    ]
    assert {copy.key for copy in copies} == {cell.key}
    assert copies[2] == cell


@given(json_values, json_values)
def test_different_parameters_have_different_keys(first: Any, second: Any) -> None:
    same = msgspec.json.encode(first, order="sorted") == msgspec.json.encode(second, order="sorted")
    keys = {dataclasses.replace(BASE, params={"p": value}).key for value in (first, second)}
    assert (len(keys) == 1) == same


class TestMakeCell:
    """Cells of real plugins, here those of the toy."""

    @pytest.fixture(autouse=True)
    def _toy(self, toy_plugin: Path) -> None:
        """Loads the plugin."""

    def test_a_default_given_explicitly_is_the_same_cell(self) -> None:
        assert make(pause=0.0, log="").key == make().key
        assert make({"noise": 0.3}).key == make().key

    def test_numbers_are_the_same_however_they_are_written(self) -> None:
        assert make(pause=1).key == make(pause=1.0).key
        assert make(rho=1).key == make(rho=1.0).key
        assert make(pause=1e-3).key == make(pause=0.001).key

    @pytest.mark.parametrize(("registry", "plugin"), [(TASKS, "toy"), (METHODS, "toy_erm")])
    def test_a_behaviour_version_changes_the_key(
        self, registry: Any, plugin: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = make().key
        monkeypatch.setattr(registry.get(plugin), "version", 2)
        assert make().key != before

    def test_the_version_of_what_it_starts_from_changes_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before, start = make(method="toy_tune"), make()
        assert before.upstream == {"start": start.key}
        monkeypatch.setattr(METHODS.get("toy_erm"), "version", 2)
        after = make(method="toy_tune")
        assert after.key != before.key
        assert upstream_cells(after)["start"].method_version == 2

    def test_a_start_shares_task_level_seed_and_protocol(self) -> None:
        cell = make({"noise": 0.1}, rho=0.7, method="toy_tune", pause=0.25)
        (start,) = upstream_cells(cell).values()
        shared = ("task", "task_params", "rho", "seed", "protocol", "precision")
        assert [getattr(start, name) for name in shared] == [getattr(cell, name) for name in shared]
        assert start.params["pause"] == 0.25
        assert start.key == make({"noise": 0.1}, rho=0.7, pause=0.25).key

    def test_the_plugins_come_back_with_their_parameters(self) -> None:
        cell = make({"noise": 0.1}, pause=0.25)
        assert task_of(cell).params == TASKS.get("toy").Params(noise=0.1)
        assert method_of(cell).params == METHODS.get("toy_erm").Params(pause=0.25)

    def test_values_that_json_does_not_have_are_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"parameters of toy_erm\.pause is inf"):
            make(pause=float("inf"))

    def test_unknown_parameters_and_methods_are_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'pause'"):
            make(pauses=1)
        with pytest.raises(UnknownNameError, match="did you mean 'toy_erm'"):
            make(method="toy_em")

    def test_a_pair_that_cannot_run_says_why(self) -> None:
        kind = TASKS.get("toy_unlabelled")
        with pytest.raises(NotApplicableError, match="toy_groups on toy_unlabelled: needs bias labels"):
            make_cell(kind(kind.Params()), None, "toy_groups", {}, 0, PROTOCOLS["smoke"])

    def test_titles_name_the_cell(self) -> None:
        assert make().title == "toy rho 0.9 toy_erm seed 0"
        assert dataclasses.replace(make(), rho=None).title == "toy natural rho toy_erm seed 0"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("vanilla", {}),
        ("denetdm", {"temperature": 2.0}),
        ("ffw_structured", {"gamma": 1.0, "vanilla": {"epochs": 3}}),
        ("bise", {"finetune": True}),
        (
            "magnitude_pruning",
            {"match": "bise", "match_params": {"gamma": 0.5}},
        ),
    ],
)
def test_cells_resolved_together_are_those_resolved_one_by_one(method: str, params: dict[str, Any]) -> None:
    kind = TASKS.get("colored_mnist")
    task, siblings = kind(kind.Params(source="embedded")), Siblings()
    one_by_one = [make_cell(task, 0.99, method, params, seed, PROTOCOLS["smoke"]) for seed in range(4)]
    first = dataclasses.replace(one_by_one[0], diagnostics=("latency",))
    together = [siblings.with_seed(first, seed) for seed in range(4)]
    assert together == one_by_one
    assert [cell.key for cell in together] == [cell.key for cell in one_by_one]
    assert all(siblings.upstream(cell) == upstream_cells(cell) for cell in one_by_one)


def test_keys_do_not_depend_on_what_was_asked_before(cells_of: Callable[..., list[Cell]]) -> None:
    (cell,) = cells_of("toy_erm")
    encoded = msgspec.json.encode(cell)
    assert len(cell.key) == 20  # cached now
    assert msgspec.json.encode(cell) == encoded
