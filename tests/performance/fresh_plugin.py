"""The cheapest cell there is: a method that offers an untrained network, on the toy task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.method import Card, Method
from benchmark.registry import METHODS

if TYPE_CHECKING:
    from benchmark.run import Run


@METHODS.register
class Fresh(Method):
    """Trains nothing."""

    name = "fresh"
    version = 1
    card = Card("Fresh", "An untrained network.")

    def run(self, run: Run) -> None:
        """Offer it."""
        run.offer(run.network(), "fresh")
