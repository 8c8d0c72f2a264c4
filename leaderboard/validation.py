"""Whether records of others may stand beside ours: everything that can be checked without running them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.cell import Cell
from benchmark.counts import IntArray
from benchmark.manifest import Staleness
from benchmark.record import Record
from benchmark.registry import METHODS
from benchmark.rows import Plugins, canonical
from benchmark.task import SplitName
from leaderboard.budget_checks import check_budgets, is_result
from leaderboard.group_sizes import GroupSizes, TableSizes
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.record_checks import check_cell, check_outcome, scored_splits
from leaderboard.submission import Submission


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, or that a reviewer should know.

    Attributes:
        severity: An ``error`` refuses the submission; a ``warning`` does not.
        where: The cell or file.
        what: What was found and what was expected.
    """

    severity: Literal["error", "warning"]
    where: str
    what: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.severity}: {self.where}: {self.what}"


def validate(submission: Submission, sizes: Sequence[GroupSizes], tables: Sequence[TableSizes] = ()) -> list[Problem]:
    """Check a submission.

    Args:
        submission: As read.
        sizes: What knows the sizes of splits, for each split the first that does decides.
        tables: Trusted tables, which say what seeds others have run.

    Returns:
        Everything found, errors first.
    """
    found = [Problem("error", "submission", problem) for problem in submission.problems]
    if not submission.records and not found:
        found.append(Problem("error", "submission", "it has no records"))
    staleness = Staleness()
    sound, unknown = list[Record](), dict[str, Counter[SplitName]]()
    for record in submission.records:
        unchecked, problems = _check_record(record, sizes, staleness)
        found += [Problem("error", f"{_title(record.cell)} ({record.key})", problem) for problem in problems]
        if not problems:
            sound.append(record)
            unknown.setdefault(_place(record.cell), Counter()).update(unchecked)
    for place, counts in unknown.items():
        if counts:
            splits = ", ".join(f"{split} ({count} records)" for split, count in counts.items())
            text = f"the sizes of its groups are not known here: counts of {splits} are not checked against them"
            found.append(Problem("warning", place, text))
    results = [record for record in submission.records if is_result(record)]
    found += _missing_seeds(results, tables)
    for check in (_duplicates, _versions, _unknown_methods):
        found += check(submission.records)
    for refuses, where, text in check_budgets(submission.records, _section, _place):
        found.append(Problem("error" if refuses else "warning", where, text))
    found += _unequal_splits(sound)
    return sorted(found, key=lambda problem: (problem.severity != "error",))


def _check_record(
    record: Record, sources: Sequence[GroupSizes], staleness: Staleness
) -> tuple[list[SplitName], list[str]]:
    """The splits with which its counts could not be compared (a failed cell has none), and what is wrong."""
    try:
        problems = list(check_cell(record))
        if problems:
            return [], problems
        stale = staleness(record.cell)
        if stale is not None:
            return [], [f"it was made by other code than is installed here: {stale}"]
        splits = scored_splits(record.cell) if record.status == "done" else []
        sizes = {split: table for split in splits if (table := _sizes(record.cell, split, sources)) is not None}
        return [split for split in splits if split not in sizes], list(check_outcome(record, sizes))
    except Exception as error:  # noqa: BLE001  (plugins may fail in any way on parameters that a stranger chose)
        return [], [f"checking it failed: {type(error).__name__}: {error}"]


def _sizes(cell: Cell, split: SplitName, sources: Sequence[GroupSizes]) -> IntArray | None:
    return next((found for source in sources if (found := source.of(cell, split)) is not None), None)


def _duplicates(records: Sequence[Record]) -> Iterator[Problem]:
    """Two records for one seed of one method: only one of them could count."""
    seen = Counter(_same_seed(record.cell) for record in records)
    keys = Counter(record.key for record in records)
    for record in {_same_seed(record.cell): record for record in records}.values():
        times = seen[_same_seed(record.cell)]
        if times > 1 and keys[record.key] == 1:
            yield Problem("error", _title(record.cell), f"{times} records for the same seed; send one")
    for key, times in keys.items():
        if times > 1:
            yield Problem("error", key, f"{times} records of the same cell; send one")


