"""How far the studies of a sweep are, and which of its cells are known by what they have chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.cell import Cell, upstream_cells
from benchmark.store import Store
from benchmark.tuning.decision import Decision, read_decision
from benchmark.tuning.study import Final, Study
from benchmark.tuning.tally import Tally


@dataclass(frozen=True)
class StudyState:
    """A study of a sweep.

    Attributes:
        study: Which.
        tally: How far it is.
        decision: What it has chosen; ``None`` while it goes on.
        problem: Why it will not choose anything unless something is mended, or ``None``.
        made: Cells with the chosen values, each beside what it waited as.
        waiting: Cells for which nothing is chosen yet, or nothing could be.
    """

    study: Study
    tally: Tally
    decision: Decision | None
    problem: str | None
    made: tuple[tuple[Final, Cell], ...]
    waiting: tuple[Final, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """With the chosen values."""
        return tuple(cell for _, cell in self.made)

    @property
    def is_open(self) -> bool:
        """Whether there is something to run for it."""
        return self.decision is None and self.problem is None


def survey(finals: Iterable[Final], store: Store) -> list[StudyState]:
    """The studies that cells wait for, in their order. The journal is read only where a study has not chosen."""
    studies: dict[str, tuple[Study, list[Final]]] = {}
    for final in finals:
        studies.setdefault(final.study.name, (final.study, []))[1].append(final)
    return [_state(study, waiting, store) for study, waiting in studies.values()]


def _state(study: Study, finals: list[Final], store: Store) -> StudyState:
    decision = read_decision(store.root, study)
    if decision is None:
        problem = _failed_start(study, store)
        return StudyState(study, _tally(study, store), None, problem, (), tuple(finals))
    tally = Tally(decision.complete, decision.pruned, decision.failed, 0, decision.value, decision.values)
    if decision.number is None:
        problem = f"none of its {decision.trials} trials ran through; see their failures, mend, then --retry-failed"
        return StudyState(study, tally, decision, problem, (), tuple(finals))
    made = tuple((final, final.cell(decision.values, decision.trials)) for final in finals)
    return StudyState(study, tally, decision, None, made, ())


def _tally(study: Study, store: Store) -> Tally:
    from benchmark.tuning.journal import Journal

    journal = Journal(store.root)
    return journal.tally(study) if journal.path.exists() else Tally()


def _failed_start(study: Study, store: Store) -> str | None:
    failed = [start for start in upstream_cells(study.like).values() if store.state(start.key) == "failed"]
    return f"its trials start from {failed[0].title} ({failed[0].key}), which has failed" if failed else None


def trials_left(study: Study, store: Store) -> int:
    """How many trials of a study have not finished; needs no plugin."""
    return 0 if read_decision(store.root, study) is not None else study.trials - _tally(study, store).finished


def tuned_cells(finals: Iterable[Final], store: Store) -> list[Cell]:
    """The cells whose parameters are chosen; opens no journal."""
    decided = ((final, read_decision(store.root, final.study)) for final in finals)
    return [
        final.cell(found.values, found.trials)
        for final, found in decided
        if found is not None and found.number is not None
    ]


def state_json(state: StudyState) -> dict[str, Any]:
    """A study for programs."""
    like, tally = state.study.like, state.tally
    return {
        "study": state.study.name,
        "task": like.task,
        "rho": like.rho,
        "method": like.method,
        "trials": state.study.trials,
        "finished": tally.finished,
        "complete": tally.complete,
        "pruned": tally.pruned,
        "failed": tally.failed,
        "running": tally.running,
        "objective": state.study.objective.name,
        "best": tally.best,
        "best_values": tally.best_values,
        "chosen": None if state.decision is None else state.decision.values,
        "waiting": len(state.waiting),
        "problem": state.problem,
    }


def state_line(state: StudyState) -> str:
    """A study for people."""
    tally = state.tally
    parts = [f"{tally.finished} of {state.study.trials} trials"]
    parts += [f"{count} {what}" for count, what in ((tally.pruned, "pruned"), (tally.failed, "failed")) if count]
    if tally.best is not None and tally.best_values is not None:
        values = ", ".join(f"{name} {_short(value)}" for name, value in tally.best_values.items())
        chosen = "best so far" if state.decision is None else "chosen"
        parts.append(f"{chosen} {values} ({state.study.objective.name} {tally.best:.4g})")
    if state.waiting:
        parts.append(f"{len(state.waiting)} cells wait for it")
    if state.problem is not None:
        parts.append(state.problem)
    return f"tuning: {state.study.title}: {', '.join(parts)}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
