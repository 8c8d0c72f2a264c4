"""Ask a run to stop by Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Whether a stop was asked for. A plain flag: a signal handler must not wait for a lock of what it interrupts."""

    asked = False

    def ask(self) -> None:
        """Ask for it."""
        self.asked = True


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks to stop; the next one acts as usual. Only the main thread may set them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(_number: int, _frame: object) -> None:
        restore()
        stop.ask()

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
