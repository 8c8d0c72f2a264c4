from __future__ import annotations

import threading

import pytest

from benchmark.prefetch import AHEAD, ahead


def test_results_come_in_order_with_their_items() -> None:
    assert list(ahead(range(10), lambda n: n * n)) == [(n, n * n) for n in range(10)]
    assert list(ahead([], lambda n: n)) == []


def test_the_next_is_made_while_one_is_used() -> None:
    made = [threading.Event() for _ in range(6)]

    def make(number: int) -> int:
        made[number].set()
        return number

    for number, _ in ahead(range(6), make):
        if number + AHEAD < 6:
            assert made[number + AHEAD].wait(10), "it waits for its turn"


def test_no_more_are_made_than_may_wait() -> None:
    asked: list[int] = []
    results = ahead((asked.append(n) or n for n in range(100)), lambda n: n)  # type: ignore[func-returns-value]
    next(results)
    assert len(asked) == AHEAD + 1
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_what_goes_wrong_is_raised_in_its_place() -> None:
    results = ahead([1, 0, 2], lambda n: 1 / n)
    assert next(results) == (1, 1.0)
    with pytest.raises(ZeroDivisionError):
        next(results)
