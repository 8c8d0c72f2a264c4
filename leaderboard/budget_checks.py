"""Checks of what the results of a submission were tuned with: the same for all methods, and as the records say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from benchmark.cell import Cell
from benchmark.record import Record
from benchmark.rows import Plugins

MOST_TRIALS = 1_000_000
Found = tuple[bool, str, str]
"""Whether it refuses the submission, where, and what."""


def is_result(record: Record) -> bool:
    """Whether it counts; trials of tunings, and what only they start from, are there to be looked at."""
    return record.cell.tuning is None or record.cell.tuning.purpose == "result"


def check_note(record: Record) -> Iterator[str]:
    """What is wrong with what a record's cell says of its tuning."""
    cell, note = record.cell, record.cell.tuning
    if note is None:
        return
    if not (0 <= note.trials <= MOST_TRIALS and 0 <= (note.number or 0) <= MOST_TRIALS):
        yield f"its tuning has {note.trials} trials, number {note.number}; expected 0 to {MOST_TRIALS}"
    if record.status == "done" and note.purpose == "result" and note.trials < 1:
        yield "its parameters were chosen by a tuning without a finished trial"
    for name, value in note.values.items():
        if cell.params.get(name) != value:
            yield f"its tuning chose {name} = {value!r}, and it ran with {cell.params.get(name)!r}"


def check_budgets(
    records: Sequence[Record], section: Callable[[Cell], str], place: Callable[[Cell], str]
) -> Iterator[Found]:
    """Compare tuning budgets within each section.

    Args:
        records: All records, trials too.
        section: What cells must share to be compared.
        place: The same for people.
    """
    trials = [record for record in records if not is_result(record)]
    studies = Counter(r.cell.tuning.study for r in trials if r.cell.tuning and r.cell.tuning.number is not None)
    tried_on = {(section(record.cell), record.cell.seed): record.cell for record in trials}
    sections: dict[str, list[Cell]] = {}
    for record in records:
        if is_result(record) and record.status == "done":  # a tuning that chose nothing fails its results
            sections.setdefault(section(record.cell), []).append(record.cell)
    for name, cells in sections.items():
        yield from ((True, place(cells[0]), text) for text in _unequal(cells))
        yield from ((False, place(cells[0]), text) for text in _untuned(cells))
        for seed in sorted({cell.seed for cell in cells if (name, cell.seed) in tried_on}):
            yield True, place(cells[0]), f"seed {seed} is one of the results, and parameters were tuned on it"
    yield from _lacking(records, studies)


def _unequal(cells: Sequence[Cell]) -> Iterator[str]:
    """Tuned methods with different budgets, or one method with different ones on different seeds."""
    budgets: dict[int, set[str]] = {}
    for cell in cells:
        if cell.tuning is not None:
            budgets.setdefault(cell.tuning.trials, set()).add(cell.method)
    if len(budgets) > 1:
        said = "; ".join(f"{count} trials for {', '.join(sorted(names))}" for count, names in sorted(budgets.items()))
        yield f"unequal budgets: {said}. Tune all methods with the same number of trials, on all seeds"


def _untuned(cells: Sequence[Cell]) -> Iterator[str]:
    """Methods that rest on no trial beside some that do; variants of one method are told apart."""
    tuned = [cell for cell in cells if cell.tuning is not None]
    others = [cell for cell in cells if cell.tuning is None]
    both = {cell.method for cell in tuned} & {cell.method for cell in others}
    plugins = Plugins()

    def names(of: Sequence[Cell], variant: Callable[[Cell], str]) -> str:
        return ", ".join(sorted({f"{c.method} ({variant(c)})" if c.method in both else c.method for c in of}))

    if tuned and others:
        count = max(cell.tuning.trials for cell in tuned if cell.tuning is not None)
        yield (
            f"{names(tuned, lambda _: 'tuned')} rest on {count} trials, "
            f"{names(others, lambda cell: plugins.describe(cell)['variant'] or 'defaults')} on none; "
            "the leaderboard says so beside them"
        )


def _lacking(records: Sequence[Record], studies: Counter[str]) -> Iterator[Found]:
    """Trials that results rest on and that were not sent, or that were sent and not counted."""
    claimed: dict[str, int] = {}
    for record in records:
        if is_result(record) and record.status == "done" and record.cell.tuning is not None:
            claimed[record.cell.tuning.study] = record.cell.tuning.trials
    for study, count in sorted(claimed.items()):
        sent = studies[study]
        if sent > count:
            yield True, f"tuning {study}", f"its results say {count} trials, and {sent} were sent: all of them count"
        elif sent < count:
            yield (
                False,
                f"tuning {study}",
                f"its results say {count} trials, of which {sent} were sent and can be looked at",
            )
