"""Snow, frost, fog and spatter. Pixels (N, 32, 32, 3) in 0..1."""

from __future__ import annotations

import numpy as np

from tasks.corruptions.blur import clipped_zoom, gaussian, smear
from tasks.corruptions.draws import Draws, Pixels
from tasks.corruptions.frost import PICTURES, frost_pictures
from tasks.corruptions.water import water

LUMA = np.array([0.299, 0.587, 0.114])
MUD = np.array([63.0, 42.0, 20.0]) / 255


def snow(x: Pixels, level: tuple[float, float, float, float, float, float, float], draws: Draws) -> Pixels:
    """Whiten the image and let flakes fall over it, with the same flakes turned by half a circle.

    Args:
        x: The images.
        level: Mean and deviation of the noise that flakes are made of; its enlargement; the threshold above which it is
            snow; radius and sigma of the flakes' motion; how much of the image stays unwhitened.
        draws: Of flakes and of their direction.
    """
    mean, deviation, zoom, threshold, radius, sigma, kept = level
    size = x.shape[1]
    flakes = clipped_zoom(mean + deviation * draws.normal(size, size, 1), zoom)
    flakes[flakes < threshold] = 0
    flakes = np.floor(np.clip(flakes, 0, 1) * 255) / 255
    flakes = smear(flakes, radius, sigma, draws.uniform(-135, -45))
    white: Pixels = np.maximum(x, (x @ LUMA)[..., None] * 1.5 + 0.5)
    return np.asarray(kept * x + (1 - kept) * white + flakes + flakes[:, ::-1, ::-1])


def frost(x: Pixels, level: tuple[float, float], draws: Draws) -> Pixels:
    """``level[0]`` of the image and ``level[1]`` of a random piece of a picture of frost."""
    size = x.shape[1]
    pictures = frost_pictures()
    chosen = draws.below(PICTURES)
    top = draws.below(pictures.shape[1] - size)[:, None, None] + np.arange(size)[:, None]
    left = draws.below(pictures.shape[2] - size)[:, None, None] + np.arange(size)
    return np.asarray(level[0] * x + level[1] * pictures[chosen[:, None, None], top, left])


def fog(x: Pixels, level: tuple[float, float], draws: Draws) -> Pixels:
    """Add ``level[0]`` times a plasma cloud, rescaled to the image's own maximum; ``level[1]`` smooths the cloud."""
    thickness, decay = level
    highest: Pixels = x.max(axis=(1, 2, 3), keepdims=True)
    cloud = plasma(x.shape[1], decay, draws)[..., None]
    return (x + thickness * cloud) * highest / (highest + thickness)


def plasma(size: int, decay: float, draws: Draws) -> Pixels:
    """Clouds (N, size, size) in 0..1 by the diamond-square algorithm on a torus; ``size`` is a power of two.

    Every midpoint is the mean of four neighbours plus noise; noise shrinks with the square of ``decay`` per octave.
    """
    step, amplitude = size, 100.0
    clouds = np.zeros((len(draws), size, size))
    while step >= 2:
        half = step // 2
        corners = clouds[:, ::step, ::step]
        wiggle = amplitude * draws.uniform(-amplitude, amplitude, 3, size // step, size // step)
        upright, level = corners + np.roll(corners, -1, axis=1), corners + np.roll(corners, -1, axis=2)
        middles = (upright + np.roll(upright, -1, axis=2)) / 4 + wiggle[:, 0]
        clouds[:, half::step, half::step] = middles
        clouds[:, ::step, half::step] = (middles + np.roll(middles, 1, axis=1) + level) / 4 + wiggle[:, 1]
        clouds[:, half::step, ::step] = (middles + np.roll(middles, 1, axis=2) + upright) / 4 + wiggle[:, 2]
        step, amplitude = half, amplitude / decay
    clouds -= clouds.min(axis=(1, 2), keepdims=True)
    return np.asarray(clouds / clouds.max(axis=(1, 2), keepdims=True))


def spatter(x: Pixels, level: tuple[float, float, float, float, float, str], draws: Draws) -> Pixels:
    """Splash water or mud on the lens.

    Args:
        x: The images.
        level: Mean and deviation of the noise that drops are made of; sigma of its smoothing; the threshold above
            which it is a drop; opacity of water, or sigma that smooths mud; ``water`` or ``mud``.
        draws: Of drops.
    """
    mean, deviation, sigma, threshold, finish, kind = level
    liquid = gaussian(mean + deviation * draws.normal(*x.shape[1:3]), sigma)
    if kind == "water":
        return water(x, np.where(liquid < threshold, 0, liquid), finish)
    mud = gaussian((liquid > threshold).astype(np.float64), finish)[..., None]
    mud[mud < 0.8] = 0
    return x * (1 - mud) + MUD * mud
