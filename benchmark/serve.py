"""The life of a worker process."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmark.errors import PluginError
from benchmark.notes import print_notes
from benchmark.registry import broken_plugins, load_plugin_file
from benchmark.stopping import Stop, ignore_warnings
from benchmark.store import Store
from benchmark.worker import Outcome, Worker


@dataclass(frozen=True)
class Options:
    """How to run cells here.

    Attributes:
        results: Results folder.
        data_root: Where the owners' data sets are.
        jobs: Worker processes; 0 runs the cells in this process.
        device: For every worker, or several with commas between them, for which the workers take turns.
        threads: Of torch, in each worker.
        plugins: Files that register further tasks and methods.
        checkpoint_seconds: Between two checkpoints inside a cell.
        memory_bytes: What this process and its workers may hold together; ``None``: whatever the machine gives.
    """

    results: Path
    data_root: Path
    jobs: int = 1
    device: str = "cpu"
    threads: int = 1
    plugins: tuple[Path, ...] = ()
    checkpoint_seconds: float = 60.0
    memory_bytes: int | None = None

    @property
    def devices(self) -> list[str]:
        """One or more."""
        return self.device.split(",")


def serve(pipe: Connection, options: Options, device: str, supervisor: int) -> None:
    """The life of a worker process: run the cells that come through the pipe until it closes.

    Anything that comes while a cell runs, the pipe's end included, asks the worker to stop after the current epoch. So
    does SIGTERM, for whoever ends a group of processes signals its workers too. Ctrl-C and a cluster's warnings are
    left to the supervisor. A plugin that cannot be loaded here fails the cells that need it, not the others.
    """
    stop = Stop()
    ignore_warnings()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.ask())
    load_plugins(options.plugins)
    if device != "cpu":
        _check_device(device)
    worker = make_worker(options, device, supervisor, lambda: stop.asked or pipe.poll())
    with suppress(EOFError, ConnectionError):
        while not stop.asked and (cell := pipe.recv()) is not None:
            began = time.monotonic()
            answer: tuple[Outcome, float] | OSError
            try:
                answer = (worker.attempt(cell), time.monotonic() - began)
            except OSError as error:
                answer = OSError(error.errno, error.strerror or str(error))
            pipe.send(answer)


def load_plugins(paths: Iterable[Path]) -> None:
    """Load plugin files; what cannot be loaded here is said where it is asked for."""
    for path in paths:
        try:
            load_plugin_file(path)
        except PluginError as error:
            broken_plugins.append(str(error))


def _check_device(device: str) -> None:
    """Die before the first cell where the device does not work: all cells would fail on it, one after the other."""
    import torch

    torch.zeros(1, device=device)


def make_worker(options: Options, device: str, supervisor: int | None, should_stop: Callable[[], bool]) -> Worker:
    """A worker with these options, whose tasks' notes are printed."""
    print_notes()
    return Worker(
        store=Store(options.results),
        data_root=options.data_root,
        device=device,
        threads=options.threads,
        supervisor=supervisor,
        checkpoint_seconds=options.checkpoint_seconds,
        should_stop=should_stop,
    )
