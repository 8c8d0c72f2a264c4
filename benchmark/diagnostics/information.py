"""The differentiable mutual information between a bias and a linear head's soft prediction of it (FFW and BISE)."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

FLOOR = 1e-15
"""The authors' clamp of joint and marginal probabilities, away from ln 0."""


def mutual_information(logits: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor | None = None) -> torch.Tensor:
    """Normalised mutual information I(b, b_hat) of labels and soft predictions, with the joint counted over the batch.

    ``J[i, j] = max(sum over n with b_n = i of softmax(logits)[n, j], 1e-15) / B`` and
    ``I = 1/ln K * sum J ln(J / (p_b p_hat))``: 1 for a perfect head on uniform labels, 0 for an uninformative one.
    Computed in single precision at least, whatever autocast is active, and without a host synchronisation.

    Args:
        logits: Of the bias head, (B, K).
        labels: Bias values, int64 (B,).
        counted: Which samples take part, bool (B,); all by default. With none the result, and its gradient, is 0.

    Returns:
        A scalar.
    """
    values = logits.shape[1]
    with torch.autocast(logits.device.type, enabled=False):
        q = torch.softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), 1)
        members = functional.one_hot(labels, values).to(q.dtype)
        size: torch.Tensor | int = len(labels)
        if counted is not None:
            members = members * counted.to(q.dtype).unsqueeze(1)
            size = counted.sum().clamp(min=1)
        joint = (members.t() @ q).clamp(min=FLOOR) / size
        marginals = torch.outer(joint.sum(1), joint.sum(0)).clamp(min=FLOOR)
        return (joint * torch.log(joint / marginals)).sum() / math.log(values)
