"""``debias-bench doctor``."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import data_option, json_option, plugin_option, print_json, results_option
from benchmark.environment import environment
from benchmark.registry import METHODS, SOURCES, TASKS


@click.command()
@results_option
@data_option
@plugin_option
@json_option
def doctor(results: Path, data_root: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Say what is installed, which devices there are, which data are found, and what is wrong."""
    del plugins
    found = examine(results, data_root)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for key, item in value.items():
                click.echo(f"  {key}: {item}")
        else:
            click.echo(f"{name}: {', '.join(map(str, value)) or 'none' if isinstance(value, list) else value}")


def examine(results: Path, data_root: Path) -> dict[str, Any]:
    """Everything that ``doctor`` tells."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tasks, methods, sources = TASKS.load_all(), METHODS.load_all(), SOURCES.load_all()
    free = shutil.disk_usage(results if results.exists() else Path.cwd()).free
    return {
        "environment": environment("cpu", 1),
        "devices": _devices(),
        "results": f"{results} ({free / 1e9:.0f} GB free)",
        "data": {
            "root": str(data_root),
            **{name: "complete" if not source().missing(data_root) else "not here" for name, source in sources.items()},
        },
        "slurm": shutil.which("sbatch") or "sbatch is not on the PATH",
        "tasks": list(tasks),
        "methods": list(methods),
        "broken plugins": [str(warning.message) for warning in caught],
    }


def _devices() -> list[str]:
    try:
        import torch
    except ImportError as error:
        return [f"torch cannot be imported: {error}"]
    gpus = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return [f"cpu, {os.cpu_count()} cores", *gpus]
