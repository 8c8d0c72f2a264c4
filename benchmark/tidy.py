"""Remove what killed workers have left behind in a results folder; nobody reads it any more."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress

from benchmark.claims import Claims
from benchmark.store import Store

OLD_SECONDS = 3600.0
"""No file takes longer to write: a temporary one of this age belongs to nobody."""


def tidy(store: Store) -> None:
    """Remove claims and work folders of finished cells, and files that were never written to their end."""
    finished = store.finished()
    Claims(store.root / "claims").drop_dead(finished)
    for folder in (store.root / "work").glob("*"):
        if folder.name in finished:
            shutil.rmtree(folder, ignore_errors=True)
    for pattern in ("*/??/.*.tmp", "claims/.*"):
        for path in store.root.glob(pattern):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > OLD_SECONDS:
                    path.unlink()
