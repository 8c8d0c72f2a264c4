"""What Linux knows of a process of this machine."""

from __future__ import annotations

import os
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def born(pid: int) -> int:
    """Start time of a living process in clock ticks since boot; -1 if there is none (or no /proc to ask).

    Together with the pid it names a process for good: a recycled pid has another start time.
    """
    fields = _stat(pid)
    return -1 if not fields or fields[0] in ("Z", "X") else int(fields[19])


def parent(pid: int) -> int | None:
    """The process that started this one, as far as both live."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now, shared pages included; 0 if it is gone (or there is no /proc to ask)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/<pid>/stat`` from the state on; none if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
