"""Diagnostics: what the final model of a cell still knows of the bias, what was removed, and how fast it is.

An optional step of a cell, the same for every method. Nothing here imports torch: planning needs the names only.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.errors import UnknownNameError

DIAGNOSTICS: dict[str, str] = {
    "decodability": "accuracy of fresh linear probes for y and every b on z",
    "information": "normalised mutual information between every b and such a probe's soft predictions",
    "pruned": "units and weights removed, by layer",
    "latency": "seconds per batch of 1 and of 128: dense, masked, compact",
    "counterfactual": "share of predictions that change when an image is redrawn with another bias value",
    "biasedness": "phi and the surrogate of task biasedness K_bia, a definition of this benchmark",
    "depth": "decodability at every site, from input to output",
    "gradcam": "Grad-CAM maps of a few bias-conflicting test images",
}
"""Every diagnostic, in the order in which they are measured, and what it gives."""


def chosen(wanted: bool | Iterable[str]) -> tuple[str, ...]:
    """What a sweep asks for: ``True`` all, ``False`` none, or some by name.

    Raises:
        UnknownNameError: There is no such diagnostic; names the nearest one.
    """
    if isinstance(wanted, bool):
        return tuple(DIAGNOSTICS) if wanted else ()
    names = set(wanted)
    for name in sorted(names - set(DIAGNOSTICS)):
        raise UnknownNameError("diagnostic", name, DIAGNOSTICS)
    return tuple(name for name in DIAGNOSTICS if name in names)
