"""Run cells on this machine: in this process, or in worker processes that may die without harm to the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from benchmark.claims import Claims
from benchmark.errors import DebiasBenchError
from benchmark.memory import largest_of_too_large
from benchmark.planner import Plan
from benchmark.serve import Options, make_worker, serve
from benchmark.stopping import Stop, stopped_by_signals, warnings_held_back
from benchmark.store import Store
from benchmark.tidy import tidy
from benchmark.tuning.study import Unit
from benchmark.worker import POISON_LIMIT, Outcome

BUSY_POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0
"""What a worker gets to stop after its current epoch when the run is given up."""
MEMORY_POLL_SECONDS = 0.2
PRELOADED = ["torch", "torch._dynamo", "torch.utils.flop_counter"]
"""Imported once, in the process that CPU workers are forked from: a worker then starts in a fraction of a second."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell, or to a trial of a tuning.

    Attributes:
        cell: Which.
        kind: Its outcome; ``died`` means that its worker did, and that it will be tried again up to a limit.
        seconds: What the attempt took.
        detail: The cause of a death.
    """

    cell: Unit
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


def execute(plan: Plan, options: Options, stop: Stop | None = None) -> Iterator[Event]:
    """Run the cells of a plan, yielding what happens to them.

    SIGINT, SIGTERM or a cluster's warning makes every worker save a checkpoint after its current epoch and stop, which
    ends the iteration early; a second SIGINT or SIGTERM kills. ``stop`` tells the caller which it was.

    Raises:
        ResultsUnwritableError: The disk is full, say.
        WorkersDieError: Worker processes die before they start on a cell.
    """
    with suppress(OSError):  # a folder that may not be written will be said where it matters
        tidy(Store(options.results))
    if options.jobs == 0:
        return _in_process(plan, options, stop or Stop())
    return _Pool(plan, options, stop or Stop()).run()


def _in_process(plan: Plan, options: Options, stop: Stop) -> Iterator[Event]:
    worker = make_worker(options, options.devices[0], None, lambda: stop.asked)
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
    device: str
    cell: Unit | None = None


class _Pool:
    """Hands cells to worker processes, each as soon as the cells that it starts from are there."""

    def __init__(self, plan: Plan, options: Options, stop: Stop) -> None:
        self._options = options
        self._store = Store(options.results)
        self._claims = Claims(options.results / "claims")
        self._waiting = deque(plan.to_run)
        self._missing = {key: set(starts) for key, starts in plan.upstream.items()}
        self._not_before: dict[str, float] = {}
        self._hands: list[_Hand] = []
        self._stop = stop
        self._deaths_at_start = 0
        self._ended: dict[int, str] = {}
        self._too_large: Counter[str] = Counter()

    def run(self) -> Iterator[Event]:
        try:
            with stopped_by_signals(self._stop):
                told = False
                while (self._busy() and not self._stop.overdue) or (self._waiting and not self._stop.asked):
                    if not self._stop.asked:
                        self._hand_out()
                    elif not told:
                        self._tell_to_stop()
                        told = True
                    for pipe in wait([hand.pipe for hand in self._busy()], self._poll_seconds()):
                        yield from self._settle(next(hand for hand in self._hands if hand.pipe is pipe))
                    self._watch_memory()
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

    def _next(self) -> Unit | None:
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
        device = min(self._options.devices, key=[hand.device for hand in self._hands].count)
        context: ForkServerContext | SpawnContext = forking if device == "cpu" else spawning
        context.set_forkserver_preload(PRELOADED)
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self._options, device, os.getpid()))
        with warnings_held_back():
            process.start()
        theirs.close()
        hand = _Hand(process, ours, device)
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

    def _bury(self, hand: _Hand, cell: Unit) -> Event:
        """Note which cell a worker died with, and let it be tried again."""
        self._hands.remove(hand)
        hand.process.join()
        code = hand.process.exitcode or 0
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        ended = self._ended.pop(hand.process.pid or 0, None)
        held = self._claims.bury(hand.process.pid or 0)
        if held is not None or ended is not None:
            self._note_death(held[0] if held is not None else cell.key, ended or cause)
        elif not self._stop.asked:
            self._deaths_at_start += 1
            if self._deaths_at_start >= POISON_LIMIT * self._options.jobs:
                raise WorkersDieError(
                    f"worker processes die before they start on a cell ({cause}); run with --jobs 0 to see why"
                )
        self._waiting.append(cell)
        return Event(cell, "died", detail=ended or cause)

    def _note_death(self, key: str, cause: str) -> None:
        with suppress(OSError):  # a full disk; the cell's next worker will say so
            self._store.note_death(key, cause)

    def _poll_seconds(self) -> float:
        return BUSY_POLL_SECONDS if self._options.memory_bytes is None else MEMORY_POLL_SECONDS

    def _watch_memory(self) -> None:
        """End the largest worker if all together hold too much, but let one write down that its cell has failed."""
        if self._options.memory_bytes is None:
            return
        workers = {
            hand.process.pid: (hand.process, hand.cell.key)
            for hand in self._hands
            if hand.cell is not None and hand.process.pid and self._too_large[hand.cell.key] < POISON_LIMIT
        }
        found = largest_of_too_large(workers.keys() - self._ended.keys(), self._options.memory_bytes)
        if found is not None:
            pid, cause = found
            self._ended[pid] = cause
            process, key = workers[pid]
            self._too_large[key] += 1
            process.kill()

    def _tell_to_stop(self) -> None:
        for hand in self._busy():
            with suppress(ConnectionError):
                hand.pipe.send(None)

    def _dismiss(self) -> None:
        """End all workers: idle ones at once, busy ones after their epoch, or at once if there is no time for that."""
        for hand in self._hands:
            hand.pipe.close()
        deadline = time.monotonic() + (0 if self._stop.asked and self._busy() else GRACE_SECONDS)
        for hand in self._hands:
            hand.process.join(max(0, deadline - time.monotonic()))
            hand.process.kill()
            hand.process.join()
            if hand.cell is not None and self._stop.overdue:
                self._blame(hand)

    def _blame(self, hand: _Hand) -> None:
        """A cell that had not saved anything when time was over would never end if it were only tried again."""
        held = self._claims.bury(hand.process.pid or 0)
        if held is not None and not self._store.progressed_since(held[0], held[1].since):
            began = time.time() - held[1].since
            self._note_death(held[0], f"out of time: no epoch ended in the {began:.0f} s that it had in its job")
