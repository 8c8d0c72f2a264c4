"""Where a record was made: code version, libraries, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "torchvision", "numpy", "transformers", "optuna", "safetensors")


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version and, in a git checkout, its commit; ``+changed`` if the working tree differs from it."""
    base = version("debias-bench")
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return base
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return base
    return f"{base}+g{commit}{'.changed' if changed else ''}"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


@lru_cache(maxsize=1)
def _fixed() -> dict[str, Any]:
    return {
        "code": code_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: _installed(name) for name in LIBRARIES},
    }


def environment(device: str, threads: int, accelerator: str | None = None) -> dict[str, Any]:
    """For the record: versions, machine, device and threads; ``accelerator`` is the model of a GPU that was used."""
    return {
        **_fixed(),
        "host": platform.node(),
        "device": device,
        "hardware": accelerator or _cpu_model(),
        "cores": os.cpu_count(),
        "threads": threads,
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
