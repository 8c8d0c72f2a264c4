"""Batched augmentation of images on their device; every sample of a batch gets a draw of its own."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

Augmentation = Literal["none", "flip", "crop_flip"]
PAD = 4


def augment(x: torch.Tensor, kind: Augmentation, draws: torch.Generator) -> torch.Tensor:
    """Augment images (B, C, H, W).

    Args:
        x: Normalised inputs; returned as they are for ``none``.
        kind: ``flip`` mirrors half of them; ``crop_flip`` also shifts each by up to 4 pixels, zero-padded.
        draws: CPU generator of the random choices.
    """
    if kind == "none":
        return x
    batch, channels, height, width = x.shape
    flip = torch.rand(batch, generator=draws).lt(0.5).to(x.device)
    x = torch.where(flip.view(-1, 1, 1, 1), x.flip(-1), x)
    if kind == "flip":
        return x
    offset = torch.randint(0, 2 * PAD + 1, (2, batch), generator=draws).to(x.device)
    rows = (offset[0, :, None] + torch.arange(height, device=x.device)).view(batch, 1, height, 1)
    columns = (offset[1, :, None] + torch.arange(width, device=x.device)).view(batch, 1, 1, width)
    padded = functional.pad(x, (PAD, PAD, PAD, PAD))
    samples = torch.arange(batch, device=x.device).view(batch, 1, 1, 1)
    planes = torch.arange(channels, device=x.device).view(1, channels, 1, 1)
    return padded[samples, planes, rows, columns]
