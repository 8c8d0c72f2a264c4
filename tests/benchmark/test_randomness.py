"""Random streams depend on their names alone; the global generators are lent out and given back."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.randomness import (
    global_random_state,
    isolated,
    numpy_stream,
    set_global_random_state,
    stream_seed,
    torch_stream,
)

dimensions = st.lists(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | st.text(max_size=8), max_size=4
)


def draw_globally() -> tuple[float, float, float, float]:
    """A normal number of each global generator: normal ones keep half of a pair for the next call."""
    return (
        random.gauss(0, 1),
        float(np.random.standard_normal()),  # noqa: NPY002
        float(torch.randn(())),
        float(torch.rand(())),
    )


@given(dimensions, dimensions)
def test_streams_are_the_same_only_if_their_names_are(first: list[Any], second: list[Any]) -> None:
    named_alike = [repr(d) for d in first] == [repr(d) for d in second]
    assert (stream_seed(*first) == stream_seed(*second)) == named_alike


def test_a_name_is_the_values_their_types_and_their_order() -> None:
    names: list[tuple[Any, ...]] = [
        ("a", "b"), ("b", "a"), ("ab",), ("a", "b", None), ("a,b",), ('a","b',),
        (1,), (1.0,), ("1",), (True,), (None,), ("None",), (), ("",),
    ]  # fmt: skip
    assert len({stream_seed(*name) for name in names}) == len(names)


def test_a_stream_is_the_same_in_every_process() -> None:
    """Also where Python's own hashes are salted otherwise."""
    code = "from benchmark.randomness import numpy_stream; print(numpy_stream('colour', 0.99, 3).integers(1 << 60))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)},
    )
    assert int(out.stdout) == numpy_stream("colour", 0.99, 3).integers(1 << 60)


def test_the_stream_of_a_name_never_changes() -> None:
    """Whatever breaks this changes everybody's data: raise the versions of all tasks with it."""
    assert stream_seed("colour", "biased_mnist", 0.99, 3) == 3667210990550423936


def test_streams_are_uncorrelated() -> None:
    streams = np.stack([numpy_stream("order", seed).standard_normal(4000) for seed in range(20)])
    correlations = np.corrcoef(streams)[~np.eye(20, dtype=bool)]
    assert np.abs(correlations).max() < 0.08  # five standard deviations


def test_streams_touch_no_global_generator() -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    expected = draw_globally()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    numpy_stream("a").random(10)
    torch.rand(10, generator=torch_stream("a"))
    assert draw_globally() == expected


@pytest.mark.parametrize("fails", [False, True])
def test_isolation_seeds_all_global_generators_and_gives_them_back(fails: bool) -> None:
    draw_globally()  # leaves half a pair of normal numbers behind, which must come back too
    state = global_random_state()
    expected = draw_globally()
    set_global_random_state(state)
    inside = []
    for name in ("x", "x", "y"):
        with pytest.raises(ZeroDivisionError) if fails else isolated("unrelated"), isolated("cell", name):
            inside.append(draw_globally())
            if fails:
                raise ZeroDivisionError
    assert draw_globally() == expected
    assert inside[0] == inside[1]
    assert all(x != y for x, y in zip(inside[1], inside[2], strict=True))


def test_isolation_may_be_nested() -> None:
    with isolated("outer"):
        expected = [draw_globally(), draw_globally()]
    with isolated("outer"):
        first = draw_globally()
        with isolated("inner"):
            draw_globally()
        assert [first, draw_globally()] == expected
