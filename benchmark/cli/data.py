"""``debias-bench data fetch|verify|status``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmark.cli.options import data_option, json_option, plugin_option, print_json
from benchmark.registry import SOURCES
from benchmark.source import Source


@click.group()
def data() -> None:
    """Fetch, verify and find data sets. NAME is one of `debias-bench list sources`."""


def _say(what: str, done: int, total: int) -> None:
    click.echo(f"{what}: {done}/{total}", err=True)


@data.command()
@click.argument("name")
@data_option
@plugin_option
@json_option
def fetch(name: str, data_root: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Download data set NAME into the data folder; running it again goes on where it stopped."""
    del plugins
    source = SOURCES.get(name)()
    missing = source.missing(data_root)
    if missing:
        source.fetch(data_root, _say)
    if as_json:
        print_json({"name": name, "root": str(data_root), "fetched": missing})
    elif missing:
        click.echo(f"{source.title} is complete under {data_root}")
    else:
        click.echo(f"{source.title} is already under {data_root}; `debias-bench data verify {name}` checks it")


@data.command()
@click.argument("name")
@data_option
@plugin_option
@json_option
def verify(name: str, data_root: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Compare data set NAME with its published checksums; exits with 1 if anything is missing or damaged."""
    del plugins
    source = SOURCES.get(name)()
    problems = source.verify(data_root)
    if as_json:
        print_json({"name": name, "root": str(data_root), "problems": problems})
    else:
        click.echo("\n".join(problems) or f"{source.title} under {data_root} is complete and as published")
    if problems:
        sys.exit(1)


@data.command()
@data_option
@plugin_option
@json_option
def status(data_root: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Say which data sets are in the data folder; `verify` looks into their files."""
    del plugins
    sources = SOURCES.load_all()
    missing = {name: source().missing(data_root) for name, source in sources.items()}
    if as_json:
        rows = [
            {"name": name, "title": source.title, "missing": missing[name], "licence": source.licence}
            for name, source in sources.items()
        ]
        print_json({"root": str(data_root), "sources": rows})
        return
    from tabulate import tabulate

    table = [[name, _state(source(), missing[name]), source.licence] for name, source in sources.items()]
    click.echo(f"under {data_root}:")
    click.echo(tabulate(table, headers=["source", "state", "licence"]))


def _state(source: Source, missing: tuple[str, ...]) -> str:
    if not missing:
        return "complete"
    if len(missing) == len(source.files):
        return "not here"
    return f"lacks {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
