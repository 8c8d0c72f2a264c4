"""Run cells on this machine: in this process, or in worker processes that may die without harm to the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from benchmark.cell import Cell
from benchmark.claims import Claims
from benchmark.errors import DebiasBenchError
from benchmark.planner import Plan
from benchmark.registry import load_plugin_file
from benchmark.stopping import Stop, stopped_by_signals
from benchmark.store import Store
from benchmark.tidy import tidy
from benchmark.worker import POISON_LIMIT, Outcome, Worker

BUSY_POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0
"""What a worker gets to stop after its current epoch when the run is given up."""
PRELOADED = ["torch", "torch._dynamo", "torch.utils.flop_counter"]
"""Imported once, in the process that CPU workers are forked from: a worker then starts in a fraction of a second."""


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


class ResultsUnwritableError(DebiasBenchError):
    """The results folder cannot be written: no cell could leave a record."""

    def __init__(self, results: Path, error: OSError) -> None:
        """``error`` is what the operating system said."""
        super().__init__(
            f"cannot write to {results}: {error.strerror or error}. Finished cells are safe; make room (or mend the "
            "folder's permissions) and run again."
        )


def execute(plan: Plan, options: Options) -> Iterator[Event]:
    """Run the cells of a plan, yielding what happens to them.

    SIGINT or SIGTERM makes every worker save a checkpoint after its current epoch and stop, which ends the iteration
    early; a second signal kills.

    Raises:
        ResultsUnwritableError: The disk is full, say.
        WorkersDieError: Worker processes die before they start on a cell.
    """
    with suppress(OSError):  # a folder that may not be written will be said where it matters
        tidy(Store(options.results))
    if options.jobs == 0:
        return _in_process(plan, options)
    return _Pool(plan, options).run()


def _in_process(plan: Plan, options: Options) -> Iterator[Event]:
    stop = Stop()
    worker = _worker(options, None, lambda: stop.asked)
    waiting, busy = deque(plan.to_run), 0
    with stopped_by_signals(stop):
        while waiting and not stop.asked:
            cell, began = waiting.popleft(), time.monotonic()
            try:
                outcome = worker.attempt(cell)
            except OSError as error:
                raise ResultsUnwritableError(options.results, error) from error
            if outcome != "busy":
                busy = 0
                yield Event(cell, outcome, time.monotonic() - began)
                continue
            waiting.append(cell)
            busy += 1
            if busy >= len(waiting):  # all that is left
                time.sleep(BUSY_POLL_SECONDS)


@dataclass
class _Hand:
    """A worker process and the parent's end of its pipe; no two workers share a pipe or a lock."""

    process: BaseProcess
    pipe: Connection
    cell: Cell | None = None


