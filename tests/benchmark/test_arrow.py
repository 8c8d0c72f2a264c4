"""Arrow arrays without pandas: the same as those that pyarrow makes of the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.arrow import array, coded, numbers, plain

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = {
    "int64": INT64,
    "float64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": st.text(),
    "binary": st.binary(),
    "list<int64>": st.lists(INT64),
}
TYPES = {"list<int64>": pa.list_(pa.int64())}


@given(
    st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(VALUES[kind] | st.none())))
)
def test_arrays_are_those_of_pyarrow(drawn: tuple[str, list[Any]]) -> None:
    kind, values = drawn
    expected = pa.array(values, TYPES.get(kind) or pa.type_for_alias(kind))
    found = array(values, kind)
    found.validate(full=True)
    assert found.equals(expected)
    if kind in ("string", "binary"):
        assert coded(values, kind).cast(expected.type).equals(expected)
        assert len(coded(values, kind).dictionary) == len({value for value in values if value is not None})


@pytest.mark.parametrize("values", [np.arange(5), np.array([0.5, np.nan]), np.array([True, False, True] * 5)])
def test_numbers_are_those_of_numpy(values: Any) -> None:
    assert numbers(values).to_pylist() == pytest.approx(values.tolist(), nan_ok=True)


@given(st.lists(st.lists(INT64)), st.integers(0, 3))
def test_values_come_back_from_chunks_and_slices(chunks: list[list[int]], start: int) -> None:
    column = pa.chunked_array([array(chunk, "int64") for chunk in chunks], pa.int64()).slice(start)
    assert plain(column).tolist() == column.to_pylist()


def test_nulls_of_an_array_made_here_are_zeros() -> None:
    assert plain(array([0.5, None], "float64")).tolist() == [0.5, 0]
