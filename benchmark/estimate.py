"""How long cells will take: measured where records of the same kind are there, else a rough guess that says so."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from benchmark.cell import Cell, task_of
from benchmark.digest import Digest

START_SECONDS = 5.0
"""Of a guess: reading data, scoring candidates."""
EPOCH_SECONDS = 10.0
CAPPED_EPOCH_SECONDS = 1.0
"""Of a guess, where the protocol caps the training samples."""


@dataclass(frozen=True)
class Estimate:
    """What a cell will take.

    Attributes:
        seconds: From claim to record.
        measured: Whether cells of its task, method and protocol were timed on this kind of device; else it is a guess.
    """

    seconds: float
    measured: bool


class Estimates:
    """Estimates from the times of finished cells."""

    def __init__(self, digests: Iterable[Digest]) -> None:
        """Cells that went on from a checkpoint are left out: their times cover the last part only."""
        times: dict[tuple[str, str, str], dict[tuple[str, str], list[float]]] = {}
        for digest in digests:
            if not digest.resumed:
                kind = times.setdefault((digest.task, digest.method, digest.protocol), {})
                kind.setdefault((_kind(digest.device), digest.hardware), []).append(digest.seconds)
        self._epochs: dict[tuple[object, ...], int] = {}
        self._medians = {
            key: {where: statistics.median(seconds) for where, seconds in kind.items()} for key, kind in times.items()
        }

    def of(self, cell: Cell, device: str) -> Estimate:
        """The estimate for a cell on a kind of device (``cpu``, ``cuda``, …); ``cuda:0,cuda:1`` counts as ``cuda``.

        Where its kind of cell was timed on several models of that device, the slowest counts; times of other devices
        only serve as a guess.
        """
        medians = self._medians.get((cell.task, cell.method, cell.protocol.name), {})
        here = [seconds for (kind, _), seconds in medians.items() if kind == _kind(device)]
        if here:
            return Estimate(max(here), measured=True)
        if medians:
            return Estimate(max(medians.values()), measured=False)
        recipe = (cell.task, msgspec.json.encode(cell.task_params), cell.rho, cell.protocol)
        if recipe not in self._epochs:
            self._epochs[recipe] = task_of(cell).recipe(cell.rho).under(cell.protocol).epochs
        epochs = self._epochs[recipe]
        each = EPOCH_SECONDS if cell.protocol.max_train is None else CAPPED_EPOCH_SECONDS
        return Estimate(START_SECONDS + epochs * each, measured=False)


def _kind(device: str) -> str:
    return device.partition(",")[0].partition(":")[0]
