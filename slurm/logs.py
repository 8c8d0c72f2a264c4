"""Where the jobs that had a cell have written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import submitit

from benchmark.errors import ConfigError, ResultCorruptError
from benchmark.store import Store
from slurm.submission import folder, read_submissions


@dataclass(frozen=True)
class JobLog:
    """The output of a job.

    Attributes:
        submission: That it belongs to.
        job: Its id.
        files: Standard output and error, as far as they are there.
    """

    submission: str
    job: str
    files: tuple[Path, ...]


def logs_of(store: Store, key: str) -> list[JobLog]:
    """The logs of the jobs that had a cell; the one that made its record last, else the latest.

    Args:
        store: The results folder.
        key: Of the cell, or how it starts.

    Raises:
        ConfigError: Several cells start so.
    """
    found = []
    keys = set()
    for submission in read_submissions(store.root):
        for pack in submission.packs:
            matching = {known for known in pack.cells if known.startswith(key)}
            keys |= matching
            if matching and pack.job is not None:
                found.append(_log(store.root, submission.id, pack.job))
    maker = _maker(store, keys or {key})
    if not found and maker is not None:  # a trial: which cell it is was not known when its job was sent
        sent, _, job = maker.rpartition("/")
        found.append(_log(store.root, sent, job))
    if len(keys) > 1:
        raise ConfigError(f"{len(keys)} cells have a key that starts with {key!r}: {', '.join(sorted(keys)[:5])}, …")
    return sorted(found, key=lambda log: f"{log.submission}/{log.job}" == maker)


def _log(results: Path, submission: str, job: str) -> JobLog:
    paths = submitit.core.utils.JobPaths(folder(results, submission) / "jobs", job_id=job)
    return JobLog(submission, job, tuple(path for path in (paths.stdout, paths.stderr) if path.exists()))


def _maker(store: Store, keys: set[str]) -> str | None:
    """The job that made the cell's record, as it says itself."""
    for key in keys:
        try:
            record = store.read(key)
        except ResultCorruptError:
            return None
        return None if record is None else record.environment.get("job")
    return None
