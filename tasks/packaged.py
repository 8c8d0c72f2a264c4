"""Files that installed packages carry: pretrained weights without a download."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from benchmark.errors import DataCorruptError, DataMissingError


def packaged_file(package: str, file: str, *, sha256: str, version: str, missing: str) -> Path:
    """A file of an installed package, which is not imported for that.

    Args:
        package: Name as one would import it.
        file: Path inside the package.
        sha256: Of the file's content.
        version: Of the package that carries it, for the message.
        missing: What to do where the package is not installed.

    Raises:
        DataMissingError: The package is not installed.
        DataCorruptError: It has no such file, or another one under its name.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataMissingError(missing)
    path = Path(spec.origin).parent / file
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
    if found != sha256:
        raise DataCorruptError(
            f"{path} has sha256 {found}, expected {sha256}; install version {version} of the package"
        )
    return path
