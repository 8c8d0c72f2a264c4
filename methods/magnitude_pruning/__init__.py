"""Magnitude pruning: small filters and small weights go first. See card.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.method import Card
from benchmark.registry import METHODS
from methods.shared.pruning_baseline import PruningBaseline, PruningParams

if TYPE_CHECKING:
    from benchmark.run import Run


@METHODS.register
class MagnitudePruning(PruningBaseline):
    """Removes the units with the smallest filters, or the smallest weights."""

    name = "magnitude_pruning"
    version = 1
    card = Card(
        "Magnitude pruning",
        "Removes the smallest filters (L2 norm) or the smallest weights of a vanilla network, as many as asked.",
    )
    Params = PruningParams

    def run(self, run: Run) -> None:
        """Offer the pruned network."""
        from methods.magnitude_pruning.algorithm import prune_by_magnitude

        prune_by_magnitude(run, self.params)
