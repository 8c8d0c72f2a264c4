"""Noise: Gaussian, shot, impulse and speckle. Pixels (N, 32, 32, 3) in 0..1."""

from __future__ import annotations

import numpy as np

from tasks.corruptions.draws import Draws, Pixels


def gaussian_noise(x: Pixels, scale: float, draws: Draws) -> Pixels:
    """Add noise of standard deviation ``scale``."""
    return x + scale * draws.normal(*x.shape[1:])


def shot_noise(x: Pixels, photons: float, draws: Draws) -> Pixels:
    """Count Poisson events, ``photons`` for a white pixel."""
    return draws.poisson(x * photons) / photons


def impulse_noise(x: Pixels, amount: float, draws: Draws) -> Pixels:
    """Replace a share ``amount`` of all values (not pixels) by 0 or 1, each half of the time."""
    hit = draws.uniform(0, 1, *x.shape[1:]) <= amount
    white = draws.uniform(0, 1, *x.shape[1:]) <= 0.5
    return np.where(hit, white.astype(np.float64), x)


def speckle_noise(x: Pixels, scale: float, draws: Draws) -> Pixels:
    """Add noise of standard deviation ``scale`` times the value."""
    return x + x * scale * draws.normal(*x.shape[1:])
