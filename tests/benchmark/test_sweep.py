"""A sweep file becomes exactly the cells that it describes, or a message that says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ConfigError, UnknownNameError
from benchmark.sweep import Expansion, expand, read_sweep

SWEEPS = Path(__file__).parents[2] / "sweeps"


@pytest.fixture
def expanded(tmp_path: Path, toy_plugin: Path) -> Any:
    """``expanded(tasks=[…], …)``: the cells of a sweep file of the toy."""

    def make(**content: Any) -> Expansion:
        path = tmp_path / "sweep.yaml"
        path.write_text(json.dumps({"tasks": ["toy"], "methods": ["toy_erm"], "protocol": "smoke", **content}))
        return expand(read_sweep(path), tmp_path)

    return make


def test_every_combination_is_a_cell(expanded: Any) -> None:
    tasks = [{"name": "toy", "rho": [0.8, 0.9, 1]}, {"name": "toy", "rho": [0.8], "params": {"noise": 0.1}}]
    methods = ["toy_erm", {"name": "toy_tune", "params": {"pause": 0.5}, "grid": {"epochs": [1, 2], "log": ["", "x"]}}]
    cells = expanded(tasks=tasks, methods=methods, seeds=2).cells
    assert len(cells) == 4 * (1 + 4) * 2
    assert len({cell.key for cell in cells}) == len(cells)
    tuned = [cell for cell in cells if cell.method == "toy_tune" and cell.rho == 1]
    assert [(c.params["epochs"], c.params["log"], c.params["pause"], c.seed) for c in tuned] == [
        (epochs, log, 0.5, seed) for epochs in (1, 2) for log in ("", "x") for seed in (0, 1)
    ]


def test_defaults_are_the_levels_in_use_and_three_seeds(expanded: Any) -> None:
    cells = expanded().cells
    assert [(cell.rho, cell.seed, cell.precision) for cell in cells] == [(0.9, seed, "fp32") for seed in range(3)]


def test_a_cell_that_is_described_twice_is_run_once(expanded: Any) -> None:
    methods = ["toy_erm", {"name": "toy_erm", "params": {"epochs": None}}]
    assert len(expanded(methods=methods, seeds=[4, 4]).cells) == 1


def test_a_task_at_its_natural_level_has_no_rho(expanded: Any) -> None:
    (cell,) = expanded(tasks=["toy_unlabelled"], seeds=[0]).cells
    assert cell.rho is None


def test_a_pair_that_cannot_run_is_left_out_with_its_reason(expanded: Any) -> None:
    expansion = expanded(tasks=["toy_unlabelled", "toy"], methods=["toy_groups", "toy_erm"], seeds=1)
    assert [(cell.task, cell.method) for cell in expansion.cells] == [
        ("toy_unlabelled", "toy_erm"),
        ("toy", "toy_groups"),
        ("toy", "toy_erm"),
    ]
    (pair,) = expansion.not_applicable
    assert (pair.task, pair.method) == ("toy_unlabelled", "toy_groups")
    assert pair.reason == "needs bias labels, and toy_unlabelled has none"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"task": []}, "unknown key in sweep.yaml 'task'; did you mean 'tasks'"),
        ({"tasks": [{"name": "toy", "rhos": [1]}]}, r"key in sweep.yaml.tasks\[0\] 'rhos'; did you mean 'rho'"),
        ({"methods": [{"nam": "toy_erm"}]}, r"key in sweep.yaml.methods\[0\] 'nam'; did you mean 'name'"),
        ({"tasks": ["toi"]}, "unknown task 'toi'; did you mean 'toy'"),
        ({"methods": ["toy_ern"]}, "unknown method 'toy_ern'; did you mean 'toy_erm'"),
        ({"protocol": "smok"}, "unknown protocol 'smok'; did you mean 'smoke'"),
        ({"methods": [{"name": "toy_erm", "params": {"epoch": 1}}]}, "parameters of toy_erm 'epoch'; did you mean 'ep"),
        ({"methods": [{"name": "toy_erm", "grid": {"epoch": [1]}}]}, "parameters of toy_erm 'epoch'; did you mean 'ep"),
        ({"tasks": [{"name": "toy", "params": {"nose": 1}}]}, "parameters of toy 'nose'; did you mean 'noise'"),
    ],
)
def test_unknown_names_name_the_nearest(expanded: Any, content: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        expanded(**content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"tasks": [{"name": "toy", "rho": [0]}]}, r"task toy: rho is the share .* in \(0, 1\]; got 0.0"),
        ({"tasks": [{"name": "toy", "rho": [1.01]}]}, "got 1.01"),
        ({"tasks": [{"name": "toy", "rho": [-0.5]}]}, "got -0.5"),
        ({"tasks": [{"name": "toy", "rho": ["high"]}]}, "Expected `float`, got `str`"),
        ({"tasks": [{"name": "toy_unlabelled", "rho": [0.9]}]}, "natural level only; leave rho out"),
        ({"tasks": []}, r"Expected `array` of length >= 1 - at `\.tasks`"),
        ({"methods": []}, r"Expected `array` of length >= 1 - at `\.methods`"),
        ({"tasks": [{"name": "toy", "rho": []}]}, "length >= 1"),
        ({"methods": [{"name": "toy_erm", "grid": {"epochs": []}}]}, "length >= 1"),
        ({"methods": [{"name": "toy_erm", "grid": {"epochs": 3}}]}, "Expected `array`, got `int`"),
        ({"seeds": 0}, "Expected `int` >= 1"),
        ({"seeds": []}, "length >= 1"),
        ({"seeds": "two"}, "got `str`"),
        ({"precision": "fp16"}, "Invalid enum value 'fp16'"),
        ({"methods": [{"name": "toy_erm", "params": {"epochs": 1}, "grid": {"epochs": [1]}}]}, "params and in grid"),
        ({"methods": [{"name": "toy_erm", "params": {"epochs": 1.5}}]}, "parameters of toy_erm: Expected `int | null`"),
    ],
)
def test_wrong_values_say_what_was_expected(expanded: Any, content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        expanded(**content)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_a_file_that_is_no_mapping_is_no_sweep(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"is not a sweep: expected keys tasks, methods"):
        read_sweep(path)


def test_yaml_numbers_reach_the_cell_as_numbers(tmp_path: Path, toy_plugin: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "protocol: smoke\nseeds: 1\ntasks:\n  - {name: toy, rho: [.9], params: {noise: 1e-3}}\nmethods: [toy_erm]"
    )
    (cell,) = expand(read_sweep(path), tmp_path).cells
    assert cell.task_params == {"noise": 0.001}


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_own_sweeps_say_what_they_are_and_have_cells(path: Path, tmp_path: Path) -> None:
    sweep = read_sweep(path)
    assert sweep.description.endswith(".")
    assert expand(sweep, tmp_path).cells
