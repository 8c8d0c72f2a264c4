"""Pictures of frost, grown from noise.

CIFAR-10-C blends photographs of frost into its images. They are not ours to copy, so these are made instead: five
pictures with the mean colours, contrasts and roughness measured on the five photographs in use, and with needles of ice
in patches of one direction each. Frost is therefore the one corruption that is like CIFAR-10-C's, not the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.randomness import numpy_stream
from tasks.corruptions.draws import Pixels

HEIGHT, WIDTH = 96, 160
DIRECTIONS = 8
PATCHES = 60


@dataclass(frozen=True)
class _Look:
    """How a picture looks, in units of 0..255.

    Attributes:
        colour: Mean red, green and blue.
        grain: Deviation of the brightness within 32 pixels.
        patches: Deviation of the brightness over longer distances.
        exponent: Of the grain's power spectrum.
        tint: Deviation of blue minus red.
    """

    colour: tuple[int, int, int]
    grain: float
    patches: float
    exponent: float
    tint: float


LOOKS = (
    _Look((78, 149, 166), grain=15, patches=11, exponent=-1.6, tint=24),
    _Look((201, 205, 214), grain=18, patches=9, exponent=-1.2, tint=4),
    _Look((201, 205, 214), grain=18, patches=9, exponent=-1.2, tint=4),
    _Look((138, 153, 166), grain=26, patches=10, exponent=-0.9, tint=5),
    _Look((112, 123, 135), grain=35, patches=16, exponent=-1.2, tint=8),
)
PICTURES = len(LOOKS)


@lru_cache(maxsize=1)
def frost_pictures() -> Pixels:
    """The five pictures, (5, height, width, 3) in 0..1; the same always and everywhere."""
    return np.stack([_picture(look, number) for number, look in enumerate(LOOKS)])


def _picture(look: _Look, number: int) -> Pixels:
    draws = numpy_stream("frost", number)
    rough, long, hue = draws.standard_normal((3, HEIGHT, WIDTH))
    grain = _standardised(_filtered(rough, np.maximum(_radius(), 1) ** (look.exponent / 2)) + 0.7 * _needles(draws))
    patches = _filtered(long, np.exp(-((1.7 * _radius()) ** 2)))
    hue = _filtered(hue, np.maximum(_radius(), 1) ** -1.5)
    brightness = look.grain * grain + look.patches * patches
    tint = look.tint * hue[..., None] * np.array([-0.5, 0, 0.5])
    picture = np.array(look.colour) + brightness[..., None] + tint
    return np.asarray(np.clip(picture, 0, 255) / 255)


def _needles(draws: np.random.Generator) -> Pixels:
    """Short bright streaks, all of one direction within a patch."""
    noise = draws.standard_normal((HEIGHT, WIDTH))
    rows, columns = _frequencies()
    streaks = []
    for direction in range(DIRECTIONS):
        angle = np.pi * direction / DIRECTIONS
        along = rows * np.sin(angle) + columns * np.cos(angle)
        across = columns * np.sin(angle) - rows * np.cos(angle)
        streaks.append(_filtered(noise, np.exp(-((along / 0.06) ** 2 + (across / 0.45) ** 2) / 2)))
    seeds = draws.uniform(0, 1, (PATCHES, 2)) * [HEIGHT, WIDTH]
    grid = np.moveaxis(np.indices((HEIGHT, WIDTH)), 0, -1)
    nearest = np.linalg.norm(grid[:, :, None] - seeds, axis=-1).argmin(axis=-1)
    direction_of = draws.integers(0, DIRECTIONS, PATCHES)
    return _standardised(np.take_along_axis(np.stack(streaks), direction_of[nearest][None], axis=0)[0])


def _frequencies() -> tuple[Pixels, Pixels]:
    """Cycles per pixel along both axes of the Fourier plane."""
    return np.asarray(np.fft.fftfreq(HEIGHT)[:, None]), np.asarray(np.fft.fftfreq(WIDTH)[None, :])


def _radius() -> Pixels:
    """Cycles per 32 pixels: the unit in which roughness was measured."""
    rows, columns = _frequencies()
    return 32 * np.hypot(rows, columns)


def _filtered(noise: Pixels, gain: Pixels) -> Pixels:
    """Noise with the given amplitude at each frequency, of mean 0 and deviation 1."""
    return _standardised(np.fft.ifft2(np.fft.fft2(noise) * gain).real)


def _standardised(field: Pixels) -> Pixels:
    return np.asarray((field - field.mean()) / field.std())
