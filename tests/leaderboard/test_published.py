from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.cell import as_dict
from benchmark.config import convert
from benchmark.counts import Groups
from benchmark.errors import PluginError, UnknownNameError
from benchmark.registry import METHODS, TASKS
from leaderboard.published import FOLDER, claims, departures, published_names
from leaderboard.references import Reference, read_references

DIGITS = tuple(range(10))
TWO_BIASES = Groups(10, ("left colour", "right colour"), (10, 10), (DIGITS, DIGITS))


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_name_in_the_table_is_published() -> None:
    assert {row["published"] for row in rows("method_names.csv")} <= {r.method for r in read_references()}


@pytest.mark.parametrize("row", rows("method_names.csv"), ids=lambda row: row["published"])
def test_the_parameters_in_the_table_are_parameters_of_the_method(row: dict[str, str]) -> None:
    import json

    try:
        kind = METHODS.get(row["method"])
    except (UnknownNameError, PluginError):
        pytest.skip(f"{row['method']} is not installed")
    params = as_dict(convert(json.loads(row["params"]), kind.Params, row["method"]))
    assert row["published"] in published_names(row["method"], params)


@pytest.mark.parametrize("row", rows("task_settings.csv"), ids=lambda row: f"{row['task']}-{row['parameter']}")
def test_the_settings_in_the_table_are_parameters_of_the_task(row: dict[str, str]) -> None:
    try:
        kind = TASKS.get(row["task"])
    except (UnknownNameError, PluginError):
        pytest.skip(f"{row['task']} is not installed")
    assert row["parameter"] in as_dict(kind.Params())


@pytest.mark.parametrize(
    ("method", "params", "names"),
    [
        ("bise", {"finetune": False, "gamma": 3.0}, ("bise",)),
        ("bise", {"finetune": True}, ("bise_ft",)),
        ("bise", {"finetune": True, "no_mi": True}, ()),
        ("bise", {"no_mi": True}, ("bise_reweight_only",)),
        ("bise", {"no_reweight": True}, ("bise_mi_only",)),
        ("bise", {"label_noise": 0.2}, ()),
        ("ffw_structured", {"gamma": 1.0}, ("ffw",)),
        ("ffw_unstructured", {}, ("ffw",)),
        ("denetdm", {"shallow_layers": 3, "deep_layers": 7}, ("denetdm_depths_3_7",)),
        ("denetdm", {"shallow_layers": None, "deep_layers": None}, ("denetdm",)),
        ("denetdm", {"distillation_weight": 0.0, "shallow_layers": None, "deep_layers": None}, ("denetdm_ce_lt",)),
        ("denetdm", {"shallow_layers": 3, "deep_layers": None}, ()),
        ("somebodys", {}, ()),
    ],
)
def test_names_follow_from_method_and_parameters(method: str, params: dict, names: tuple[str, ...]) -> None:
    defaults = {
        "bise": {"finetune": False, "no_mi": False, "no_reweight": False, "label_noise": 0.0},
        "denetdm": {"ce_weight": 1.0, "task_weight": 1.0, "distillation_weight": None},
    }
    assert published_names(method, {**defaults.get(method, {}), **params}) == names


def reference(**changes) -> Reference:
    values = {
        "task": "colored_mnist",
        "rho": 0.95,
        "level": "0.95",
        "method": "vanilla",
        "metric": "unbiased_accuracy",
        "published_metric": "unbiased_accuracy",
        "value": 0.5,
        "std": 0.02,
        "source": "a paper",
        "evidence": "paper text",
        "note": "",
    }
    return Reference(**(values | changes))


def test_differences_are_in_published_standard_deviations(lab) -> None:
    # aligned 1.0, conflicting 0.4 and 0.6: unbiased accuracy (10 + 90 c) / 100 = 0.46 and 0.64, mean 0.55
    lab.add("vanilla", [0.4, 0.6])
    (found,) = claims(lab.board().sections[0], "unbiased_val", [reference()])
    assert found.ours.mean == pytest.approx(0.55)
    assert found.difference == pytest.approx(0.05)
    assert found.deviations == pytest.approx(2.5)


def test_without_a_published_deviation_there_is_a_difference_only(lab) -> None:
    lab.add("vanilla", [0.4, 0.6])
    (found,) = claims(lab.board().sections[0], "unbiased_val", [reference(std=None)])
    assert found.deviations is None


def test_all_sources_stand_side_by_side_the_headline_first(lab) -> None:
    lab.add("vanilla", [0.4])
    references = [
        reference(metric="worst_group_accuracy", source="first"),
        reference(source="second"),
        reference(source="third", rho=0.99),
        reference(source="fourth", method="lff"),
        reference(source="fifth", metric=None),
    ]
    found = claims(lab.board().sections[0], "unbiased_val", references)
    assert [claim.reference.source for claim in found] == ["second", "first"]


def test_sparsity_and_multiply_accumulates_are_compared_in_published_units(lab) -> None:
    record = lab.record(lab.cell(), [0.5], sparsity=0.25)
    lab.records.append(replace(record, candidates=tuple(replace(c, macs=328_300_000) for c in record.candidates)))
    found = claims(
        lab.board().sections[0],
        "unbiased_val",
        [
            reference(metric="sparsity_percent", published_metric="sparsity_percent", value=20.9),
            reference(metric="mflops", published_metric="mflops", value=328.3),
        ],
    )
    assert [claim.ours.mean for claim in found] == pytest.approx([25.0, 328.3])


def test_combinations_of_several_biases_are_compared(lab) -> None:
    lab.add("vanilla", [0.3], TWO_BIASES, task="multi_color_mnist", rho=0.99, task_params={"rho_right": 0.95})
    name = "left_colour_conflicting_right_colour_aligned"
    found = claims(
        lab.board().sections[0], "unbiased_val", [reference(task="multi_color_mnist", rho=0.99, metric=name)]
    )
    assert found[0].ours.mean == pytest.approx(0.3)


def test_departures_from_the_published_setting_are_said(lab) -> None:
    lab.add("vanilla", [0.5], task="multi_color_mnist", task_params={"input_scaling": "single", "source": "complete"})
    assert departures(lab.board().sections[0]) == (
        "protocol short, not the authors' budget",
        "input_scaling single instead of double",
    )


def test_our_first_tasks_find_their_published_rows() -> None:
    references = read_references()
    for task, rho, method in (("colored_mnist", 0.99, "denetdm"), ("biased_mnist", 0.997, "bise_ft")):
        assert any((r.task, r.rho, r.method) == (task, rho, method) for r in references)


def test_the_folder_holds_the_tables() -> None:
    assert sorted(path.name for path in Path(FOLDER).glob("*.csv")) == [
        "method_names.csv",
        "paper_results.csv",
        "task_settings.csv",
    ]
