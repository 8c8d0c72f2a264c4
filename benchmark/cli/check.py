"""``debias-bench check-method`` and ``check-task``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from benchmark.cli.options import data_option, json_option, parse_params, plugin_option, print_json
from benchmark.conformance import Finding

param_option = click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="May be repeated.")


@click.command()
@click.argument("name")
@param_option
@plugin_option
@json_option
def check_method(name: str, params: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """Check that method NAME keeps what every method must: run it a dozen times on a toy task.

    Deterministic, resumable, within its budget, blind to what it has not declared. Exits with 1 if it is not.
    """
    from benchmark.conformance.methods import check_method as check

    with tempfile.TemporaryDirectory(prefix="debias-bench-check-") as folder:
        _report(check(name, parse_params(params), Path(folder), plugins), as_json)


@click.command()
@click.argument("name")
@click.option("--rho", type=float, help="Level of bias; default: the first in use.")
@param_option
@data_option
@plugin_option
@json_option
def check_task(
    name: str, rho: float | None, params: tuple[str, ...], data_root: Path, plugins: tuple[Path, ...], as_json: bool
) -> None:
    """Check that task NAME keeps what every task must: build its splits and its network.

    Deterministic, as biased as asked, no image in two splits. Exits with 1 if it is not.
    """
    from benchmark.conformance.tasks import check_task as check
    from benchmark.notes import print_notes

    print_notes()
    _report(check(name, rho, parse_params(params), data_root, plugins), as_json)


def _report(findings: Iterable[Finding], as_json: bool) -> None:
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            click.echo(
                f"ok    {finding.check}"
                if finding.problem is None
                else f"FAIL  {finding.check}\n      {finding.problem}"
            )
    if as_json:
        print_json(found)
    if any(finding.problem is not None for finding in found):
        sys.exit(1)
