"""Drops of water on a lens: highlights along the drops' rims (the mild severities of spatter)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from tasks.corruptions.draws import Pixels

COLOUR = np.array([175.0, 238.0, 238.0]) / 255
EMBOSS = np.array([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
FAR = 20.0
DIAGONAL, KNIGHT = 1.4, 2.1969


def water(x: Pixels, liquid: Pixels, opacity: float) -> Pixels:
    """Add pale turquoise where ``liquid`` (N, 32, 32), 0 outside of drops, is.

    The highlight is the embossed, equalised distance from the drops' edges, times the depth of liquid, scaled so that
    the brightest pixel of an image gets ``opacity``.
    """
    depth = np.floor(liquid * 255) % 256  # CIFAR-10-C's 8 bits overflow where liquid is deeper than 1
    distance = np.minimum(_distance(~edges(depth)), FAR)
    relief = _equalised(np.floor(_box(distance)).astype(np.int64))
    relief = np.clip(ndimage.correlate(relief, EMBOSS[None], mode="mirror"), 0, 255)
    highlight = depth * np.rint(_box(relief))
    brightest = highlight.max(axis=(1, 2), keepdims=True)
    highlight *= opacity / np.where(brightest == 0, 1, brightest)
    return x + highlight[..., None] * COLOUR


def edges(depth: Pixels, low: float = 50, high: float = 150) -> npt.NDArray[np.bool_]:
    """Canny's edges of grey images (N, H, W) in 0..255: thin ridges of the gradient, followed from strong to weak."""
    down, across = _slope(depth, 1), _slope(depth, 2)
    strength = np.abs(down) + np.abs(across)
    padded = np.pad(strength, ((0, 0), (1, 1), (1, 1)))
    height, width = depth.shape[1:]

    def neighbour(row: int, column: int) -> Pixels:
        return padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    steep = np.tan(np.pi / 8)
    horizontal = np.abs(down) < steep * np.abs(across)
    vertical = np.abs(across) < steep * np.abs(down)
    falling = (down < 0) == (across < 0)
    beside = (strength > neighbour(0, -1)) & (strength >= neighbour(0, 1))
    above = (strength > neighbour(-1, 0)) & (strength >= neighbour(1, 0))
    diagonal = (strength > neighbour(-1, -1)) & (strength > neighbour(1, 1))
    other = (strength > neighbour(-1, 1)) & (strength > neighbour(1, -1))
    ridge = np.select([horizontal, vertical, falling], [beside, above, diagonal], other) & (strength > low)
    # 3 x 3 within an image, nothing between images
    connected = np.zeros((3, 3, 3), dtype=bool)
    connected[1] = True
    return np.asarray(ndimage.binary_propagation(ridge & (strength > high), connected, mask=ridge))


def _slope(images: Pixels, axis: int) -> Pixels:
    """Sobel's derivative along one image axis, smoothed along the other."""
    smooth = ndimage.correlate1d(images, [1, 2, 1], axis=3 - axis, mode="nearest")
    return np.asarray(ndimage.correlate1d(smooth, [-1, 0, 1], axis=axis, mode="nearest"))


def _distance(outside: npt.NDArray[np.bool_]) -> Pixels:
    """Distance to the nearest edge in each image, ``FAR`` where it has none, in steps to the side, diagonal and of a
    chess knight, as OpenCV's 5 x 5 mask weighs them.
    """
    distances = np.full(outside.shape, FAR)
    places = np.indices(outside.shape[1:])
    for distance, image in zip(distances, outside, strict=True):
        if image.all():
            continue
        nearest = ndimage.distance_transform_edt(image, return_distances=False, return_indices=True)
        short, long = np.sort(np.abs(places - nearest), axis=0)
        diagonals, knights = np.maximum(2 * short - long, 0), np.minimum(short, long - short)
        distance[:] = DIAGONAL * diagonals + KNIGHT * knights + np.maximum(long - 2 * short, 0)
    return distances


def _box(images: Pixels) -> npt.NDArray[np.float32]:
    """3 x 3 means, rounded to single precision: a running sum may end up just short of a whole number."""
    return np.asarray(ndimage.uniform_filter(images, (0, 3, 3), mode="mirror"), dtype=np.float32)


def _equalised(levels: npt.NDArray[np.int64]) -> Pixels:
    """Spread the grey levels 0..255 of each image over the range, the lowest to 0; flat images stay."""
    count, pixels = len(levels), levels[0].size
    histogram = np.zeros((count, 256), dtype=np.int64)
    np.add.at(histogram, (np.arange(count)[:, None, None], levels), 1)
    lowest = np.take_along_axis(histogram, levels.min(axis=(1, 2))[:, None], axis=1)
    rank = histogram.cumsum(axis=1) - lowest
    table = np.rint(255 * rank / np.maximum(pixels - lowest, 1))
    spread = np.take_along_axis(table, levels.reshape(count, -1), axis=1).reshape(levels.shape)
    flat = (lowest == pixels)[..., None]
    return np.where(flat, levels, np.maximum(spread, 0))
