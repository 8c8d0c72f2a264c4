"""What processes hold, and which worker has to go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.memory import largest_of_too_large
from benchmark.processes import born, parent, resident_bytes

GONE = 2**22 + 1  # above the largest pid that Linux gives


@contextmanager
def holding(megabytes: int) -> Iterator[int]:
    """A process that holds so much; its pid."""
    code = f"block = b'x' * ({megabytes} << 20); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_a_process_holds_what_it_has_touched() -> None:
    with holding(100) as pid:
        assert 100 << 20 < resident_bytes(pid) < 130 << 20
        assert parent(pid) == os.getpid()
        assert born(pid) > 0


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert (resident_bytes(GONE), parent(GONE), born(GONE)) == (0, None, -1)


def test_the_largest_is_named_only_if_all_together_hold_too_much() -> None:
    with holding(50) as small, holding(120) as large:
        total = sum(map(resident_bytes, (small, large, os.getpid())))
        assert largest_of_too_large([small, large], int(total / 0.9) + (5 << 20)) is None
        found = largest_of_too_large([small, large], int(total / 0.9) - (5 << 20))
        assert found is not None
        assert found[0] == large
        assert found[1].startswith("out of memory: it held 0.1")


def test_without_workers_nobody_has_to_go() -> None:
    assert largest_of_too_large([], 1) is None
