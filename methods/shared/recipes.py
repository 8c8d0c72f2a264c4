"""Training recipes of networks that a method starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from benchmark.run import Run
from benchmark.task import Recipe


def vanilla_recipe(run: Run, departures: Mapping[str, Any]) -> Recipe:
    """How the vanilla network was trained: the reference recipe with the departures from it that name its fields."""
    names = {field.name for field in fields(Recipe)}
    chosen = {name: value for name, value in departures.items() if name in names}
    return replace(run.problem.reference, **chosen).under(run.problem.protocol)
