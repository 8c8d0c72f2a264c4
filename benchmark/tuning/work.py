"""What a worker does with a trial, and with a cell that waits for a choice."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from benchmark.cell import Cell, upstream_cells
from benchmark.errors import DebiasBenchError
from benchmark.store import Store
from benchmark.tuning.decision import read_decision
from benchmark.tuning.journal import Journal, Taken
from benchmark.tuning.objective import values_of
from benchmark.tuning.study import Final, Study, Trial

if TYPE_CHECKING:
    from benchmark.worker import Outcome, Worker

log = logging.getLogger(__name__)
PRUNED, UPSTREAM = "pruned: ", "upstream failed: "
"""How reasons of failures begin that say nothing against the values of a trial, or all that there is to say."""


def attempt_trial_or_final(worker: Worker, unit: Trial | Final) -> Outcome:
    """See :func:`attempt_trial` and :func:`attempt_final`.

    What goes wrong outside of any cell, such as a plugin that cannot be loaded here, fails the unit and leaves the
    study as it is.
    """
    try:
        return attempt_trial(worker, unit.study) if isinstance(unit, Trial) else attempt_final(worker, unit)
    except DebiasBenchError as error:
        log.error("%s: %s", unit.study.name, error)
        return "failed"


def attempt_trial(worker: Worker, study: Study) -> Outcome:
    """Run the next trial of a study; ``busy`` if others run the last ones, ``done`` also if none is left.

    A trial that was pruned is done. One whose cell has failed has failed, and counts; but if what it starts from has
    failed, it stays open for when that is mended.
    """
    outcome = _next_trial(worker, study)
    return "failed" if outcome == "stuck" else outcome


def attempt_final(worker: Worker, final: Final) -> Outcome:
    """Run a cell with the values that its study has chosen; help with the study while it has not."""
    results = worker.store.root
    decision = read_decision(results, final.study)
    if decision is None:
        outcome = _next_trial(worker, final.study)
        if outcome in ("stuck", "interrupted"):
            return "failed" if outcome == "stuck" else "interrupted"
        decision = read_decision(results, final.study)
        if decision is None:
            return "busy"
    if decision.number is None:
        return "failed"
    return worker.attempt(final.cell(decision.values, decision.trials))


def _next_trial(worker: Worker, study: Study) -> Outcome | Literal["stuck"]:
    journal = Journal(worker.store.root, worker.supervisor)
    if journal.decide(study) is not None:
        return "done"
    taken = journal.take(study)
    if taken is None:
        return "busy" if journal.decide(study) is None else "done"
    with taken:
        outcome = _run(worker, study, taken)
    journal.decide(study)
    return outcome


def _run(worker: Worker, study: Study, taken: Taken) -> Outcome | Literal["stuck"]:
    """Run the trial's cell, and tell the study what came of it."""
    cell, store = study.cell(taken.values, taken.number), worker.store
    if store.state(cell.key) == "done":
        cell = replace(cell, diagnostics=())  # known already: not to be run again for the sake of a chart
    if _reason(store, cell).startswith(UPSTREAM) and _start_has_failed(store, cell):
        return "stuck"
    if not _is_verdict(store, cell):
        store.forget_failure(cell.key)
    outcome = worker.attempt(cell, taken)
    if outcome == "failed":
        reason = _reason(store, cell)
        if reason.startswith(UPSTREAM):
            return "stuck"
        if reason.startswith(PRUNED):
            taken.prune(cell.key)
            return "done"
        taken.fail(cell.key, reason)
    if outcome == "done":
        _tell(store, taken, cell)
    return outcome


def _tell(store: Store, taken: Taken, cell: Cell) -> None:
    """The value of a trial is the objective of its last candidate: what the method ends with, at these values."""
    record = store.read(cell.key)
    values = {} if record is None else values_of(record, taken.objective)
    for step, value in values.items():
        taken.report(step, value)
    if values:
        taken.complete(values[max(values)], cell.key)
    else:
        taken.fail(cell.key, f"{taken.objective.name} is not defined on its validation split")


def _is_verdict(store: Store, cell: Cell) -> bool:
    """Whether the failure that is known of a cell is this trial's own; another study's median is none of its business.

    What another trial or sweep has met, an error, say, it would meet again.
    """
    reason = _reason(store, cell)
    if not reason.startswith((PRUNED, UPSTREAM)):
        return True
    record = store.read(cell.key)
    known = None if record is None else record.cell.tuning
    mine = cell.tuning
    return (
        reason.startswith(PRUNED)
        and known is not None
        and mine is not None
        and (known.study, known.number) == (mine.study, mine.number)
    )


def _reason(store: Store, cell: Cell) -> str:
    """Why the cell has failed; empty if it has not."""
    if store.state(cell.key) != "failed":
        return ""
    record = store.read(cell.key)
    return record.failure.reason if record is not None and record.failure is not None else ""


def _start_has_failed(store: Store, cell: Cell) -> bool:
    return any(store.state(start.key) == "failed" for start in upstream_cells(cell).values())
