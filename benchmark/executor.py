"""Run cells on this machine: in this process, or in a pool of worker processes that survives their deaths."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event as ProcessEvent
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.cell import Cell
from benchmark.claims import Claims
from benchmark.errors import DebiasBenchError
from benchmark.planner import Plan
from benchmark.registry import load_plugin_file
from benchmark.store import Store
from benchmark.worker import POISON_LIMIT, Outcome, Worker

if TYPE_CHECKING:
    from pebble import ProcessPool

BUSY_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Options:
    """How to run cells here.

    Attributes:
        results: Results folder.
        data_root: Where the owners' data sets are.
        jobs: Worker processes; 0 runs the cells in this process.
        device: For every worker.
        threads: Of torch, in each worker.
        plugins: Files that register further tasks and methods.
        checkpoint_seconds: Between two checkpoints inside a cell.
    """

    results: Path
    data_root: Path
    jobs: int = 1
    device: str = "cpu"
    threads: int = 1
    plugins: tuple[Path, ...] = ()
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell.

    Attributes:
        cell: The cell.
        kind: Its outcome; ``died`` means that its worker did, and that it will be tried again up to a limit.
        seconds: What the attempt took.
        detail: The cause of a death.
    """

    cell: Cell
    kind: Outcome | Literal["died"]
    seconds: float = 0.0
    detail: str = ""


class WorkersDieError(DebiasBenchError):
    """Worker processes cannot even start."""


def execute(plan: Plan, options: Options) -> Iterator[Event]:
    """Run the cells of a plan, yielding what happens to them.

    SIGINT or SIGTERM makes every worker save a checkpoint after its current epoch and stop, which ends the iteration
    early; a second signal kills.

    Raises:
        OSError: The results folder cannot be written.
        WorkersDieError: Worker processes die before they start on a cell.
    """
    if options.jobs == 0:
        return _in_process(plan, options)
    return _Pool(plan, options).run()


def _in_process(plan: Plan, options: Options) -> Iterator[Event]:
    stop = threading.Event()
    worker = _worker(options, None, stop.is_set)
    with _signals(stop.set):
        for cell in plan.to_run:
            began = time.monotonic()
            while (outcome := worker.attempt(cell)) == "busy" and not stop.wait(BUSY_POLL_SECONDS):
                pass
            yield Event(cell, outcome, time.monotonic() - began)
            if stop.is_set():
                return


class _Pool:
    """Hands cells to worker processes, each as soon as the cells that it starts from are there."""

    def __init__(self, plan: Plan, options: Options) -> None:
        self._options = options
        self._store = Store(options.results)
        self._claims = Claims(options.results / "claims")
        self._waiting = deque(plan.to_run)
        self._missing = {key: set(starts) for key, starts in plan.upstream.items()}
        self._deaths_at_start = 0

    def run(self) -> Iterator[Event]:
        from pebble import ProcessPool

        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        running: dict[Future[tuple[Outcome, float]], Cell] = {}
        pool = ProcessPool(self._options.jobs, 0, _start_worker, (self._options, os.getpid(), stop), context)
        try:
            with _signals(stop.set):
                while (self._waiting or running) and not (stop.is_set() and not running):
                    if not stop.is_set():
                        self._submit(pool, running)
                    ended, _ = wait(running, timeout=BUSY_POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in ended:
                        event = self._settle(future, running.pop(future))
                        if event is not None:
                            yield event
            pool.close()
        finally:
            pool.stop()
            pool.join()

    def _submit(self, pool: ProcessPool, running: dict[Future[tuple[Outcome, float]], Cell]) -> None:
        """Keep one cell in reserve for each worker; more would only make the parent slow."""
        for _ in range(len(self._waiting)):
            if len(running) >= 2 * self._options.jobs:
                return
            cell = self._waiting.popleft()
            if self._missing.get(cell.key):
                self._waiting.append(cell)
            else:
                running[pool.schedule(_attempt, (cell,))] = cell

    def _settle(self, future: Future[tuple[Outcome, float]], cell: Cell) -> Event | None:
        from pebble import ProcessExpired

        error = future.exception()
        if isinstance(error, ProcessExpired):
            return self._bury(error.pid, error.exitcode, cell)
        if error is not None:
            raise error
        outcome, seconds = future.result()
        self._deaths_at_start = 0
        if outcome == "busy":
            self._waiting.append(cell)
            return None
        if outcome != "interrupted":
            for starts in self._missing.values():
                starts.discard(cell.key)
        return Event(cell, outcome, seconds)

    def _bury(self, pid: int | None, code: int, cell: Cell) -> Event:
        """Note which cell a worker died with, and let it be tried again."""
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        held = self._claims.held_by(pid) if pid is not None else []
        if held:
            self._store.note_death(held[0], cause)
        else:
            self._deaths_at_start += 1
            if self._deaths_at_start >= POISON_LIMIT * self._options.jobs:
                raise WorkersDieError(
                    f"worker processes die before they start on a cell ({cause}); run with --jobs 0 to see why"
                )
        self._waiting.append(cell)
        return Event(cell, "died", detail=cause)


_this_worker: Worker | None = None


def _start_worker(options: Options, supervisor: int, stop: ProcessEvent) -> None:
    """Set up a worker process; it ignores Ctrl-C, which its supervisor handles, and stops if that one is gone."""
    global _this_worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for path in options.plugins:
        load_plugin_file(path)
    _this_worker = _worker(options, supervisor, lambda: stop.is_set() or os.getppid() != supervisor)


def _attempt(cell: Cell) -> tuple[Outcome, float]:
    if _this_worker is None:
        raise RuntimeError("called outside a worker process")
    began = time.monotonic()
    return _this_worker.attempt(cell), time.monotonic() - began


def _worker(options: Options, supervisor: int | None, should_stop: Callable[[], bool]) -> Worker:
    return Worker(
        store=Store(options.results),
        data_root=options.data_root,
        device=options.device,
        threads=options.threads,
        supervisor=supervisor,
        checkpoint_seconds=options.checkpoint_seconds,
        should_stop=should_stop,
    )


@contextmanager
def _signals(on_first: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls ``on_first``; the next one acts as usual. Only the main thread may set them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(_number: int, _frame: object) -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)
        on_first()

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
