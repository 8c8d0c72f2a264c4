"""The few facts of finished cells that planning and status need, read without decoding whole records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from benchmark.store import Store, ends_as_record


@dataclass(frozen=True)
class Digest:
    """What is read of a record.

    Attributes:
        task: Name.
        method: Name.
        protocol: Name.
        seconds: Training and evaluation.
        resumed: Whether the cell went on from a checkpoint; then the seconds cover its last part only.
        device: That it ran on.
        hardware: Model of processor or GPU.
        code: Version.
    """

    task: str
    method: str
    protocol: str
    seconds: float
    resumed: bool
    device: str
    hardware: str
    code: str


class _Cell(msgspec.Struct):
    task: str
    method: str
    protocol: dict[str, Any]


class _Resources(msgspec.Struct):
    train_seconds: float
    evaluate_seconds: float
    resumed: bool


class _Part(msgspec.Struct):
    """The part of a record that is decoded; the rest is skipped."""

    cell: _Cell
    resources: _Resources
    environment: dict[str, Any]


_decoder = msgspec.json.Decoder(_Part)


class Digests:
    """The digests of a results folder; each record is read once, however often they are asked for.

    Attributes:
        finished: Keys of the finished cells when they were last read, as :meth:`Store.finished` gives them.
    """

    def __init__(self, store: Store) -> None:
        """Reads nothing yet."""
        self._store = store
        self._known: dict[str, Digest] = {}
        self.finished: set[str] = set()

    def read(self) -> dict[str, Digest]:
        """Those of all cells that are finished now, by key."""
        self.finished = set()
        for key, path in self._store.finished_files():
            if key not in self._known:
                try:
                    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (of 100,000 files: the quickest way)
                        content = file.read()
                    if not ends_as_record(content):
                        continue
                    self.finished.add(key)
                    self._known[key] = _digest(_decoder.decode(content))
                except (OSError, msgspec.DecodeError, KeyError):
                    continue  # damaged, or just being removed: whoever reads the record for its result will say so
            self.finished.add(key)
        return self._known


def _digest(part: _Part) -> Digest:
    where = part.environment
    return Digest(
        task=part.cell.task,
        method=part.cell.method,
        protocol=part.cell.protocol["name"],
        seconds=part.resources.train_seconds + part.resources.evaluate_seconds,
        resumed=part.resources.resumed,
        device=str(where.get("device")),
        hardware=str(where.get("hardware")),
        code=str(where.get("code")),
    )
