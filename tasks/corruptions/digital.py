"""Brightness, contrast, saturation, JPEG, pixelation and elastic deformation. Pixels (N, 32, 32, 3) in 0..1."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from tasks.corruptions.draws import Draws, Pixels


def brightness(x: Pixels, amount: float, draws: Draws) -> Pixels:
    """Add ``amount`` to the value of HSV, hue and saturation kept: all channels grow by the same factor."""
    del draws
    value: Pixels = x.max(axis=3, keepdims=True)
    brighter = np.minimum(value + amount, 1)
    black = value == 0
    return np.where(black, brighter, x * (brighter / np.where(black, 1, value)))


def saturate(x: Pixels, level: tuple[float, float], draws: Draws) -> Pixels:
    """Saturation of HSV times ``level[0]`` plus ``level[1]``; a grey pixel, which has no hue, counts as red."""
    del draws
    factor, offset = level
    value: Pixels = x.max(axis=3, keepdims=True)
    chroma: Pixels = value - x.min(axis=3, keepdims=True)
    grey = chroma == 0
    saturation = chroma / np.where(value == 0, 1, value)
    wanted = np.clip(saturation * factor + offset, 0, 1)
    as_red = np.broadcast_to(np.array([0.0, 1.0, 1.0]), x.shape)
    share = np.where(grey, as_red, (value - x) / np.where(grey, 1, chroma))
    return value * (1 - wanted * share)


def contrast(x: Pixels, factor: float, draws: Draws) -> Pixels:
    """Shrink the distances from each channel's mean to ``factor`` of what they were."""
    del draws
    means: Pixels = x.mean(axis=(1, 2), keepdims=True)
    return (x - means) * factor + means


def jpeg(x: Pixels, quality: int, draws: Draws) -> Pixels:
    """Write as JPEG of ``quality`` and read back."""
    del draws
    return _each_picture(x, lambda picture: _through_jpeg(picture, quality))


def _through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def pixelate(x: Pixels, share: float, draws: Draws) -> Pixels:
    """Average down to ``share`` of the side, and back up, both with a box filter."""
    del draws
    size = x.shape[1]
    small = int(size * share)
    box = Image.Resampling.BOX
    return _each_picture(x, lambda picture: picture.resize((small, small), box).resize((size, size), box))


def _each_picture(x: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    stored = np.rint(x * 255).astype(np.uint8)
    return np.array([np.asarray(change(Image.fromarray(image))) for image in stored]).reshape(x.shape) / 255


def elastic(x: Pixels, level: tuple[float, float, float], draws: Draws) -> Pixels:
    """An affine map that moves three points at random, then a smooth random displacement of every pixel.

    Args:
        x: The images.
        level: Size of the displacement in pixels before smoothing; sigma of its smoothing; how far each of the three
            points moves along either axis.
        draws: Of the points and of the displacements.
    """
    strength, sigma, reach = level
    size = x.shape[1]
    matrices = _affine_maps(size, draws.uniform(-reach, reach, 3, 2))
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float64)
    source = np.einsum("nij,jhw->inhw", matrices, np.stack([columns, rows, np.ones_like(rows)]))
    x = bilinear(x, source[1], source[0], "mirror")
    field = ndimage.gaussian_filter(
        draws.uniform(-1, 1, 2, size, size), (0, 0, sigma, sigma), mode="reflect", truncate=3.0
    )
    return bilinear(x, rows + strength * field[:, 1], columns + strength * field[:, 0], "reflect")


def _affine_maps(size: int, shifts: Pixels) -> Pixels:
    """From pixels (column, row, 1) of the deformed image to those of the original, (N, 2, 3), given shifts (N, 3, 2).

    The three points are corners of a square about the centre, a third of the image from it.
    """
    centre, third = size // 2, size // 3
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * third + float(centre)
    ones = np.ones((len(shifts), 3, 1))
    maps = np.linalg.solve(np.concatenate([corners + shifts, ones], axis=2), np.broadcast_to(corners, shifts.shape))
    return np.swapaxes(maps, 1, 2)


def bilinear(x: Pixels, rows: Pixels, columns: Pixels, border: str) -> Pixels:
    """Values of images (N, H, W, channels) between pixels.

    Args:
        x: The images.
        rows: Where, (N, H, W).
        columns: Where, (N, H, W).
        border: What lies outside: ``mirror`` about the outermost pixels' centres, ``reflect`` about their edges.
    """
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    images = np.arange(len(x))[:, None, None]

    def at(row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]) -> Pixels:
        return x[images, _folded(row, x.shape[1], border), _folded(column, x.shape[2], border)]

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


def _folded(index: npt.NDArray[np.int64], size: int, border: str) -> npt.NDArray[np.int64]:
    """Indices off an axis brought back onto it."""
    if border == "mirror":
        index = np.abs(index) % (2 * size - 2)
        return np.minimum(index, 2 * size - 2 - index)
    index = index % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)
