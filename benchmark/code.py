"""Which code this is: the version that records carry, and that a job compares with the one it was submitted with."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("benchmark", "leaderboard", "methods", "slurm", "tasks")
VERSION_FILE = "CODE_VERSION"
"""Beside the packages of a copy of the code: the version of what was copied."""


def code_root() -> Path:
    """The folder that holds the packages."""
    return Path(__file__).resolve().parent.parent


def code_files(root: Path) -> Iterator[Path]:
    """The files of all packages, in a fixed order, without what Python compiles them to."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def fingerprint(root: Path) -> str:
    """16 hex digits of the SHA-256 of all packages' files and their names."""
    digest = hashlib.sha256()
    for path in code_files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version and, in a git checkout, its commit; if files differ from it, ``changed`` and which way.

    Two different working trees never have the same version. A copy that a job runs has that of what was copied.
    """
    base, root = version("debias-bench"), code_root()
    if (root / VERSION_FILE).exists():
        return (root / VERSION_FILE).read_text().strip()
    if not (root / ".git").exists():
        return base
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", *PACKAGES)
    except (OSError, subprocess.SubprocessError):
        return base
    return f"{base}+g{commit}" + (f".changed.{fingerprint(root)[:8]}" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
