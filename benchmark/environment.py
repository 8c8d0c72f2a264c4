"""Where a record was made: code version, libraries, hardware."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.code import code_version

JOB_VARIABLE = "DEBIAS_BENCH_JOB"
"""Set in jobs of a cluster: the submission and the job."""
LIBRARIES = ("torch", "torchvision", "numpy", "transformers", "optuna", "safetensors")


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
        "job": os.environ.get(JOB_VARIABLE),
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
