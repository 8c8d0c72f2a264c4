"""What every method must keep: checked by running it, on a toy task whose hidden parts are exchanged."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.cell import Cell, as_dict, make_cell
from benchmark.config import convert
from benchmark.conformance import Finding, NonConformance, require, run_checks
from benchmark.conformance.toy import Exchanged, ToyParams, ToyTask
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.randomness import global_random_state
from benchmark.record import Record
from benchmark.registry import METHODS, TASKS
from benchmark.store import Store
from benchmark.worker import Worker

SECONDS = 120.0
"""What the cell may take on the toy task under the protocol ``smoke``, its upstream cells included."""
RHO, SEED = 0.9, 0


def check_method(name: str, params: dict[str, Any], folder: Path, plugins: Sequence[Path] = ()) -> Iterator[Finding]:
    """Check a method with the given parameters; yields a finding per promise.

    Args:
        name: Of the method.
        params: Where they differ from its defaults.
        folder: For the results of the runs; should be empty.
        plugins: Files to load, where listing is checked in a process of its own.

    Raises:
        UnknownNameError: There is no such method.
        PluginError: It cannot be loaded.
    """
    METHODS.get(name)
    TASKS.register(ToyTask)
    checks = _Checks(name, params, folder, plugins)
    yield from run_checks(
        {
            "it is declared in full": checks.declared,
            "listing it does not import torch": checks.light,
            "its parameters survive a sweep file and a record": checks.parameters,
            "it runs on the toy task, offers finite models, and takes at most two minutes": checks.runs,
            "the same seed gives the same record": checks.deterministic,
            "interrupted anywhere and resumed, it gives the same record": checks.resumable,
            "it keeps to the protocol: a larger budget trains more epochs": checks.budget,
            "it does not look at bias labels that it has not declared": checks.ignores_bias_labels,
            "it does not look at an unbiased split that it has not declared": checks.ignores_unbiased_split,
            "it does not look at validation and test": checks.ignores_evaluation,
            "it leaves the global random state alone": checks.global_state,
        }
    )


class _Checks:
    """The checks of one method; each runs it in a results folder of its own."""

    def __init__(self, name: str, params: dict[str, Any], folder: Path, plugins: Sequence[Path]) -> None:
        self.name, self.params, self.folder, self.plugins = name, params, folder, plugins
        self.kind = METHODS.get(name)

    def declared(self) -> None:
        require(isinstance(self.kind.version, int) and self.kind.version >= 1, "version must be an integer from 1 up")
        require(bool(self.kind.card.title and self.kind.card.summary), "its card needs a title and a summary")
        frozen = getattr(self.kind.Params, "__dataclass_params__").frozen  # noqa: B009  (mypy knows no such attribute)
        require(frozen, f"{self.kind.Params.__name__} must be a frozen dataclass")
        require(
            bool(self.kind.Params.__doc__), f"{self.kind.Params.__name__} needs a docstring that explains its fields"
        )

    def light(self) -> None:
        code = (
            "import sys; from pathlib import Path; from benchmark.registry import METHODS, load_plugin_file\n"
            "for path in sys.argv[2:]: load_plugin_file(Path(path))\n"
            "METHODS.get(sys.argv[1]); sys.exit('torch' in sys.modules)"
        )
        command = [sys.executable, "-c", code, self.name, *map(str, self.plugins)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        require(result.returncode == 0, "import torch inside run() or in a module of its own, not where it is declared")

    def parameters(self) -> None:
        chosen = convert(self.params, self.kind.Params, f"parameters of {self.name}")
        again = convert(as_dict(chosen), self.kind.Params, f"parameters of {self.name}")
        require(again == chosen, f"{chosen} comes back as {again}; use numbers, strings, lists and dicts")

    def runs(self) -> None:
        began = time.monotonic()
        record = self._record("runs")
        seconds = time.monotonic() - began
        require(seconds < SECONDS, f"took {seconds:.0f} s; scale epochs with run.problem.protocol.epochs(n)")
        require(any(c.selectable for c in record.candidates), "offered no selectable model")

    def deterministic(self) -> None:
        _same(
            self._record("first"),
            self._record("second"),
            "draw from run.stream(purpose), not from generators of its own",
        )

    def resumable(self) -> None:
        reference, total = self._counted("reference")
        for stop_after in sorted({1, total // 2} & set(range(1, total))):
            record, stops = self._interrupted(f"stopped after {stop_after}", stop_after)
            require(stops > 0, "could not be interrupted; loop over run.epochs(phase, total, state)")
            advice = (
                f"interrupted after {stop_after} of {total} epochs; put everything that changes into run.epochs' state"
            )
            _same(reference, record, advice)

    def budget(self) -> None:
        larger = dataclasses.replace(PROTOCOLS["smoke"], name="larger", epoch_share=0.3, max_epochs=12)
        _, few = self._counted("smoke budget")
        _, many = self._counted("larger budget", larger)
        require(
            few < many or many == 0,
            f"trained {few} epochs under a budget of 2 % and {many} under one of 30 %; "
            "scale them with run.problem.protocol.epochs(n)",
        )

    def ignores_bias_labels(self) -> None:
        if not self._needs("bias_labels"):
            self._unmoved_by("train_bias")

    def ignores_unbiased_split(self) -> None:
        if not self._needs("unbiased_split"):
            self._unmoved_by("unbiased")

    def ignores_evaluation(self) -> None:
        self._unmoved_by("evaluation", compare_counts=False)

    def global_state(self) -> None:
        before = _plain(global_random_state())
        self._record("global state")
        require(_plain(global_random_state()) == before, "the global random state has changed")

    def _needs(self, what: str) -> bool:
        from benchmark.cell import supervision_of

        return bool(getattr(supervision_of(self._cell()), what))

    def _unmoved_by(self, exchanged: Exchanged, *, compare_counts: bool = True) -> None:
        """Nothing that it learned may depend on data that it was not given."""
        plain, other = self._record("plain"), self._record(f"other {exchanged}", exchanged=exchanged)
        same = plain.candidates == other.candidates
        if compare_counts:  # the predictions; the bias labels of evaluated splits are the same in both
            same = same and plain.counts == other.counts
        require(same, f"its models change when {exchanged or 'nothing'} changes, which it has not declared")

    def _cell(self, protocol: Protocol = PROTOCOLS["smoke"], exchanged: Exchanged = "") -> Cell:
        return make_cell(ToyTask(ToyParams(exchanged)), RHO, self.name, self.params, SEED, protocol)

    def _record(self, label: str, protocol: Protocol = PROTOCOLS["smoke"], exchanged: Exchanged = "") -> Record:
        cell = self._cell(protocol, exchanged)
        return self._attempt(cell, self._worker(label))

    def _worker(self, label: str, should_stop: Callable[[], bool] = lambda: False) -> Worker:
        return Worker(Store(self.folder / label), self.folder / "no data", should_stop=should_stop)

    def _attempt(self, cell: Cell, worker: Worker) -> Record:
        worker.attempt(cell)
        record = worker.store.read(cell.key)
        if record is None:
            raise NonConformance("left no record")
        if record.failure is not None:
            raise NonConformance(f"failed on the toy task: {record.failure.reason}\n{record.failure.traceback}")
        return record

    def _counted(self, label: str, protocol: Protocol = PROTOCOLS["smoke"]) -> tuple[Record, int]:
        """The record and how many epochs were trained in all phases, upstream cells left out."""
        asked = 0

        def count() -> bool:
            nonlocal asked
            asked += 1
            return False

        worker = self._worker(label)
        cell = self._cell(protocol)
        self._make_upstream(cell, worker)
        record = self._attempt(cell, dataclasses.replace(worker, should_stop=count))
        return record, asked - 1  # the worker asks once before it starts

    def _interrupted(self, label: str, stop_after: int) -> tuple[Record, int]:
        """The record of a run that is stopped after every ``stop_after`` epochs, and how often it was."""
        left, stops = 0, 0

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        worker, cell = self._worker(label), self._cell()
        self._make_upstream(cell, worker)
        while True:
            left = stop_after
            if dataclasses.replace(worker, should_stop=stop).attempt(cell) != "interrupted":
                return self._attempt(cell, worker), stops
            stops += 1

    def _make_upstream(self, cell: Cell, worker: Worker) -> None:
        from benchmark.cell import upstream_cells

        for start in upstream_cells(cell).values():
            self._attempt(start, worker)


def _same(first: Record, second: Record, advice: str) -> None:
    if first.comparable() == second.comparable():
        return
    differing = next(
        (a.label for a, b in zip(first.candidates, second.candidates, strict=False) if a != b), "the predictions"
    )
    raise NonConformance(f"records differ (first in {differing}): {advice}")


def _plain(state: dict[str, Any]) -> list[object]:
    tensors = [state["torch"], *state["cuda"]]
    return [state["python"], state["numpy"], *(tensor.tolist() for tensor in tensors)]
