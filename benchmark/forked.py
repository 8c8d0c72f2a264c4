"""A function over many items, by as many processes as there are cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def forked_map(work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
    """``work(item)`` of every item, in their order.

    The processes are forked, so that what is in memory here, plugins too, is known there. The first item is done here:
    what is imported or remembered meanwhile, none of them does again. Items and results are pickled, ``work`` is not.
    """
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, len(items))
    if workers < 2:
        yield from map(work, items)
        return
    yield work(items[0])
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(work,)) as pool:
        yield from pool.map(_do, items[1:])


_work: Callable[[Any], Any]
"""Of a forked process."""


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work


def _do(item: Any) -> Any:
    return _work(item)
