"""A worker: claims cells, runs them, stores their records, and never raises for a cell's sake."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.cell import Cell, upstream_cells
from benchmark.claims import Claim, Claims
from benchmark.diagnostics import chosen
from benchmark.errors import UpstreamError
from benchmark.failure import failed_record, failure_of
from benchmark.record import Failure
from benchmark.store import Store

if TYPE_CHECKING:
    from benchmark.artifacts import Artifact
    from benchmark.tuning.study import Unit
    from benchmark.watch import Watch

POISON_LIMIT = 3
"""A cell that was seen to kill so many workers is failed."""
VANISHED_LIMIT = 10
"""So is one whose workers vanished so often together with what watched them (a job killed, a machine lost), none of
them having got further than the one before."""
UPSTREAM_POLL_SECONDS = 0.2

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""Errors of the results folder, not of a cell."""

Outcome = Literal["done", "failed", "busy", "interrupted"]


@dataclass(frozen=True)
class Worker:
    """What a process needs to run cells.

    Attributes:
        store: Where results go.
        data_root: Where the owners' data sets are.
        device: ``cpu``, ``cuda``, ``cuda:1``, …
        threads: Of torch on the CPU; fixed, since sums depend on how they are split up.
        supervisor: Pid of the process that sees this one die, if there is one.
        checkpoint_seconds: Between two checkpoints inside a cell.
        should_stop: Asked after every epoch; ``True`` leaves a checkpoint and gives the cell back.
    """

    store: Store
    data_root: Path
    device: str = "cpu"
    threads: int = 1
    supervisor: int | None = None
    checkpoint_seconds: float = 60.0
    should_stop: Callable[[], bool] = field(default=lambda: False)

    def attempt(self, unit: Unit, watch: Watch | None = None) -> Outcome:
        """Run a cell unless it is finished, has failed, or another worker has it (``busy``).

        Args:
            unit: The cell; or a trial, or a cell that waits for a choice: see :mod:`benchmark.tuning.work`.
            watch: Who looks at the candidates while the cell runs, and may end it.

        Raises:
            OSError: The results folder cannot be written (a full disk, say): no cell could leave a record.
        """
        if not isinstance(unit, Cell):
            from benchmark.tuning.work import attempt_trial_or_final

            return attempt_trial_or_final(self, unit)
        cell = unit
        known = self.store.state(cell.key, cell.diagnostics)
        if known != "missing":
            return known
        if self.should_stop():
            return "interrupted"
        claim = self._claims().acquire(cell.key, cell.title)
        if claim is None:
            return "busy"
        with claim:
            known = self.store.state(cell.key, cell.diagnostics)  # another worker may have finished it before the claim
            return known if known != "missing" else self._run(cell, claim, watch)

    def _run(self, cell: Cell, claim: Claim, watch: Watch | None = None) -> Outcome:
        """Run a claimed cell and store its record; whatever goes wrong with it is a failed record."""
        from benchmark.checkpoint import Interrupted
        from benchmark.runner import run_cell

        try:
            poisoned = self._poisoned(cell, claim)
            if poisoned is not None:
                record = failed_record(cell, poisoned, self.device, self.threads)
            else:
                cell = replace(cell, diagnostics=chosen({*cell.diagnostics, *self.store.diagnosed(cell.key)}))
                upstream = {role: self._artifact(start) for role, start in upstream_cells(cell).items()}
                record = run_cell(cell, upstream, self, claim.say, watch)
        except Interrupted:
            return "interrupted"
        except (Exception, SystemExit) as error:  # a method's exit() must not end the sweep
            if self._cannot_write(error):
                raise
            record = failed_record(cell, failure_of(error), self.device, self.threads)
        self.store.write(record)
        return record.status

    def _cannot_write(self, error: BaseException) -> bool:
        """Whether the results folder is to blame; the system names no file where writing to an open one failed."""
        if not isinstance(error, OSError) or error.errno not in UNWRITABLE:
            return False
        return error.filename is None or Path(str(error.filename)).resolve().is_relative_to(self.store.root.resolve())

    def _poisoned(self, cell: Cell, claim: Claim) -> Failure | None:
        """The failure of a cell that has killed too many workers."""
        dead = claim.dead
        if dead is not None and dead.supervisor_is_gone() and not self.store.progressed_since(cell.key, dead.since):
            self.store.note_death(cell.key, "vanished: worker and supervisor died together")
        deaths = self.store.deaths(cell.key)
        vanished = [death for death in deaths if death.startswith("vanished")]
        if len(deaths) - len(vanished) < POISON_LIMIT and len(vanished) < VANISHED_LIMIT:
            return None
        reason = f"poisoned: {len(deaths)} workers died with this cell, the last one: {deaths[-1]}"
        return Failure(reason, "\n".join(deaths))

    def _artifact(self, start: Cell) -> Artifact:
        """The artifact of an upstream cell; made here if nobody has made it, waited for if somebody is at it.

        Raises:
            UpstreamError: The upstream cell has failed.
            ResultCorruptError: The artifact is damaged.
            Interrupted: The worker was asked to stop.
        """
        from benchmark.artifacts import load_artifact
        from benchmark.checkpoint import Interrupted

        while True:
            state, path = self.store.state(start.key), self.store.artifact(start.key)
            if state == "done" and path is not None:
                return load_artifact(path, start.key)
            if state == "failed":
                raise UpstreamError(f"{start.title} ({start.key}) has failed; mend it, then run with --retry-failed")
            if self.should_stop():
                raise Interrupted(f"stopped while waiting for {start.title}")
            claim = self._claims().acquire(start.key, start.title)
            if claim is None:
                time.sleep(UPSTREAM_POLL_SECONDS)
                continue
            with claim:
                if self.store.has_artifact(start.key):
                    continue
                outcome = self._run(start, claim)
            if outcome == "interrupted":
                raise Interrupted(f"stopped while making {start.title}")
            if outcome == "failed":
                raise UpstreamError(f"{start.title} ({start.key}) has failed; mend it, then run with --retry-failed")
            if not self.store.has_artifact(start.key):
                raise UpstreamError(f"{start.title} leaves no artifact; {start.method} must set keeps_artifact")

    def _claims(self) -> Claims:
        return Claims(self.store.root / "claims", self.supervisor or os.getpid())
