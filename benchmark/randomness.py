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
from typing import TYPE_CHECKING, Any

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


def global_random_state() -> dict[str, Any]:
    """The states of the global generators of torch, NumPy and ``random``, as plain values and tensors."""
    import random

    import torch

    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": tuple(part.tolist() if isinstance(part, np.ndarray) else part for part in numpy_state),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if _gpu_in_use() else [],
    }


def set_global_random_state(state: dict[str, Any]) -> None:
    """Bring the global generators back to a state; those of GPUs only if as many were in use then."""
    import random

    import torch

    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def isolated(*dimensions: Dimension) -> Iterator[None]:
    """Code inside may use the global generators of torch, NumPy and ``random``; all are restored afterwards.

    Module constructors of torch draw their initial weights from the global generator, and plugins may draw from any of
    the three: inside, each is seeded by the named stream.
    """
    import random

    import torch

    seed, outside = stream_seed(*dimensions), global_random_state()
    try:
        # torch's own function notes its call, with a traceback, for every kind of device that is not in use yet
        (torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed)(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        yield
    finally:
        set_global_random_state(outside)


def _gpu_in_use() -> bool:
    import torch

    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
