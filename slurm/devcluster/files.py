"""Making and removing the directory of a cluster: settings, configuration, key, device files."""

import contextlib
import fcntl
import os
import random
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from slurm.devcluster.config import Layout, Settings, load, render, save
from slurm.devcluster.requirements import DevClusterError

_NULL_DEVICE = os.makedev(1, 3)
_SPARE_DEVICES = ("null", "zero", "full", "random", "urandom")


def create(settings: Settings, layout: Layout) -> None:
    """Fill the directory with what the daemons need; munged's socket in it must be in every user's reach."""
    layout.dir.mkdir(parents=True, exist_ok=True)
    layout.dir.chmod(0o755)
    save(settings, layout)
    for name, mode in (
        ("log", 0o755),
        ("spool", 0o755),
        ("state", 0o700),
        ("munge", 0o755),
        ("database", 0o700),
        ("tmp", 0o700),
    ):
        (layout.dir / name).mkdir()
        (layout.dir / name).chmod(mode)
    _write(layout.dir / "munge" / "key", secrets.token_bytes(128), 0o600)
    gpus = {node: _make_gpu(layout.gpu(node), number) for number, node in enumerate(settings.node_names)}
    for name, text in render(settings, layout, gpus, _free_ports(settings.nodes + 2)).items():
        # slurmdbd refuses a configuration that others can read; everybody's commands need the others.
        _write(layout.dir / name, text.encode(), 0o600 if name == "slurmdbd.conf" else 0o644)


def remove(layout: Layout) -> bool:
    """Remove the directory; say whether there was a cluster in it."""
    existed = load(layout) is not None
    if layout.dir.exists():
        shutil.rmtree(layout.dir)
    return existed


def refuse_foreign(layout: Layout) -> None:
    """Protect a directory that is not a cluster's.

    Raises:
        DevClusterError: there is something, and it is neither a cluster's directory nor an empty one.
    """
    if load(layout) is None and layout.dir.exists() and (not layout.dir.is_dir() or any(layout.dir.iterdir())):
        raise DevClusterError(
            f"{layout.dir} is not a devcluster's (there is no {layout.state.name} in it) and is left alone; "
            "name another --dir"
        )


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Let one start or stop at a time work on a directory; the lock is its parent's, which stays."""
    layout.dir.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(layout.dir.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_gpu(path: Path, number: int) -> Path:
    """Make a twin of /dev/null to stand for a GPU; where that is forbidden, borrow a harmless device."""
    path.parent.mkdir(parents=True)
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, _NULL_DEVICE)
    except PermissionError:
        if number >= len(_SPARE_DEVICES):
            raise DevClusterError(
                f"node {number + 1} has no device file for its GPU: making one is forbidden here (mknod), "
                f"and only {len(_SPARE_DEVICES)} can be borrowed; start at most {len(_SPARE_DEVICES)} nodes"
            ) from None
        return Path("/dev") / _SPARE_DEVICES[number]
    return path


def _free_ports(count: int) -> list[int]:
    """Pick ports that nobody listens on, below those that the kernel gives to outgoing connections."""
    free: list[int] = []
    for port in random.SystemRandom().sample(range(20000, 32000), 200 + count):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            free.append(port)
        if len(free) == count:
            return free
    raise DevClusterError(f"no {count} free ports between 20000 and 32000; end what listens there (see ss -lt)")


def _write(path: Path, content: bytes, mode: int) -> None:
    path.touch(mode)
    path.chmod(mode)
    path.write_bytes(content)
