"""Checkpoints inside a cell: a long run that was interrupted goes on from its last saved epoch, with equal results."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmark.files import write_atomic
from benchmark.randomness import global_random_state, set_global_random_state


class Stateful(Protocol):
    """Anything with ``state_dict`` and ``load_state_dict``: modules, optimisers, schedules of one's own."""

    def state_dict(self) -> Any:
        """Its state: tensors, numbers, strings, and dicts and lists of them."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take such a state over."""


LAYOUT = 3
"""Of checkpoint files; one of another layout is not read, which only costs time."""
State = Mapping[str, "Stateful | torch.Generator"]


class Interrupted(Exception):  # noqa: N818
    """The cell was asked to stop; its checkpoint is saved and it can go on later."""


def pickled(value: Any) -> bytes:
    """``torch.save`` to bytes: on a full disk, torch itself makes another error of the ``OSError``."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


class Checkpoint:
    """The saved progress of one cell: for each training phase the epochs done and the state after them.

    Attributes:
        path: Where it is kept.
        every: Seconds between two saves.
        should_stop: Asked after every epoch; ``True`` saves and raises :class:`Interrupted`.
        left: Epochs of the present phase after the current one; 0 between phases.
    """

    def __init__(self, path: Path, every: float = 60.0, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Load what an earlier, interrupted run of the cell left at ``path``, if it is readable."""
        self.path = path
        self.every = every
        self.should_stop = should_stop
        self._phases: dict[str, dict[str, Any]] = {}
        self._saved_at = time.monotonic()
        self.resumed = False
        self.left = 0
        if path.exists():
            try:
                saved = torch.load(path, weights_only=True)
                if saved.pop("layout") == LAYOUT:
                    self._phases, self.resumed = saved["phases"], True
            except Exception:  # noqa: BLE001  (a damaged checkpoint of any kind only costs time: start over)
                path.unlink(missing_ok=True)

    def epochs(self, phase: str, total: int, state: State, report: Callable[[str, int, int], None]) -> Epochs:
        """The epochs of ``phase`` that are still to do; see :class:`Epochs`."""
        return Epochs(self, phase, total, state, report)

    def load(self, phase: str) -> dict[str, Any] | None:
        """What was saved for a phase."""
        return self._phases.get(phase)

    def store(self, phase: str, progress: dict[str, Any]) -> None:
        """Remember the progress of a phase, and write it down if a save is due or a stop was asked for.

        Raises:
            RuntimeError: Another phase is in progress: what is known of it may have changed since its last epoch.
        """
        open_phases = [name for name, known in self._phases.items() if name != phase and not known["ended"]]
        if open_phases:
            raise RuntimeError(
                f"phase {phase!r} runs before {open_phases[0]!r} has ended: phases may not be nested, "
                "and one is left early by Epochs.stop(), not by break"
            )
        self._phases[phase] = progress
        stop = self.should_stop()
        if stop or time.monotonic() - self._saved_at >= self.every:
            write_atomic(self.path, pickled({"layout": LAYOUT, "phases": self._phases}))
            self._saved_at = time.monotonic()
        if stop:
            raise Interrupted(f"stopped on request; {self.path.name} holds the progress")


class Epochs:
    """Iterates over epoch numbers, from 1, of one training phase; resumes where a checkpoint ends.

    The body of the loop must change nothing that is not in ``state`` and is needed later. Leaving the phase early is
    said by :meth:`stop`, never by ``break``.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        phase: str,
        total: int,
        state: State,
        report: Callable[[str, int, int], None],
    ) -> None:
        """Bind to a checkpoint; ``report`` is told (phase, epochs done, total)."""
        self._checkpoint = checkpoint
        self._phase = phase
        self._total = total
        self._state = state
        self._report = report
        self._stopped = False

    def stop(self) -> None:
        """End the phase after the current epoch."""
        self._stopped = True

    def __iter__(self) -> Iterator[int]:
        """Epoch numbers still to do; restores ``state`` first if the phase was begun before."""
        done = 0
        saved = self._checkpoint.load(self._phase)
        if saved is not None:
            done, self._stopped = saved["done"], saved["stopped"]
            _restore(self._state, saved["state"])
            set_global_random_state(saved["random"])
        while done < self._total and not self._stopped:
            self._checkpoint.left = self._total - done - 1
            yield done + 1
            self._checkpoint.left = 0
            done += 1
            self._report(self._phase, done, self._total)
            state, ended = _capture(self._state), done == self._total or self._stopped
            if ended:
                state = copy.deepcopy(state)  # later phases may go on training the same tensors
            progress = {
                "done": done,
                "ended": ended,
                "stopped": self._stopped,
                "state": state,
                "random": global_random_state(),
            }
            self._checkpoint.store(self._phase, progress)


def _capture(state: State) -> dict[str, Any]:
    return {
        name: item.get_state() if isinstance(item, torch.Generator) else item.state_dict()
        for name, item in state.items()
    }


def _restore(state: State, saved: dict[str, Any]) -> None:
    for name, item in state.items():
        if isinstance(item, torch.Generator):
            item.set_state(saved[name])
        else:
            item.load_state_dict(saved[name])
