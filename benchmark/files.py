"""Files that are either complete or not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is flushed to disk and takes ``path``'s place.

    Without ``flush`` a power cut, and nothing else, may leave a truncated file in its place.

    On any error, a full disk among them, the temporary file is removed and ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        if flush:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes, *, flush: bool = True) -> None:
    """Write ``content`` to ``path`` so that no reader ever sees a part of it; ``flush`` as in :func:`atomic_path`."""
    with atomic_path(path, flush=flush) as temporary:
        temporary.write_bytes(content)


def read_ahead(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """The contents of files; the disk fetches later ones while the caller is busy with those before them.

    All are open at once: some hundreds at most. Files that are not there, or vanish meanwhile, are left out.
    """
    with ExitStack() as stack:
        found = []
        for path in paths:
            with suppress(FileNotFoundError):
                file = stack.enter_context(path.open("rb", buffering=0))
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
                found.append((path, file))
        for path, file in found:
            yield path, file.readall()
            file.close()
