"""Mappings from files and the command line to typed, frozen dataclasses; a key that nobody reads is refused."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmark.errors import ConfigError, UnknownNameError

T = TypeVar("T")


def convert(value: Any, kind: type[T], where: str) -> T:
    """``value`` (parsed YAML or JSON) as an instance of ``kind``.

    Raises:
        ConfigError: A value has the wrong type or is not finite; says which, where, and what was expected.
        UnknownNameError: A key that ``kind`` does not have; says the nearest one.
    """
    _refuse_non_finite(value, where)
    _refuse_unknown_keys(value, kind, where)
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{where}: {str(error).replace(' - at `$', ' - at `')}") from error


def _refuse_non_finite(value: Any, where: str) -> None:
    """JSON has no NaN and no infinity: in a key they would be the same as ``None``."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value}; expected a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_non_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_non_finite(item, f"{where}[{index}]")


def _refuse_unknown_keys(value: Any, kind: Any, where: str) -> None:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        for part in typing.get_args(kind):
            _refuse_unknown_keys(value, part, where)
    elif origin in (list, tuple) and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_unknown_keys(item, typing.get_args(kind)[0], f"{where}[{index}]")
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            _refuse_unknown_keys(item, typing.get_args(kind)[1], f"{where}.{key}")
    elif isinstance(value, dict) and isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fields = _fields(kind)
        for key, item in value.items():
            if key not in fields:
                raise UnknownNameError(f"key in {where}", str(key), fields)
            _refuse_unknown_keys(item, fields[key], f"{where}.{key}")


@cache
def _fields(kind: type[Any]) -> dict[str, Any]:
    """The types of a dataclass's fields; a sweep or a table of results asks for the same ones thousands of times."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def read_yaml(path: Path) -> Any:
    """Parse a YAML 1.2 file (``1e-3`` is a number; a key given twice is an error).

    Raises:
        ConfigError: No such file, or not YAML; says the line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file in UTF-8: {error}") from error
    except YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
