"""The journal's lock outlives nobody for long."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from benchmark.tuning.storage import LEFT_SECONDS, JournalLock


def test_a_link_that_a_killed_process_left_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.touch()
    link = tmp_path / "journal.log.lock"
    link.symlink_to(path)
    old = time.time() - LEFT_SECONDS - 1
    os.utime(link, (old, old), follow_symlinks=False)
    began = time.monotonic()
    lock = JournalLock(path)
    assert lock.acquire()
    assert time.monotonic() - began < LEFT_SECONDS / 2
    lock.release()
    assert not link.is_symlink()


def test_another_program_that_writes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.touch()
    link = tmp_path / "journal.log.lock"
    link.symlink_to(path)
    threading.Timer(0.4, link.unlink).start()
    began = time.monotonic()
    lock = JournalLock(path)
    assert lock.acquire()
    assert 0.3 < time.monotonic() - began < LEFT_SECONDS
    lock.release()


def test_what_was_never_written_to_its_end_is_dropped_under_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(b'{"a":1}\n{"b":2')
    lock = JournalLock(path)
    lock.acquire()
    assert path.read_bytes() == b'{"a":1}\n'
    lock.release()
