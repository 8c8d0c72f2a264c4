"""How long cells will take: measured where records of the same kind are there, else a rough guess that says so."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from benchmark.cell import Cell, method_of, task_of
from benchmark.digest import Digest
from benchmark.task import EVALUATED

START_SECONDS = 5.0
"""Of a guess: reading data, building the network."""
PASS_SECONDS = {"cpu": 2e-5, "cuda": 1.5e-5}
"""Of a guess: what a pass of a sample takes beside its multiply-accumulates, forwards or backwards."""
RATES = {"cpu": 4e10, "cuda": 8e12}
"""Of a guess: multiply-accumulates a second of a worker on one core, or on a GPU, in fp32."""
BF16_GAIN = 1.8
PASSES = 3
"""Of a training step: forwards, and backwards for weights and for inputs."""
HELD_OUT_SHARE = 0.2
"""Of a guess: samples of an evaluated split per training sample, before a protocol caps both."""
EPOCH_SECONDS = 10.0
CAPPED_EPOCH_SECONDS = 1.0
"""Of a guess where the task does not say how much there is to compute; the second where the protocol caps samples."""


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
        self._guesses: dict[bytes, float] = {}
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
        # seeds make no difference, and a sweep has thousands of them
        alike = (_kind(device), cell.task, cell.task_params, cell.rho, cell.method, cell.params, cell.protocol)
        key = msgspec.json.encode((*alike, cell.precision))
        if key not in self._guesses:
            self._guesses[key] = _guess(cell, _kind(device))
        return Estimate(self._guesses[key], measured=False)


def _guess(cell: Cell, kind: str) -> float:
    """Seconds, from what task and method say of the work that they make."""
    task, protocol = task_of(cell), cell.protocol
    epochs, work = task.recipe(cell.rho).under(protocol).epochs, task.work()
    if work is None:
        return START_SECONDS + epochs * (EPOCH_SECONDS if protocol.max_train is None else CAPPED_EPOCH_SECONDS)
    trained = min(work.samples, protocol.max_train or work.samples)
    held_out = min(HELD_OUT_SHARE * work.samples, protocol.max_eval or work.samples)
    scored = protocol.candidates * held_out * sum(name in task.splits for name in EVALUATED)
    kind = kind if kind in RATES else "cpu"
    rate = RATES[kind] * (BF16_GAIN if cell.precision == "bf16" else 1.0)
    passes = method_of(cell).effort() * PASSES * trained * epochs + scored
    return START_SECONDS + passes * (work.macs / rate + PASS_SECONDS[kind])


def _kind(device: str) -> str:
    return device.partition(",")[0].partition(":")[0]
