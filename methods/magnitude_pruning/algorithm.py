"""Magnitude pruning: units by the L2 norm of their filter, weights by their absolute value."""

from __future__ import annotations

import torch

from benchmark.run import Run
from methods.shared.pruning import prune_and_offer
from methods.shared.pruning_baseline import PruningParams


def prune_by_magnitude(run: Run, params: PruningParams) -> None:
    """Offer the pruned network as "pruned"."""

    def score(part: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(part, dim=1) if params.structured else part.abs()

    prune_and_offer(run, params, score, "pruned")
