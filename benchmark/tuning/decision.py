"""What a study has chosen, in a small file beside the journal, so that planning need not read the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmark.errors import ResultCorruptError
from benchmark.files import write_atomic
from benchmark.tuning.study import Study


@dataclass(frozen=True)
class Decision:
    """The outcome of a study whose budget is used up.

    Attributes:
        study: Its name.
        complete: Trials that ran through.
        pruned: Trials that were ended early.
        failed: Trials whose cell has failed.
        number: Of the best trial; ``None`` if none ran through.
        value: Of the objective.
        values: What it has chosen.
        cell: Key of the best trial's cell.
    """

    study: str
    complete: int
    pruned: int
    failed: int
    number: int | None = None
    value: float | None = None
    values: dict[str, Any] = field(default_factory=dict)
    cell: str | None = None

    @property
    def trials(self) -> int:
        """How many have finished."""
        return self.complete + self.pruned + self.failed


def folder(results: Path) -> Path:
    """Where the journal and the decisions of a results folder are."""
    return results / "tuning"


def write_decision(results: Path, decision: Decision) -> None:
    """Write it, in place of one that rests on fewer trials."""
    write_atomic(_path(results, decision.study), msgspec.json.encode(decision) + b"\n")


def read_decision(results: Path, study: Study) -> Decision | None:
    """What a study has chosen; ``None`` while fewer trials have finished than it is given.

    Raises:
        ResultCorruptError: The file is damaged.
    """
    decision = _read(_path(results, study.name))
    return decision if decision is not None and decision.trials >= study.trials else None


def hopeless(results: Path) -> Iterator[Decision]:
    """Decisions of studies of which no trial ran through."""
    for path in sorted(folder(results).glob("*.json")):
        decision = _read(path)
        if decision is not None and decision.number is None:
            yield decision


def forget_decision(results: Path, decision: Decision) -> None:
    """Remove it."""
    _path(results, decision.study).unlink(missing_ok=True)


def _path(results: Path, study: str) -> Path:
    return folder(results) / f"{study}.json"


def _read(path: Path) -> Decision | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Decision)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, ValueError) as error:
        raise ResultCorruptError(
            f"{path} is damaged ({error}); delete it, it is made again from the journal"
        ) from error
