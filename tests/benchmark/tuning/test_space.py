"""Search spaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from benchmark.errors import ConfigError, UnknownNameError
from benchmark.method import Card, Method
from benchmark.run import Run
from benchmark.tuning.space import Axis, check_space, is_integer, middle_of


@dataclass(frozen=True)
class Params:
    gamma: Annotated[float, Meta(ge=0)] = 10.0
    weight: Annotated[float, Meta(gt=0)] | None = None
    layers: Annotated[int, Meta(ge=1)] | None = 3
    scope: Literal["encoder", "network"] = "encoder"
    on: bool = False


class Searched(Method):
    name = "searched"
    version = 1
    card = Card("Searched", "Has parameters.")
    Params = Params

    def run(self, run: Run) -> None:
        raise AssertionError("only its parameters are looked at")


@pytest.mark.parametrize(
    "space",
    [
        {"gamma": Axis(0, 5)},
        {"gamma": Axis(0.01, 100, log=True), "weight": Axis(0.5, 2)},
        {"layers": Axis(1, 4)},
        {"scope": Axis(choices=("encoder", "network")), "on": Axis(choices=(True, False))},
    ],
)
def test_spaces_that_the_parameters_have_are_accepted(space: dict[str, Axis]) -> None:
    check_space(Searched, space, "here")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "here is empty"),
        ({"gama": Axis(0, 1)}, "unknown parameter in here 'gama'; did you mean 'gamma'?"),
        ({"gamma": Axis(-1, 1)}, r"here: Expected `float` >= 0"),
        ({"gamma": Axis(2, 1)}, "here.gamma: low is 2, which is not below high, 1"),
        ({"gamma": Axis(0, 1, log=True)}, "here.gamma: log needs low above 0"),
        ({"gamma": Axis(low=1)}, "here.gamma: expected low and high, or choices"),
        ({"gamma": Axis(1, 2, choices=(1, 2))}, "here.gamma: choices stand alone"),
        ({"layers": Axis(1, 2.5)}, "here.layers takes whole numbers, got 1 to 2.5"),
        ({"layers": Axis(0, 2)}, r"here: Expected `int` >= 1"),
        ({"scope": Axis(0, 1)}, "scope of searched is no number, so it has no range; give choices"),
        ({"scope": Axis(choices=("encoder", "head"))}, "here: Invalid enum value 'head'"),
    ],
)
def test_spaces_that_they_have_not_are_refused(space: dict[str, Axis], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        check_space(Searched, space, "here")


def test_an_unknown_parameter_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError):
        check_space(Searched, {"gama": Axis(0, 1)}, "here")


def test_whole_numbers_are_told_from_others() -> None:
    assert [is_integer(Searched, name) for name in ("gamma", "weight", "layers")] == [False, False, True]


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e6), st.booleans())
def test_the_middle_lies_inside_and_is_geometric_on_a_log_axis(low: float, ratio: float, log: bool) -> None:
    high = low * ratio
    middle = Axis(low, high, log=log).middle(integer=False)
    assert low < middle < high
    expected = middle / low if log else middle - low
    assert expected == pytest.approx(high / middle if log else high - middle, rel=1e-6)


def test_the_middle_of_a_space_is_a_value_for_every_parameter() -> None:
    space = {"gamma": Axis(0.01, 100, log=True), "layers": Axis(1, 4), "scope": Axis(choices=("network", "encoder"))}
    values: dict[str, Any] = {"gamma": 1.0, "layers": 2, "scope": "network"}
    assert middle_of(Searched, space) == values
