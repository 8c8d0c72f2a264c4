"""Signals ask to stop; the warning of a cluster also sets a time by which all must be saved."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator

import pytest

from benchmark.stopping import REQUESTS, WARNINGS, Stop, ignore_warnings, stopped_by_signals, warnings_held_back


@pytest.fixture(autouse=True)
def before() -> Iterator[list[int]]:
    """What handlers of our own see."""
    seen: list[int] = []
    old = {number: signal.signal(number, lambda n, _: seen.append(n)) for number in (*REQUESTS, *WARNINGS)}
    yield seen
    for number, handler in old.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", REQUESTS)
def test_a_request_asks_and_a_second_one_acts_as_usual(number: int, before: list[int]) -> None:
    stop = Stop(seconds_left=0)
    with stopped_by_signals(stop):
        signal.raise_signal(number)
        assert (stop.asked, stop.warned, stop.overdue) == (True, False, False)
        assert before == []
        signal.raise_signal(number)
        assert before == [number]


@pytest.mark.parametrize("number", WARNINGS)
def test_a_warning_asks_as_often_as_it_comes(number: int, before: list[int]) -> None:
    stop = Stop()
    with stopped_by_signals(stop):
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert (stop.asked, stop.warned, stop.overdue) == (True, True, False)
    assert before == []


def test_a_warning_after_a_request_is_heard() -> None:
    """Some clusters send SIGTERM to the processes of a job that is preempted, and then the warning."""
    stop = Stop()
    with stopped_by_signals(stop):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR2)
    assert stop.warned


def test_after_a_warning_there_is_so_much_time_and_no_second_warning_adds_to_it() -> None:
    stop = Stop(seconds_left=0.3)
    stop.warn()
    assert not stop.overdue
    time.sleep(0.2)
    stop.warn()
    assert not stop.overdue
    time.sleep(0.15)
    assert stop.overdue


def test_handlers_are_restored(before: list[int]) -> None:
    with stopped_by_signals(Stop()):
        pass
    for number in (*REQUESTS, *WARNINGS):
        signal.raise_signal(number)
    assert before == [*REQUESTS, *WARNINGS]


def test_processes_that_start_meanwhile_survive_warnings_which_are_delivered_later(before: list[int]) -> None:
    context = multiprocessing.get_context("fork")
    with warnings_held_back():
        process = context.Process(target=_deaf)
        process.start()
        for number in WARNINGS:
            os.kill(process.pid or 0, number)
            signal.raise_signal(number)  # to this thread; another one, of the test runner's, might not hold it back
        assert before == []
    assert sorted(before) == sorted(WARNINGS)
    process.join()
    assert process.exitcode == 0


def _deaf() -> None:
    for number in WARNINGS:
        signal.signal(number, signal.SIG_DFL)
    time.sleep(0.2)
    ignore_warnings()
    for number in WARNINGS:
        os.kill(os.getpid(), number)