def _missing_seeds(records: Sequence[Record], tables: Sequence[TableSizes]) -> Iterator[Problem]:
    """All methods of a section need the same seeds, failed ones included: chosen seeds are chosen results.

    They need all that a trusted table has of the section.
    """
    plugins = Plugins()
    sections: dict[str, dict[str, set[int]]] = {}
    cells: dict[tuple[str, str], Cell] = {}
    for record in records:
        section, entry = _section(record.cell), _entry(record.cell)
        sections.setdefault(section, {}).setdefault(entry, set()).add(record.cell.seed)
        cells[section, entry] = record.cell
    for section, entries in sections.items():
        every = set().union(*entries.values())
        for entry, seeds in entries.items():
            if every - seeds:
                cell = cells[section, entry]
                lacking = ", ".join(map(str, sorted(every - seeds)))
                text = f"seeds {lacking} are missing, which other methods of the section have"
                yield Problem("error", f"{_place(cell)} {cell.method} ({plugins.describe(cell)['variant']})", text)
        cell = cells[section, next(iter(entries))]
        yield from _chosen_seeds(every, frozenset().union(*(table.seeds(cell) for table in tables)), _place(cell))
        if len(every) < LEAST_SEEDS:
            text = f"{len(every)} seeds; methods are ranked from {LEAST_SEEDS} on"
            yield Problem("warning", _place(cell), text)


def _chosen_seeds(every: set[int], known: frozenset[int], place: str) -> Iterator[Problem]:
    """Seeds that all methods of a section lack."""
    if known - every:
        lacking = ", ".join(map(str, sorted(known - every)))
        yield Problem("error", place, f"seeds {lacking} are missing, which the section has in a trusted table")
    elif every not in (known, set(range(len(every)))):
        had = ", ".join(map(str, sorted(every)))
        yield Problem(
            "warning", place, f"its seeds are {had}, not 0 to {len(every) - 1}; none may be left out for its result"
        )


def _versions(records: Sequence[Record]) -> Iterator[Problem]:
    """One version of everything that decides a result."""

    def versions(name: str, of: Callable[[Cell], tuple[str, int]]) -> Iterator[Problem]:
        found: dict[str, set[int]] = {}
        for record in records:
            what, version = of(record.cell)
            found.setdefault(what, set()).add(version)
        for what, several in found.items():
            if len(several) > 1:
                text = f"versions {', '.join(map(str, sorted(several)))} are mixed; send one"
                yield Problem("error", f"{name} {what}".strip(), text)

    yield from versions("harness", lambda cell: ("", cell.engine_version))
    yield from versions("task", lambda cell: (cell.task, cell.task_version))
    yield from versions("method", lambda cell: (cell.method, cell.method_version))
    code = sorted({str(record.environment.get("code")) for record in records})
    if len(code) > 1:
        yield Problem("warning", "code", f"made by {len(code)} versions: {', '.join(code)}")
    if any(version.endswith(".changed") for version in code):
        yield Problem("warning", "code", "made by a changed working tree: nobody can look up what ran")


def _unequal_splits(records: Sequence[Record]) -> Iterator[Problem]:
    """All methods of a seed are scored on the same validation splits."""
    sizes: dict[tuple[str, int, str], dict[tuple[int, ...], Record]] = {}
    for record in records:
        for split, packed in record.counts.items():
            table = packed.unpack()[0].sum(-1)
            found = sizes.setdefault((_section(record.cell), record.cell.seed, split), {})
            found.setdefault(tuple(table.ravel().tolist()), record)
    for (_, seed, split), several in sizes.items():
        if len(several) > 1:
            names = " and ".join(sorted(record.cell.method for record in several.values()))
            yield Problem("error", f"seed {seed}", f"{split} has other samples in records of {names}")


def _unknown_methods(records: Iterable[Record]) -> Iterator[Problem]:
    installed = set(METHODS.names())
    for name in sorted({record.cell.method for record in records} - installed):
        text = "not installed here: its parameters, supervision and version cannot be checked"
        yield Problem("warning", f"method {name!r}", text)


def _section(cell: Cell) -> str:
    return canonical([cell.task, cell.task_params, cell.rho, cell.protocol, cell.precision])


def _entry(cell: Cell) -> str:
    return canonical([cell.method, cell.params])


def _same_seed(cell: Cell) -> tuple[str, str, int]:
    return _section(cell), _entry(cell), cell.seed


def _title(cell: Cell) -> str:
    return " ".join(cell.title.split())[:200]


def _place(cell: Cell) -> str:
    level = "natural rho" if cell.rho is None else f"rho {cell.rho:g}"
    return f"{cell.task} {level} {canonical(cell.task_params)} {cell.protocol.name} {cell.precision}"
