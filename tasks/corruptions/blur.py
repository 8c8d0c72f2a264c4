"""Blurs: Gaussian, glass, defocus, motion and zoom. Pixels (N, 32, 32, 3) in 0..1."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from tasks.corruptions.draws import Draws, Pixels


def gaussian(x: Pixels, sigma: float) -> Pixels:
    """Smooth the two image axes (1 and 2) of a batch, the edge repeated, the kernel cut off at four sigma."""
    sigmas = (0, sigma, sigma) + (0,) * (x.ndim - 3)
    return np.asarray(ndimage.gaussian_filter(x, sigmas, mode="nearest", truncate=4.0))


def gaussian_blur(x: Pixels, sigma: float, draws: Draws) -> Pixels:
    """Smooth with a Gaussian of ``sigma`` pixels."""
    del draws
    return gaussian(x, sigma)


def glass_blur(x: Pixels, level: tuple[float, int], draws: Draws) -> Pixels:
    """Smooth, displace pixels by at most one, smooth again; ``level`` is sigma and how often pixels are displaced.

    CIFAR-10-C was made by a loop meant to swap neighbours, in which the second half of each swap had no effect, and
    which walks towards the first row and column: every pixel takes the value of a neighbour (above, left, both, or
    itself) that the loop has not reached yet. That is one gather, over all but the first two rows and columns.
    """
    sigma, rounds = level
    x = np.floor(gaussian(x, sigma) * 255)
    count, height, width, _ = x.shape
    images = np.arange(count)[:, None, None]
    for _ in range(rounds):
        back = draws.below(2, 2, height - 2, width - 2)
        x[:, 2:, 2:] = x[images, np.arange(2, height)[:, None] - back[:, 0], np.arange(2, width) - back[:, 1]]
    return gaussian(x / 255, sigma)


def defocus_blur(x: Pixels, level: tuple[float, float], draws: Draws) -> Pixels:
    """Convolve with a disk.

    Args:
        x: The images.
        level: Radius of the disk; sigma of the 3 x 3 Gaussian that smooths the disk's edge.
        draws: Unused.
    """
    del draws
    radius, edge = level
    rows, columns = np.mgrid[-3:4, -3:4]
    disk = (rows**2 + columns**2 <= radius**2).astype(np.float64)
    taps = np.exp(-np.array([1.0, 0.0, 1.0]) / (2 * edge**2))
    kernel = ndimage.convolve(disk / disk.sum(), np.outer(taps, taps) / taps.sum() ** 2, mode="constant")
    return np.asarray(ndimage.convolve(x, kernel[None, :, :, None], mode="mirror"))


def motion_blur(x: Pixels, level: tuple[float, float], draws: Draws) -> Pixels:
    """Smear along a line at up to 45 degrees from the horizontal; ``level`` is radius and sigma in pixels."""
    radius, sigma = level
    return smear(x, radius, sigma, draws.uniform(-45, 45))


def smear(x: Pixels, radius: float, sigma: float, degrees: Pixels) -> Pixels:
    """Directed blur: half a Gaussian of ``sigma`` along a line of ``2 radius + 1`` pixels, as ImageMagick does it.

    Args:
        x: (N, H, W, channels) in 0..1.
        radius: Half the length of the line.
        sigma: Of the Gaussian whose peak is at the pixel itself.
        degrees: Direction for each image, (N,).

    Returns:
        As ``x``, on the grid of 8-bit values. Pixels off the image repeat its edge.
    """
    steps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    angle = np.deg2rad(degrees)[:, None]
    across = np.ceil(steps * np.cos(angle) - 0.5).astype(np.int64)
    down = np.ceil(steps * np.sin(angle) - 0.5).astype(np.int64)
    count, height, width, _ = x.shape
    images = np.arange(count)[:, None, None]
    smeared = np.zeros_like(x)
    for step, weight in enumerate(weights):
        rows = np.clip(np.arange(height) + down[:, step, None], 0, height - 1)
        columns = np.clip(np.arange(width) + across[:, step, None], 0, width - 1)
        smeared += weight * x[images, rows[:, :, None], columns[:, None, :]]
    return np.floor(np.rint(smeared * 65535) / 257) / 255


def zoom_blur(x: Pixels, farthest: float, draws: Draws) -> Pixels:
    """Average an image with its enlargements about the centre, by 1.00, 1.01, … up to below ``farthest``."""
    del draws
    planes = np.moveaxis(x, 3, 1)
    blurred = planes.reshape(-1, x.shape[1] ** 2) @ _zoom_blur_operator(x.shape[1], farthest)
    return np.moveaxis(blurred.reshape(planes.shape), 1, 3)


@lru_cache(maxsize=8)
def _zoom_blur_operator(size: int, farthest: float) -> Pixels:
    """The linear map (size², size²) from a plane's pixels to those of its zoom blur."""
    factors = np.arange(1, farthest, 0.01)
    total = np.eye(size**2)
    for factor in factors:
        operator = _zoom_operator(size, float(factor))
        total += np.kron(operator, operator).T
    return total / (len(factors) + 1)


def clipped_zoom(x: Pixels, factor: float) -> Pixels:
    """Enlarge the centre of square images (N, H, H, channels) by ``factor``, bilinearly, to their own size."""
    operator = _zoom_operator(x.shape[1], factor)
    return np.asarray(np.einsum("ah,nhwc,bw->nabc", operator, x, operator, optimize=True))


@lru_cache(maxsize=64)
def _zoom_operator(size: int, factor: float) -> Pixels:
    """The linear map (size, size) that one axis of an image goes through in :func:`clipped_zoom`."""
    kept = int(np.ceil(size / factor))
    start = (size - kept) // 2
    enlarged = round(kept * factor)
    trim = (enlarged - size) // 2
    place = (np.arange(size) + trim) * ((kept - 1) / (enlarged - 1))
    left = np.minimum(place.astype(np.int64), kept - 2)
    operator = np.zeros((size, size))
    operator[np.arange(size), start + left] = 1 - (place - left)
    operator[np.arange(size), start + left + 1] += place - left
    return operator