class _Pool:
    """Hands cells to worker processes, each as soon as the cells that it starts from are there."""

    def __init__(self, plan: Plan, options: Options) -> None:
        self._options = options
        self._store = Store(options.results)
        self._claims = Claims(options.results / "claims")
        self._waiting = deque(plan.to_run)
        self._missing = {key: set(starts) for key, starts in plan.upstream.items()}
        self._not_before: dict[str, float] = {}
        self._hands: list[_Hand] = []
        self._stop = Stop()
        self._deaths_at_start = 0

    def run(self) -> Iterator[Event]:
        try:
            with stopped_by_signals(self._stop):
                told = False
                while self._busy() or (self._waiting and not self._stop.asked):
                    if not self._stop.asked:
                        self._hand_out()
                    elif not told:
                        self._tell_to_stop()
                        told = True
                    for pipe in wait([hand.pipe for hand in self._busy()], BUSY_POLL_SECONDS):
                        yield from self._settle(next(hand for hand in self._hands if hand.pipe is pipe))
        finally:
            self._dismiss()

    def _busy(self) -> list[_Hand]:
        return [hand for hand in self._hands if hand.cell is not None]

    def _hand_out(self) -> None:
        """Give every idle worker a cell; start workers while there are more cells than workers."""
        while len(self._busy()) < self._options.jobs and (cell := self._next()) is not None:
            hand = next((hand for hand in self._hands if hand.cell is None), None) or self._start()
            hand.cell = cell
            with suppress(ConnectionError):  # it has died: its pipe will say so
                hand.pipe.send(cell)

    def _next(self) -> Cell | None:
        """The first waiting cell whose turn has come."""
        now = time.monotonic()
        for _ in range(len(self._waiting)):
            cell = self._waiting.popleft()
            if not self._missing.get(cell.key) and self._not_before.get(cell.key, now) <= now:
                return cell
            self._waiting.append(cell)
        return None

    def _start(self) -> _Hand:
        # a process that has loaded torch may be forked, unless it has spoken to a GPU
        forking, spawning = multiprocessing.get_context("forkserver"), multiprocessing.get_context("spawn")
        context: ForkServerContext | SpawnContext = forking if self._options.device == "cpu" else spawning
        context.set_forkserver_preload(PRELOADED)
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._options, os.getpid()))
        process.start()
        theirs.close()
        hand = _Hand(process, ours)
        self._hands.append(hand)
        return hand

    def _settle(self, hand: _Hand) -> Iterator[Event]:
        """Take a worker's answer, or bury it."""
        cell, hand.cell = hand.cell, None
        if cell is None:
            return
        try:
            answer: tuple[Outcome, float] | OSError = hand.pipe.recv()
        except (EOFError, ConnectionResetError):
            yield self._bury(hand, cell)
            return
        if isinstance(answer, OSError):
            raise ResultsUnwritableError(self._options.results, answer)
        outcome, seconds = answer
        self._deaths_at_start = 0
        if outcome == "busy":
            self._not_before[cell.key] = time.monotonic() + BUSY_POLL_SECONDS
        if outcome == "busy" or (outcome == "interrupted" and not self._stop.asked):
            self._waiting.append(cell)
            return
        if outcome != "interrupted":
            for starts in self._missing.values():
                starts.discard(cell.key)
        yield Event(cell, outcome, seconds)

    def _bury(self, hand: _Hand, cell: Cell) -> Event:
        """Note which cell a worker died with, and let it be tried again."""
        self._hands.remove(hand)
        hand.process.join()
        code = hand.process.exitcode or 0
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        held = self._claims.held_by(hand.process.pid or 0)
        if held:
            with suppress(OSError):  # a full disk; the cell's next worker will say so
                self._store.note_death(held[0], cause)
        elif not self._stop.asked:
            self._deaths_at_start += 1
            if self._deaths_at_start >= POISON_LIMIT * self._options.jobs:
                raise WorkersDieError(
                    f"worker processes die before they start on a cell ({cause}); run with --jobs 0 to see why"
                )
        self._waiting.append(cell)
        return Event(cell, "died", detail=cause)

    def _tell_to_stop(self) -> None:
        for hand in self._busy():
            with suppress(ConnectionError):
                hand.pipe.send(None)

    def _dismiss(self) -> None:
        """End all workers: idle ones at once, busy ones after their epoch, or at once if this is a second signal."""
        for hand in self._hands:
            hand.pipe.close()
        deadline = time.monotonic() + (0 if self._stop.asked and self._busy() else GRACE_SECONDS)
        for hand in self._hands:
            hand.process.join(max(0, deadline - time.monotonic()))
            hand.process.kill()
            hand.process.join()


def _serve(pipe: Connection, options: Options, supervisor: int) -> None:
    """The life of a worker process: run the cells that come through the pipe until it closes.

    Anything that comes while a cell runs, the pipe's end included, asks the worker to stop after the current epoch. So
    does SIGTERM, for whoever ends a group of processes signals its workers too. Ctrl-C is left to the supervisor.
    """
    stop = Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.ask())
    for path in options.plugins:
        load_plugin_file(path)
    worker = _worker(options, supervisor, lambda: stop.asked or pipe.poll())
    with suppress(EOFError, ConnectionError):
        while not stop.asked and (cell := pipe.recv()) is not None:
            began = time.monotonic()
            answer: tuple[Outcome, float] | OSError
            try:
                answer = (worker.attempt(cell), time.monotonic() - began)
            except OSError as error:
                answer = OSError(error.errno, error.strerror or str(error))
            pipe.send(answer)


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
