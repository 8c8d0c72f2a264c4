"""What was sent to a cluster, in files of our own: which cells are in which job, under which code.

submissions/<id>/submission.json   the profile, the code, the packs and their jobs
submissions/<id>/packs/<n>.json    the cells of a pack, for its job
submissions/<id>/jobs/             what the jobs print, and submitit's files
"""

from __future__ import annotations

import getpass
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from benchmark.cell import Cell
from benchmark.errors import ResultCorruptError
from benchmark.files import write_atomic
from benchmark.tuning.study import Final, Trial, Unit
from slurm.profile import Profile

Cluster = Literal["slurm", "local", "debug"]


@dataclass(frozen=True)
class PackCells:
    """What a job reads.

    Attributes:
        cells: To run.
        upstream: For each key, those out of the pack that have to be there first.
        trials: To run, too.
        finals: To run when their study has chosen.
    """

    cells: tuple[Cell, ...]
    upstream: dict[str, set[str]]
    trials: tuple[Trial, ...] = ()
    finals: tuple[Final, ...] = ()

    @classmethod
    def of(cls, units: Iterable[Unit], upstream: dict[str, set[str]]) -> PackCells:
        """A pack of these."""
        found = list(units)
        return cls(
            tuple(unit for unit in found if isinstance(unit, Cell)),
            upstream,
            tuple(unit for unit in found if isinstance(unit, Trial)),
            tuple(unit for unit in found if isinstance(unit, Final)),
        )

    @property
    def units(self) -> tuple[Unit, ...]:
        """All that is to run, each after what it waits for."""
        return *self.cells, *self.trials, *self.finals


@dataclass(frozen=True)
class SentPack:
    """A pack and its job.

    Attributes:
        cells: Keys.
        seconds: Estimated.
        minutes: Wall time asked for.
        job: Its id, as squeue prints it, or the pid of a local job; ``None`` if it was not sent.
        born: Start time of a local job's process, so that a recycled pid is not taken for it.
    """

    cells: tuple[str, ...]
    seconds: float
    minutes: int
    job: str | None = None
    born: int = -1


@dataclass(frozen=True)
class Submission:
    """One call of ``submit`` that sent something.

    Attributes:
        id: Name of its folder; sorts by time.
        sweep: Stem of the sweep's file.
        cluster: Where it was sent.
        user: Who sent it.
        host: From where.
        submitted_at: UTC, ISO 8601.
        code: Version of the code.
        code_root: Folder of the copy of the code that its jobs run.
        profile: What the jobs were asked for with.
        data_root: Where the data sets are.
        plugins: Copies of plugin files.
        packs: In the order of ``packs/<n>.json``.
    """

    id: str
    sweep: str
    cluster: Cluster
    user: str
    host: str
    submitted_at: str
    code: str
    code_root: str
    profile: Profile
    data_root: str
    plugins: tuple[str, ...]
    packs: tuple[SentPack, ...]

    def with_job(self, pack: int, job: str, born: int = -1) -> Submission:
        """The same, knowing the job of a pack."""
        packs = list(self.packs)
        packs[pack] = replace(packs[pack], job=job, born=born)
        return replace(self, packs=tuple(packs))


def new_submission(
    sweep: str,
    cluster: Cluster,
    code: str,
    code_root: Path,
    profile: Profile,
    data_root: Path,
    plugins: tuple[Path, ...],
    packs: tuple[SentPack, ...],
) -> Submission:
    """A submission of this user, from this machine, now."""
    now = datetime.now(UTC)
    return Submission(
        id=f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}",
        sweep=sweep,
        cluster=cluster,
        user=getpass.getuser(),
        host=socket.gethostname(),
        submitted_at=now.isoformat(timespec="seconds"),
        code=code,
        code_root=str(code_root),
        profile=profile,
        data_root=str(data_root.resolve()),
        plugins=tuple(map(str, plugins)),
        packs=packs,
    )


def folder(results: Path, submission: str) -> Path:
    """Where a submission keeps its files."""
    return results / "submissions" / submission


def write_submission(results: Path, submission: Submission) -> None:
    """Write it, in place of an earlier state of it."""
    write_atomic(folder(results, submission.id) / "submission.json", msgspec.json.encode(submission))


def read_submission(results: Path, submission: str) -> Submission:
    """Read one.

    Raises:
        ResultCorruptError: It is not there, or damaged.
    """
    path = folder(results, submission) / "submission.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Submission)
    except (FileNotFoundError, msgspec.DecodeError, ValueError) as error:
        raise ResultCorruptError(f"{path} cannot be read ({error}); delete its folder and submit again") from error


def read_submissions(results: Path) -> list[Submission]:
    """All submissions of a results folder, the oldest first.

    Raises:
        ResultCorruptError: One is damaged.
    """
    files = sorted((results / "submissions").glob("*/submission.json"))
    return [read_submission(results, path.parent.name) for path in files]


def write_pack(results: Path, submission: str, number: int, pack: PackCells) -> None:
    """Write the cells of a pack."""
    write_atomic(_pack_file(results, submission, number), msgspec.json.encode(pack))


def read_pack(results: Path, submission: str, number: int) -> PackCells:
    """Read the cells of a pack."""
    return msgspec.json.decode(_pack_file(results, submission, number).read_bytes(), type=PackCells)


def _pack_file(results: Path, submission: str, number: int) -> Path:
    return folder(results, submission) / "packs" / f"{number}.json"
