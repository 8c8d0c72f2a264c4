"""Diagnostics of a method's cells, as far as the page shows them; see ``docs/diagnostics.md`` for what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmark.errors import ResultCorruptError
from leaderboard.board import Entry
from leaderboard.page.values import mean, parsed

Report = Mapping[str, Any]
MEASURES: dict[str, Callable[[Any], Any]] = {
    "decodability": lambda value: value,
    "information": lambda value: value,
    "counterfactual": lambda value: value,
    "biasedness": lambda value: value["phi"],
}
"""Diagnostics with a number per attribute, before and after; where it is."""


def diagnostics_of(entry: Entry) -> dict[str, Any]:
    """What the finished cells measured, averaged over seeds; only what there is.

    Returns:
        ``layers``: pruned share of the weights by layer. ``measures``: numbers before and after by diagnostic and
        attribute. ``maps``: Grad-CAM of the lowest seed that has it. ``latency``: seconds for one input.

    Raises:
        ResultCorruptError: They are not of the form that this version writes.
    """
    texts = [row.get("diagnostics") for _, row in sorted(entry.cells.items()) if row["status"] == "done"]
    reports = [parsed(text) for text in texts if text]
    try:
        found = summarised(reports)
    except (LookupError, TypeError, AttributeError) as error:
        raise ResultCorruptError(
            f"{entry.label} has diagnostics of another form than this version: {error!r}"
        ) from error
    return {name: value for name, value in found.items() if value}


def summarised(reports: Sequence[Report]) -> dict[str, Any]:
    """As :func:`diagnostics_of`, of reports; fails in many ways on those of another form."""
    return {
        "layers": _layers([report["pruned"]["weights"] for report in reports if "weights" in report.get("pruned", {})]),
        "measures": list(_measures(reports)),
        "maps": next((report["gradcam"] for report in reports if "after" in report.get("gradcam", {})), None),
        "latency": mean(_latency(report.get("latency", {})) for report in reports),
    }


def _layers(reports: Sequence[Report]) -> dict[str, float | None]:
    if not reports or not any(layer["removed"] for report in reports for layer in report.values()):
        return {}
    return {name: mean(report[name]["share"] for report in reports if name in report) for name in reports[0]}


def _measures(reports: Sequence[Report]) -> Iterator[dict[str, Any]]:
    for name, number_of in MEASURES.items():
        having = [report[name] for report in reports if "after" in report.get(name, {})]
        for attribute in having[0]["after"] if having else ():
            means = {
                model: mean(
                    number_of(report[model][attribute]) for report in having if attribute in report.get(model, {})
                )
                for model in ("before", "after")
            }
            chance = mean(report["chance"][attribute] for report in having if "chance" in report)
            yield {"name": name, "attribute": attribute, "chance": chance, **means}


def _latency(report: Report) -> float | None:
    """Of the model as one would ship it."""
    times = report.get("compact") or report.get("dense") or {}
    seconds: float | None = times.get("1")
    return seconds
