"""How much worker processes hold together, and which of them has to go if it is too much."""

from __future__ import annotations

import os
from collections.abc import Collection

from benchmark.processes import parent, resident_bytes

SHARE = 0.9
"""Of what may be held; above it a worker is ended, before a cluster ends the whole job."""


def largest_of_too_large(workers: Collection[int], limit: int) -> tuple[int, str] | None:
    """The worker that holds most, and why it has to be ended; ``None`` if all is well.

    This process and those that the workers were forked from count too. So do pages that several of them share, once
    for each: that is how SLURM counts where it polls, and on the safe side where it uses control groups.

    Args:
        workers: Pids.
        limit: Bytes that may be held by all together.
    """
    held = {pid: resident_bytes(pid) for pid in workers}
    others = {os.getpid(), *filter(None, map(parent, workers))}
    total = sum(held.values()) + sum(map(resident_bytes, others))
    if not held or total <= SHARE * limit:
        return None
    pid = max(held, key=lambda pid: held[pid])
    largest, everything, allowed = (size / 2**30 for size in (held[pid], total, limit))
    return pid, f"out of memory: it held {largest:.2f} of {everything:.2f} GB, and {allowed:.2f} GB are for all"
