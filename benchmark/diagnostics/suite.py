"""Run the diagnostics that a cell asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmark.diagnostics.behaviour import biasedness, counterfactual
from benchmark.diagnostics.decoding import decodability, depth, information
from benchmark.diagnostics.gradcam import gradcam
from benchmark.diagnostics.removed import latency, pruned
from benchmark.diagnostics.subject import InapplicableError, Subject

MEASURES: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "decodability": decodability,
    "information": information,
    "pruned": pruned,
    "latency": latency,
    "counterfactual": counterfactual,
    "biasedness": biasedness,
    "depth": depth,
    "gradcam": gradcam,
}


def diagnose(names: Iterable[str], subject: Subject) -> dict[str, Any]:
    """Plain JSON values by name of the diagnostic.

    One that the cell cannot have leaves ``{"not_applicable": reason}``, one that breaks ``{"failed": reason}``: the
    cell's own result is worth more than its diagnostics.
    """
    results: dict[str, Any] = {}
    for name in names:
        try:
            results[name] = MEASURES[name](subject)
        except InapplicableError as reason:
            results[name] = {"not_applicable": str(reason)}
        except Exception as error:  # noqa: BLE001
            results[name] = {"failed": f"{type(error).__name__}: {error}"}
    return results
