"""The corruptions of CIFAR-10-C for batches of 32 x 32 images: :func:`corrupt`.

What an image becomes depends on itself, its index, the corruption, the severity and the seed; not on the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.errors import UnknownNameError
from tasks.corruptions.draws import Draws, Pixels
from tasks.corruptions.severities import LEVELS

ORIGINAL = "original"
TYPE0 = ("snow", "frost", "fog", "brightness", "contrast", "spatter", "elastic", "jpeg", "pixelate", "saturate")
"""Corruptions of Corrupted-CIFAR10, type 0 (Nam et al., 2020), in the order of the classes they go with."""
TYPE1 = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "gaussian_blur",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    ORIGINAL,
)
"""The same for type 1."""

_BATCH = 256
SIDE = 32


def corrupt(
    images: npt.NDArray[np.uint8],
    corruption: str,
    severity: int,
    indices: Sequence[int] | npt.NDArray[np.int64],
    seed: int = 0,
) -> npt.NDArray[np.uint8]:
    """Corrupt images as CIFAR-10-C does.

    Args:
        images: uint8 (N, 32, 32, 3).
        corruption: A name of ``TYPE0`` or ``TYPE1``.
        severity: 1 to 5.
        indices: The images' absolute indices in their data set (N,): an image's random numbers depend on its own.
        seed: Of all random numbers.

    Returns:
        uint8 (N, 32, 32, 3); values are cut off, not rounded, to whole numbers, as CIFAR-10-C's are.

    Raises:
        UnknownNameError: No such corruption.
        ValueError: The severity or a shape is not one of the above.
    """
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE, 3) or len(images) != len(indices):
        raise ValueError(
            f"needs uint8 images (N, {SIDE}, {SIDE}, 3) and an index for each; "
            f"got {images.dtype} {images.shape} and {len(indices)} indices"
        )
    if severity not in range(1, 6):
        raise ValueError(f"severity is a whole number from 1 to 5, got {severity}")
    if corruption == ORIGINAL:
        return images.copy()
    functions = _functions()
    if corruption not in functions:
        raise UnknownNameError("corruption", corruption, [*functions, ORIGINAL])
    function, level = functions[corruption], LEVELS[corruption][severity - 1]
    corrupted = np.empty_like(images)
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        draws = Draws(indices[batch], "corruption", corruption, severity, seed)
        corrupted[batch] = np.clip(function(images[batch] / 255.0, level, draws), 0, 1) * 255
    return corrupted


@cache
def _functions() -> dict[str, Callable[[Pixels, Any, Draws], Pixels]]:
    """By name. Imported when images are corrupted: who lists tasks need not wait for ``scipy.ndimage``."""
    from tasks.corruptions import blur, digital, noise, weather

    return {
        "gaussian_noise": noise.gaussian_noise,
        "shot_noise": noise.shot_noise,
        "impulse_noise": noise.impulse_noise,
        "speckle_noise": noise.speckle_noise,
        "gaussian_blur": blur.gaussian_blur,
        "glass_blur": blur.glass_blur,
        "defocus_blur": blur.defocus_blur,
        "motion_blur": blur.motion_blur,
        "zoom_blur": blur.zoom_blur,
        "snow": weather.snow,
        "frost": weather.frost,
        "fog": weather.fog,
        "spatter": weather.spatter,
        "brightness": digital.brightness,
        "contrast": digital.contrast,
        "elastic": digital.elastic,
        "jpeg": digital.jpeg,
        "pixelate": digital.pixelate,
        "saturate": digital.saturate,
    }
