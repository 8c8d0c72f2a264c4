"""Work done a little ahead of whoever asks for it, in threads of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
AHEAD = 2
"""How many results of each thread wait at most."""


def ahead(items: Iterable[Item], make: Callable[[Item], Made], threads: int = 1) -> Iterator[tuple[Item, Made]]:
    """Every item with what is made of it, in order; the next are made while one is used.

    What ``make`` raises is raised where its result would have come.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        waiting: deque[tuple[Item, Future[Made]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(make, item)))
                if len(waiting) > AHEAD * threads:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            pool.shutdown(cancel_futures=True)
