"""Cells say all their parameters, so that the key changes with a default and not with how a sweep is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.cell import as_dict, make_cell
from benchmark.config import convert
from benchmark.protocol import PROTOCOLS
from benchmark.registry import METHODS, TASKS


@dataclass(frozen=True)
class Inner:
    depth: int = 2


@dataclass(frozen=True)
class Params:
    gamma: float = 10.0
    inner: Inner = field(default_factory=Inner)
    vanilla: dict[str, int] = field(default_factory=dict)


def test_parameters_that_are_left_out_are_recorded_with_their_defaults() -> None:
    assert as_dict(convert({}, Params, "parameters")) == {"gamma": 10.0, "inner": {"depth": 2}, "vanilla": {}}
    assert as_dict(convert({"inner": {}}, Params, "parameters")) == as_dict(Params())


def test_a_default_that_is_written_out_makes_no_other_cell(tmp_path: Path) -> None:
    kind = TASKS.get("colored_mnist")
    protocol = PROTOCOLS["smoke"]
    task = kind(kind.resolve(kind.Params(), tmp_path, protocol))
    implicit = make_cell(task, 0.95, "vanilla", {}, 0, protocol)
    explicit = make_cell(task, 0.95, "vanilla", as_dict(METHODS.get("vanilla").Params()), 0, protocol)
    assert implicit == explicit
    assert implicit.key == explicit.key
    assert implicit.params
