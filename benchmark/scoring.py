"""Many finished cells at once: which candidate each selection rule takes, and every metric of those candidates."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.counts import Groups, IntArray
from benchmark.errors import ResultCorruptError
from benchmark.metrics import METRICS, FloatArray, Tally, combination_accuracies, score
from benchmark.record import Record
from benchmark.selection import RULES, best_of_each
from benchmark.task import EVALUATED

MOST_COUNTS = 2**26
"""Numbers in the counts of one split; a record that claims more is not one of ours."""


@dataclass(frozen=True)
class Counted:
    """A finished cell with its counts unpacked.

    Attributes:
        record: The cell's.
        groups: Axes of the counts.
        selectable: Whether each candidate may be chosen: (candidates,).
        tallies: By split; zeros where a split has no samples.
        test: Counts (candidates, C, B, C) of the test split.
    """

    record: Record
    groups: Groups
    selectable: npt.NDArray[np.bool_]
    tallies: Mapping[str, Tally]
    test: IntArray


def unpack(record: Record) -> Counted:
    """Unpack the counts of a finished cell.

    Raises:
        ResultCorruptError: They do not belong to its candidates and groups.
    """
    groups, candidates = record.groups, len(record.candidates)
    if groups is None or not candidates or "test" not in record.counts:
        raise ResultCorruptError(f"the record of cell {record.key} is finished but has no candidates, or no counts")
    expected = (candidates, *groups.shape)
    if math.prod(expected) > MOST_COUNTS:
        raise ResultCorruptError(
            f"the record of cell {record.key} has counts of shape {expected}; at most {MOST_COUNTS} numbers are read"
        )
    zeros = np.zeros(expected[:-1], dtype=np.int64)
    tallies: dict[str, Tally] = {}
    test = None
    for split in EVALUATED:
        packed = record.counts.get(split)
        if packed is None:
            tallies[split] = Tally(zeros, zeros)
            continue
        if packed.shape != expected:
            raise ResultCorruptError(
                f"the record of cell {record.key} has counts of {split} of shape {packed.shape}, expected {expected}"
            )
        try:
            counts = packed.unpack()
        except (ValueError, zlib.error) as error:
            raise ResultCorruptError(f"the record of cell {record.key}: counts of {split}: {error}") from error
        tallies[split] = Tally.of(counts, groups)
        if split == "test":
            test = counts
    assert test is not None
    return Counted(record, groups, np.array([c.selectable for c in record.candidates], dtype=np.bool_), tallies, test)


@dataclass(frozen=True)
class Scores:
    """What the rules chose in cells of one kind.

    Attributes:
        chosen: Index of the candidate, -1 where a rule is not applicable: (cells, rules).
        place: Index into the arrays below, -1 where there is none: (cells, rules).
        metrics: Of the chosen candidates on test, by name: (chosen,).
        combinations: The same of each aligned/conflicting combination, by name; empty below two biases.
        counts: Test counts (C, B, C) of the chosen candidates.
    """

    chosen: IntArray
    place: IntArray
    metrics: Mapping[str, FloatArray]
    combinations: Mapping[str, FloatArray]
    counts: Sequence[IntArray]


def score_cells(cells: Sequence[Counted], headline: str) -> Scores:
    """Apply every rule to cells that have the same groups and headline metric."""
    groups, sizes = cells[0].groups, [len(cell.selectable) for cell in cells]
    selectable = np.concatenate([cell.selectable for cell in cells])
    joined: dict[str, Tally] = {
        split: Tally(
            np.concatenate([cell.tallies[split].correct for cell in cells]),
            np.concatenate([cell.tallies[split].total for cell in cells]),
        )
        for split in EVALUATED
    }
    chosen = np.empty((len(cells), len(RULES)), dtype=np.int64)
    for column, rule in enumerate(RULES.values()):
        values = (
            np.zeros(len(selectable))
            if rule.split is None
            else score(rule.metric or headline, joined[rule.split], groups)
        )
        chosen[:, column] = best_of_each(values, selectable, sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    places, inverse = np.unique(np.where(chosen < 0, -1, chosen + starts[:, None]), return_inverse=True)
    absent = int(places[0] == -1)
    picked = places[absent:]
    test = Tally(joined["test"].correct[picked], joined["test"].total[picked])
    owners = np.searchsorted(starts, picked, side="right") - 1
    return Scores(
        chosen=chosen,
        place=inverse.reshape(chosen.shape) - absent,
        metrics={name: score(name, test, groups) for name in METRICS},
        combinations=combination_accuracies(test, groups) if len(groups.bias_names) > 1 else {},
        counts=[cells[owner].test[at - starts[owner]] for owner, at in zip(owners, picked, strict=True)],
    )
