"""What mask-learning methods declare, seen without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.config import convert
from benchmark.errors import ConfigError
from benchmark.method import Method
from benchmark.tuning.space import check_space
from methods.bise import Bise, BiseParams, BiseUnsupervised
from methods.denetdm import Denetdm
from methods.ffw import FfwParams, FfwStructured, FfwUnstructured

METHODS = [FfwUnstructured, FfwStructured, Bise, BiseUnsupervised]


def test_declaring_them_does_not_load_torch() -> None:
    code = "import sys, methods.ffw, methods.bise; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


@pytest.mark.parametrize("method", METHODS)
def test_each_says_what_it_is_given_and_starts_from_the_vanilla_network(method: type[Method]) -> None:
    expected = {
        "ffw_unstructured": "unbiased split",
        "ffw_structured": "unbiased split",
        "bise": "b on train",
        "bise_unsupervised": "none",
    }
    assert str(method.supervision) == expected[method.name]
    upstream = method(method.Params(vanilla={"weight_decay": 1e-3})).upstream()["vanilla"]
    assert (upstream.method, upstream.params) == ("vanilla", {"weight_decay": 1e-3})
    assert method.keeps_artifact


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        (BiseParams, {"label_noise": 1.5}),
        (BiseParams, {"bias_epochs": 1}),
        (FfwParams, {"policy": "sometimes"}),
        (FfwParams, {"tau_factor": 1.0}),
        (FfwParams, {"gama": 1.0}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: type, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        convert(wrong, params, "params")


def test_the_card_of_each_lists_every_parameter() -> None:
    for method in METHODS:
        package = method.__module__.rpartition(".")[2]
        card = (Path(__file__).parents[2] / "methods" / package / "card.md").read_text()
        missing = [name for name in method.Params.__dataclass_fields__ if f"`{name}`" not in card]
        assert not missing, f"{method.name}: {missing}"


@pytest.mark.parametrize("method", [*METHODS, Denetdm])
def test_each_publishes_a_search_space_that_its_parameters_have(method: type[Method]) -> None:
    check_space(method, method.search_space, method.name)
