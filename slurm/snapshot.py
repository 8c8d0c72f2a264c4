"""The code that jobs run is a copy of the code that was submitted: what is edited meanwhile changes nothing.

A pending job would otherwise import whatever lies in the working tree when it starts. Copies are kept under the
fingerprint of their content, so equal code is copied once.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from benchmark.code import VERSION_FILE, code_files, code_root, code_version, fingerprint


@dataclass(frozen=True)
class Snapshot:
    """A copy of the code.

    Attributes:
        root: First on the path of every job.
        version: Of the code that was copied.
        plugins: Copies of plugin files.
    """

    root: Path
    version: str
    plugins: tuple[Path, ...]


def take_snapshot(results: Path, plugins: Iterable[Path]) -> Snapshot:
    """Copy the packages and the plugin files under ``results/code``, unless the same are there."""
    origin, version = code_root(), code_version()
    digest = hashlib.sha256(f"{fingerprint(origin)} {version}".encode()).hexdigest()[:16]
    root = results.resolve() / "code" / digest
    if not root.exists():
        _copy(origin, root, version)
    return Snapshot(root, version, tuple(_copy_plugin(path, root.parent / "plugins") for path in plugins))


def _copy(origin: Path, root: Path, version: str) -> None:
    """Copy in one step: a folder of that name is complete."""
    draft = root.with_name(f".{root.name}.{uuid.uuid4().hex[:8]}")
    for path in code_files(origin):
        target = draft / path.relative_to(origin)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (draft / VERSION_FILE).write_text(version + "\n")
    _copy_metadata(draft)
    try:
        draft.rename(root)
    except OSError:  # another submission was faster
        shutil.rmtree(draft)


def _copy_metadata(draft: Path) -> None:
    """The names of our plugins and their modules: those of the copied code, not those of a later installation."""
    installed = distribution("debias-bench")
    target = draft / f"debias_bench-{installed.version}.dist-info"
    target.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        text = installed.read_text(name)
        if text is not None:
            (target / name).write_text(text)


def _copy_plugin(path: Path, folder: Path) -> Path:
    """Copy a plugin file, under its own name, into a folder named by its content."""
    content = path.read_bytes()
    target = folder / hashlib.sha256(content).hexdigest()[:16] / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.write_bytes(content)
    return target
