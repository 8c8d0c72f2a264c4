"""What Linux knows of a process of this machine."""

from __future__ import annotations

import os
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def born(pid: int) -> int:
    """Start time of a living process in clock ticks since boot; -1 if there is none (or no /proc to ask).

    Together with the pid it names a process for good: a recycled pid has another start time.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    fields = stat.rpartition(")")[2].split()
    return -1 if fields[0] in ("Z", "X") else int(fields[19])


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now, shared pages included; 0 if it is gone (or there is no /proc to ask)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0
