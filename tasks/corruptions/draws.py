"""Random numbers per image: what an image gets depends on its index and the stream, never on its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from benchmark.randomness import Dimension, stream_seed

Pixels = npt.NDArray[np.float64]


class Draws:
    """One random generator for each image of a batch.

    Philox is counter-based, so that a generator keyed by (stream, image index) costs microseconds to make and streams
    of different images are independent without a common ancestor to walk through.
    """

    def __init__(self, indices: Sequence[int] | npt.NDArray[np.int64], *stream: Dimension) -> None:
        """Generators of the images at the absolute ``indices`` (N,) under the named stream."""
        seed = stream_seed(*stream)
        keys = np.array([[seed, index] for index in indices], dtype=np.uint64).reshape(-1, 2)
        self._generators = [np.random.Generator(np.random.Philox(key=key)) for key in keys]

    def __len__(self) -> int:
        """How many images."""
        return len(self._generators)

    def normal(self, *shape: int) -> Pixels:
        """Standard normal, (N, *shape)."""
        return self._each(lambda generator: generator.standard_normal(shape), shape)

    def uniform(self, low: float, high: float, *shape: int) -> Pixels:
        """Uniform in [low, high), (N, *shape)."""
        return self._each(lambda generator: generator.uniform(low, high, shape), shape)

    def below(self, bound: int, *shape: int) -> npt.NDArray[np.int64]:
        """Integers from 0 to ``bound - 1``, each equally likely, (N, *shape)."""
        return np.minimum(self.uniform(0, bound, *shape).astype(np.int64), bound - 1)

    def poisson(self, rates: Pixels) -> Pixels:
        """Poisson counts of the given rates (N, ...)."""
        pairs = zip(self._generators, rates, strict=True)
        return np.array([generator.poisson(rate) for generator, rate in pairs], np.float64).reshape(rates.shape)

    def _each(self, draw: Callable[[np.random.Generator], Pixels], shape: tuple[int, ...]) -> Pixels:
        drawn = np.empty((len(self), *shape))
        for row, generator in enumerate(self._generators):
            drawn[row] = draw(generator)
        return drawn
