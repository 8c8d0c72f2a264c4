"""Random pruning: what a mask is worth that nobody chose. See card.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from benchmark.method import Card
from benchmark.registry import METHODS
from methods.shared.pruning_baseline import PruningBaseline, PruningParams

if TYPE_CHECKING:
    from benchmark.run import Run


@dataclass(frozen=True)
class RandomPruningParams(PruningParams):
    """Parameters of random pruning.

    Attributes:
        draws: Masks that are drawn; each gives a candidate.
    """

    draws: Annotated[int, Meta(ge=1)] = 3


@METHODS.register
class RandomPruning(PruningBaseline):
    """Removes units or weights at random."""

    name = "random_pruning"
    version = 1
    card = Card("Random pruning", "Removes units or weights of a vanilla network at random, as many as asked.")
    Params = RandomPruningParams

    def run(self, run: Run) -> None:
        """Offer one pruned network per draw."""
        from methods.random_pruning.algorithm import prune_at_random

        prune_at_random(run, self.params)
