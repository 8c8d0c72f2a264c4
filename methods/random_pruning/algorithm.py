"""Random pruning: every unit or weight gets a uniform number of its own, and the lowest are removed."""

from __future__ import annotations

import torch

from benchmark.run import Run
from methods.random_pruning import RandomPruningParams
from methods.shared.pruning import prune_and_offer


def prune_at_random(run: Run, params: RandomPruningParams) -> None:
    """Offer one pruned network per draw ("draw 0", "draw 1", …); a draw does not depend on how many there are."""
    for draw in range(params.draws):
        numbers = run.stream("random pruning", draw)

        def score(part: torch.Tensor, numbers: torch.Generator = numbers) -> torch.Tensor:
            shape = part.shape[:1] if params.structured else part.shape
            return torch.rand(shape, generator=numbers).to(part.device)

        prune_and_offer(run, params, score, f"draw {draw}")
