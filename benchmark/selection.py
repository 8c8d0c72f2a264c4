"""Selection rules: which of a cell's candidates counts, decided after the run from the stored counts.

One run yields every rule. Each rule says which data it looks at, since that is supervision too, and is printed beside
every number. Candidates that a split cannot tell apart are resolved to the latest: a tie says nothing against the
method's own end point, and shortcuts are learned first, so that preferring early candidates where a biased validation
split is saturated would prefer the most biased models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.counts import Groups, IntArray
from benchmark.metrics import FloatArray, score

TIE = 1e-12
"""Scores closer than this are equal: sums of the same accuracies in another order differ by rounding."""


@dataclass(frozen=True)
class Choice:
    """What a rule decided.

    Attributes:
        index: Of the chosen candidate, or ``None`` where the rule is not applicable.
        reason: Why it is not applicable, or ``None``.
    """

    index: int | None
    reason: str | None = None


@dataclass(frozen=True)
class Rule:
    """A selection rule: the selectable candidate that is best by a metric on a split.

    Attributes:
        name: As in sweeps and tables.
        uses: The data it looks at, for tables.
        split: The split whose counts it reads; ``None`` takes the last candidate without looking at any.
        metric: A name of :data:`benchmark.metrics.METRICS`; ``None`` for the task's headline metric.
        rankable: Whether methods may be ranked by what it selects; not if it selects on what is reported.
    """

    name: str
    uses: str
    split: str | None = None
    metric: str | None = None
    rankable: bool = True

    def choose(
        self, counts: Mapping[str, IntArray], groups: Groups, selectable: Sequence[bool], headline: str
    ) -> Choice:
        """Pick one candidate of a cell.

        Args:
            counts: Tables (candidates, C, B, C) by the name of their split; a split without samples may be missing.
            groups: The axes of the tables.
            selectable: For each candidate, whether it may be chosen.
            headline: The task's headline metric.

        Raises:
            ValueError: The split has not as many tables as there are candidates.
        """
        allowed = np.asarray(selectable, dtype=np.bool_)
        if not allowed.any():
            return Choice(None, "no selectable candidate")
        if self.split is None:
            return Choice(int(np.flatnonzero(allowed)[-1]))
        table = counts.get(self.split)
        if table is None or not table.any():
            return Choice(None, f"no samples in {self.split}")
        if len(table) != len(selectable):
            raise ValueError(
                f"rule {self.name} needs one table of {self.split} for each of the {len(selectable)} candidates; "
                f"got {len(table)}"
            )
        metric = self.metric or headline
        index = int(best_of_each(score(metric, table, groups), allowed, [len(allowed)])[0])
        if index < 0:
            missing = "" if groups.bias_names else ": the task has no bias labels"
            return Choice(None, f"{metric} is not defined on {self.split}{missing}")
        return Choice(index)


def best_of_each(values: FloatArray, selectable: npt.NDArray[np.bool_], sizes: Sequence[int]) -> IntArray:
    """The latest of the best selectable candidates of each of several cells.

    Args:
        values: Scores of the candidates of all cells, one cell after the other: (candidates,).
        selectable: Whether each may be chosen: (candidates,).
        sizes: How many candidates each cell has, at least one: (cells,).

    Returns:
        Index among the cell's candidates: (cells,); -1 where none may be chosen or one of those has no score.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    undefined = np.logical_or.reduceat(selectable & np.isnan(values), starts)
    best = np.maximum.reduceat(np.where(selectable & ~np.isnan(values), values, -np.inf), starts)
    eligible = selectable & (values >= np.repeat(best - TIE, sizes))
    latest = np.maximum.reduceat(np.where(eligible, np.arange(len(values)), -1), starts)
    return np.asarray(np.where(undefined | (latest < 0), -1, latest - starts), dtype=np.int64)


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("last", "nothing: the method's last candidate"),
        Rule("biased_val", "targets of a validation split as biased as train", "val_biased", "accuracy"),
        Rule(
            "unbiased_val",
            "targets and bias labels of an unbiased validation split",
            "val_unbiased",
            "unbiased_accuracy",
        ),
        Rule(
            "worst_group_val",
            "targets and bias labels of an unbiased validation split",
            "val_unbiased",
            "worst_group_accuracy",
        ),
        Rule("oracle", "the test split itself; for the record, never ranked", "test", rankable=False),
    )
}
"""The rules by name, in the order of tables: from the least supervision to the most."""
