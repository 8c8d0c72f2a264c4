"""Options that several commands share, and machine-readable output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from benchmark.errors import ConfigError
from benchmark.registry import load_plugin_file
from benchmark.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def _load_plugins(_context: click.Context, _parameter: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in paths:
        load_plugin_file(path)
    return paths


results_option = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    envvar="DEBIAS_BENCH_RESULTS",
    show_envvar=True,
    help="Results folder.",
)
data_option = click.option(
    "--data",
    "data_root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    envvar="DEBIAS_BENCH_DATA",
    show_envvar=True,
    help="Folder that holds the data sets, in their owners' layouts.",
)
plugin_option = click.option(
    "--plugin",
    "plugins",
    type=click.Path(path_type=Path),
    multiple=True,
    callback=_load_plugins,
    is_eager=True,
    help="Python file that registers further tasks or methods; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def existing(results: Path) -> Store:
    """The results folder, for commands that only read it.

    Raises:
        ConfigError: It is not there.
    """
    if not results.is_dir():
        raise ConfigError(
            f"there is no results folder {results}; `debias-bench run SWEEP` makes one, --results names another"
        )
    return Store(results)


def print_json(value: Any) -> None:
    """Print a value as JSON with sorted keys, one line per top-level entry."""
    click.echo(json_text(value))


def json_text(value: Any) -> str:
    """What :func:`print_json` prints."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode()


def parse_params(pairs: tuple[str, ...]) -> dict[str, Any]:
    """``("sigma=0.01", "source=embedded")`` to a mapping; values are YAML scalars.

    Raises:
        ConfigError: A pair without ``=``.
    """
    from ruamel.yaml import YAML

    params = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--param takes name=value, got {pair!r}")
        params[name] = YAML(typ="safe", pure=True).load(value)
    return params
