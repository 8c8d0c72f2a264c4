"""The cheapest cell there is: a method that offers an untrained network, on the toy task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.method import Card, Method
from benchmark.registry import METHODS

if TYPE_CHECKING:
    from benchmark.run import Run


@dataclass(frozen=True)
class FreshParams:
    """How often it is offered."""

    candidates: int = 1


@METHODS.register
class Fresh(Method):
    """Trains nothing."""

    name = "fresh"
    version = 1
    card = Card("Fresh", "An untrained network.")

    Params = FreshParams

    def run(self, run: Run) -> None:
        """Offer it, so many times."""
        network = run.network()
        for number in range(self.params.candidates):
            run.offer(network, f"fresh {number}")
