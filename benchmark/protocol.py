"""Protocols: the budget and the rules of a run. A leaderboard never mixes two of them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.errors import UnknownNameError


@dataclass(frozen=True)
class Protocol:
    """Budget and rules shared by all methods of a comparison; all of it is part of a cell's key.

    Attributes:
        name: How sweeps and tables call it.
        epoch_share: Share of the authors' epochs that is trained.
        max_epochs: Upper bound on the epochs of any one training phase.
        max_train: Upper bound on the training samples, drawn evenly over classes; ``None`` takes all.
        max_eval: The same for each other split.
        candidates: About how many states of one training phase are offered for selection.
    """

    name: str
    epoch_share: float
    max_epochs: int | None
    max_train: int | None
    max_eval: int | None
    candidates: int

    def epochs(self, reference: int) -> int:
        """The epochs to train where the authors train ``reference``; at least one, unless they train none."""
        if reference == 0:
            return 0
        scaled = max(1, round(reference * self.epoch_share))
        return scaled if self.max_epochs is None else min(scaled, self.max_epochs)

    def is_candidate(self, epoch: int, epochs: int) -> bool:
        """Whether the state after ``epoch`` (counted from 1) of ``epochs`` is offered; the last one always is."""
        stride = max(1, epochs // self.candidates)
        return epoch == epochs or epoch % stride == 0


PROTOCOLS = {
    "paper": Protocol("paper", 1.0, None, None, None, candidates=20),
    "short": Protocol("short", 0.25, 25, 6_000, 5_000, candidates=5),
    "smoke": Protocol("smoke", 0.02, 2, 500, 500, candidates=2),
}


def protocol_named(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        UnknownNameError: No such protocol; names the nearest one.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
