"""Python's search for garbage in cycles, put off where objects are made by the hundred thousand and stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_stays() -> Iterator[None]:
    """No such search meanwhile; for functions too, as a decorator.

    All that is found again and again is what is still in use. Of 100,000 records that takes a sixth of the time, and
    in a forked process it copies the memory that is looked over.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()
