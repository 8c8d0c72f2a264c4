"""Search spaces: between which values, or among which, a parameter of a method is looked for."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config import convert
from benchmark.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from benchmark.method import Method


@dataclass(frozen=True)
class Axis:
    """Where one parameter is looked for: a range, or some values.

    Attributes:
        low: Least value; with ``high``.
        high: Greatest value.
        log: Whether every order of magnitude is as likely as any other.
        choices: The values, in place of a range.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def problem(self) -> str | None:
        """What does not go together, or ``None``."""
        if self.choices:
            return "choices stand alone, without low, high and log" if self != Axis(choices=self.choices) else None
        if self.low is None or self.high is None:
            return "expected low and high, or choices"
        if not self.low < self.high:
            return f"low is {self.low:g}, which is not below high, {self.high:g}"
        return f"log needs low above 0, got {self.low:g}" if self.log and self.low <= 0 else None

    def middle(self, *, integer: bool) -> Any:
        """A value to estimate costs with."""
        if self.low is None or self.high is None:
            return self.choices[0]
        value = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return round(value) if integer else value

    def __str__(self) -> str:
        """For people: ``0.01 to 100, log``."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}" + (", log" if self.log else "")


Space = Mapping[str, Axis]
"""Axes by the name of their parameter."""


def check_space(method: type[Method], space: Space, where: str) -> None:
    """Refuse a space that the method's parameters do not have.

    Raises:
        ConfigError: Unknown parameters, values that they may not take, ends that do not make a range.
    """
    if not space:
        raise ConfigError(f"{where} is empty; name at least one parameter to tune, or `default`")
    known = typing.get_type_hints(method.Params)
    for name, axis in space.items():
        if name not in known:
            raise UnknownNameError(f"parameter in {where}", name, known)
        problem = axis.problem()
        if problem is not None:
            raise ConfigError(f"{where}.{name}: {problem}")
        ends: tuple[Any, ...] = axis.choices
        if not ends:
            integer = is_integer(method, name)
            if integer and (axis.low != round(axis.low or 0) or axis.high != round(axis.high or 0)):
                raise ConfigError(f"{where}.{name} takes whole numbers, got {axis}")
            ends = tuple(int(end) if integer else end for end in (axis.low or 0, axis.high or 0))
        for value in ends:
            convert({name: value}, method.Params, where)


def is_integer(method: type[Method], name: str) -> bool:
    """Whether a parameter takes whole numbers only.

    Raises:
        ConfigError: It takes no numbers at all.
    """
    hint = typing.get_type_hints(method.Params)[name]
    kinds = typing.get_args(hint) or (hint,)
    if float in kinds:
        return False
    if int in kinds:
        return True
    raise ConfigError(f"{name} of {method.name} is no number, so it has no range; give choices")


def middle_of(method: type[Method], space: Space) -> dict[str, Any]:
    """A value for each axis."""
    return {name: axis.middle(integer=not axis.choices and is_integer(method, name)) for name, axis in space.items()}


def corner_of(method: type[Method], space: Space) -> dict[str, Any]:
    """The last value of each axis."""
    ends: dict[str, Any] = {name: axis.choices[-1] if axis.choices else axis.high for name, axis in space.items()}
    return {
        name: end if space[name].choices or not is_integer(method, name) else int(end) for name, end in ends.items()
    }
