"""Random streams, one per purpose, seeded by a hash of the named dimensions they may depend on.

A stream called ``("colour", "biased_mnist", 0.99, seed 3)`` gives the same numbers on every machine, in every order of
cells and in every process; adding a stream never shifts another one. Nothing here touches a global generator, except
:func:`isolated`, which restores it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Dimension = str | int | float | bool | None


def stream_seed(*dimensions: Dimension) -> int:
    """A 63-bit seed that depends on the dimensions' values, types and order, and on nothing else."""
    text = json.dumps(dimensions, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def numpy_stream(*dimensions: Dimension) -> np.random.Generator:
    """The NumPy generator of the stream named by ``dimensions``."""
    return np.random.Generator(np.random.PCG64(stream_seed(*dimensions)))


def torch_stream(*dimensions: Dimension) -> torch.Generator:
    """The torch generator (on the CPU, so that every device draws the same numbers) of the named stream."""
    import torch

    return torch.Generator().manual_seed(stream_seed(*dimensions))


@contextmanager
def isolated(*dimensions: Dimension) -> Iterator[None]:
    """Code inside may use the global generators of torch, NumPy and ``random``; all are restored afterwards.

    Module constructors of torch draw their initial weights from the global generator, and plugins may draw from any of
    the three: inside, each is seeded by the named stream.
    """
    import random

    import torch

    seed = stream_seed(*dimensions)
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
