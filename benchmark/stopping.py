"""Ask a run to stop: by Ctrl-C, by SIGTERM, or by the warning that a cluster sends before the time of a job is over."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

REQUESTS = (signal.SIGINT, signal.SIGTERM)
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""Sent to all processes of a job; only the one that watches over the others answers them."""


class Stop:
    """Whether a stop was asked for. A plain flag: a signal handler must not wait for a lock of what it interrupts.

    Attributes:
        asked: Whether it was.
        warned: Whether it was by a warning of the cluster.
    """

    def __init__(self, seconds_left: float | None = None) -> None:
        """``seconds_left`` is what remains for saving after a warning; ``None``: as much as is needed."""
        self.asked = False
        self.warned = False
        self._seconds_left = seconds_left
        self._deadline: float | None = None

    def ask(self) -> None:
        """Ask for it."""
        self.asked = True

    def warn(self) -> None:
        """Ask for it because time is running out."""
        if not self.warned and self._seconds_left is not None:
            self._deadline = time.monotonic() + self._seconds_left
        self.asked = self.warned = True

    @property
    def overdue(self) -> bool:
        """Whether the time for saving is over."""
        return self._deadline is not None and time.monotonic() > self._deadline


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """The first signal asks to stop; a second SIGINT or SIGTERM acts as usual. Only the main thread may set them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    previous = {number: signal.getsignal(number) for number in (*REQUESTS, *WARNINGS)}

    def restore(numbers: tuple[signal.Signals, ...]) -> None:
        for number in numbers:
            signal.signal(number, previous[number])

    def handle(number: int, _frame: object) -> None:
        restore(REQUESTS)
        if number in WARNINGS:
            stop.warn()
        else:
            stop.ask()

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore((*REQUESTS, *WARNINGS))


@contextmanager
def warnings_held_back() -> Iterator[None]:
    """Processes that are started inside are born deaf to warnings; ours are delivered afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WARNINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_warnings() -> None:
    """For a process that is told to stop by the one that watches over it."""
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WARNINGS)
