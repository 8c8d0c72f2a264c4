"""The results folder: one atomic file per record, folders sharded by key, artifacts and checkpoints beside them.

records/ab/<key>.json       finished cells
failures/ab/<key>.json      failed cells
artifacts/ab/<key>.<checksum>.safetensors
deaths/ab/<key>             a line for each worker that died with the cell
claims/<key>                cells in progress
work/<key>/                 checkpoint and candidates of a cell in progress
tuning/journal.log          Optuna's journal of all studies; <study>.json beside it says what one has chosen
submissions/<id>/           what was sent to a cluster: packs of cells, their jobs, what these printed
code/<fingerprint>/         the code that these jobs run
sweeps/<name>.json          sweeps that were run here, to know what is missing
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from benchmark.errors import ResultCorruptError
from benchmark.files import write_atomic
from benchmark.record import SCHEMA_VERSION, Record

State = Literal["done", "failed", "missing"]
STATES: tuple[State, ...] = ("done", "failed", "missing")
QUICK_SECONDS = 1.0
"""What took less is not worth waiting for the disk: if a power cut truncates its record, it counts as missing."""

END = b"}\n"
"""Of a whole record file."""

_decoder = msgspec.json.Decoder(Record)


class _Diagnosed(msgspec.Struct):
    """The part of a record that says what was diagnosed, read without the rest."""

    diagnostics: dict[str, msgspec.Raw] = {}


_diagnostics = msgspec.json.Decoder(_Diagnosed)


class Store:
    """Reads and writes one results folder; every process may have its own."""

    def __init__(self, root: Path) -> None:
        """Nothing is created until something is written."""
        self.root = root

    def record_path(self, key: str) -> Path:
        """Where the record of a finished cell is."""
        return self.root / "records" / key[:2] / f"{key}.json"

    def failure_path(self, key: str) -> Path:
        """Where the record of a failed cell is."""
        return self.root / "failures" / key[:2] / f"{key}.json"

    def work_folder(self, key: str) -> Path:
        """For the checkpoint and the candidates of a cell in progress."""
        return self.root / "work" / key

    def checkpoint_path(self, key: str) -> Path:
        """Where the progress of an interrupted cell is."""
        return self.work_folder(key) / "checkpoint.pt"

    def write(self, record: Record) -> Path:
        """Store a record; a finished one replaces an earlier failure of the cell."""
        failed, took = record.status == "failed", record.resources.train_seconds + record.resources.evaluate_seconds
        path = self.failure_path(record.key) if failed else self.record_path(record.key)
        write_atomic(path, msgspec.json.encode(record) + b"\n", flush=failed or took >= QUICK_SECONDS)
        if not failed:
            self.failure_path(record.key).unlink(missing_ok=True)
            self._deaths_path(record.key).unlink(missing_ok=True)
        shutil.rmtree(self.work_folder(record.key), ignore_errors=True)
        return path

    def read(self, key: str) -> Record | None:
        """The record of a cell, finished or failed, or ``None``.

        Raises:
            ResultCorruptError: Its file is damaged.
        """
        for path in (self.record_path(key), self.failure_path(key)):
            try:
                return read_record(path)
            except FileNotFoundError:
                continue
        return None

    def state(self, key: str, diagnostics: Collection[str] = ()) -> State:
        """What is known of one cell; it is not done before its record has these diagnostics."""
        if _ends_as_record(self.record_path(key)) and (not diagnostics or self.diagnosed(key) >= set(diagnostics)):
            return "done"
        return "failed" if _ends_as_record(self.failure_path(key)) else "missing"

    def diagnosed(self, key: str) -> set[str]:
        """The diagnostics in the record of a finished cell."""
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return set(_diagnostics.decode(self.record_path(key).read_bytes()).diagnostics)
        return set()

    def finished(self) -> set[str]:
        """Keys of the finished cells."""
        return set(_complete_files(self.root / "records"))

    def failed(self, finished: Collection[str] | None = None) -> set[str]:
        """Keys of the cells that failed and have not finished since; ``finished``, if they were listed already."""
        failures = self.failures()
        return failures.difference(self.finished() if finished is None and failures else finished or ())

    def failures(self) -> set[str]:
        """Keys of the cells whose last run failed, be it only to add diagnostics to a finished record."""
        return set(_complete_files(self.root / "failures"))

    def record_files(self) -> list[tuple[str, str]]:
        """Keys and files of all records by key, damaged ones included; of a cell that has both, the finished one."""
        return sorted({**dict(_files(self.root / "failures")), **dict(_files(self.root / "records"))}.items())

    def finished_files(self) -> Iterator[tuple[str, str]]:
        """Keys and files of the finished cells, damaged ones included."""
        yield from _files(self.root / "records")

    def artifact(self, key: str) -> Path | None:
        """The file of a cell's artifact, if it is there."""
        return next(iter(sorted(self.artifact_folder(key).glob(f"{key}.*.safetensors"))), None)

    def has_artifact(self, key: str) -> bool:
        """Whether a finished cell's artifact is there; without its record, its worker died before it had finished."""
        return self.state(key) == "done" and self.artifact(key) is not None

    def artifact_folder(self, key: str) -> Path:
        """Where the artifact of a cell belongs."""
        return self.root / "artifacts" / key[:2]

    def note_death(self, key: str, cause: str) -> int:
        """Remember that a worker died with this cell; returns how many have."""
        path = self._deaths_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(" ".join(cause.split()) + "\n")
        return len(self.deaths(key))

    def deaths(self, key: str) -> list[str]:
        """The causes of death of the workers that died with this cell."""
        try:
            return self._deaths_path(key).read_text().splitlines()
        except FileNotFoundError:
            return []

    def progressed_since(self, key: str, time: float) -> bool:
        """Whether a cell in progress has saved a checkpoint after this Unix time."""
        try:
            return self.checkpoint_path(key).stat().st_mtime > time
        except FileNotFoundError:
            return False

    def forget_failure(self, key: str) -> None:
        """Let a failed cell be tried again."""
        self._deaths_path(key).unlink(missing_ok=True)
        self.failure_path(key).unlink(missing_ok=True)

    def _deaths_path(self, key: str) -> Path:
        return self.root / "deaths" / key[:2] / key


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        FileNotFoundError: It is not there.
        ResultCorruptError: As :func:`decode_record`.
    """
    return decode_record(path, path.read_bytes())


def decode_record(path: Path, content: bytes) -> Record:
    """The record that a file at this path contains.

    Raises:
        ResultCorruptError: It is truncated, not a record, or of another schema.
    """
    try:
        record = _decoder.decode(content)
    except (msgspec.DecodeError, ValueError) as error:
        raise ResultCorruptError(f"record {path} is damaged ({error}); delete it and run the sweep again") from error
    if record.schema != SCHEMA_VERSION:
        raise ResultCorruptError(f"record {path} has layout {record.schema}, this version reads {SCHEMA_VERSION}")
    if record.key != path.stem or record.cell.key != record.key:
        raise ResultCorruptError(f"record {path} does not belong to its key; delete it and run the sweep again")
    return record


def ends_as_record(content: bytes) -> bool:
    """Whether a file with this content is a whole record; a truncated one counts as missing."""
    return content.endswith(END)


def _complete_files(folder: Path) -> Iterator[str]:
    """Stems of the record files that end as a record does."""
    return (key for key, path in _files(folder) if _ends_as_record(path))


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Stems and paths of the record files."""
    try:
        shards = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for shard in shards:
        if not shard.is_dir():
            continue
        for entry in os.scandir(shard.path):
            if entry.name.endswith(".json"):
                yield entry.name.removesuffix(".json"), entry.path


def _ends_as_record(path: str | Path) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (100,000 times a run: the plain call is the fast one)
            size = os.fstat(file.fileno()).st_size
            return os.pread(file.fileno(), len(END), max(0, size - len(END))) == END
    except FileNotFoundError:
        return False  # a failure may be replaced by a result at any time
