"""Submissions: the records of cells in one zip file, with a manifest of their checksums.

Reading one trusts nothing: the file, the number of its members and what each unpacks to are bounded, names must be
those of records, and nothing is ever written where a name says.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from benchmark.code import code_version
from benchmark.errors import ResultCorruptError
from benchmark.files import atomic_path
from benchmark.record import SCHEMA_VERSION, Failure, Record
from leaderboard.scrub import without_paths

MOST_RECORDS = 50_000
MOST_FILE_BYTES = 500 * 2**20
MOST_RECORD_BYTES = 8 * 2**20
"""A record with 100 candidates of ten classes and ten bias values has about 300 kB."""
MOST_BYTES = 2**30
"""Of all members, unpacked."""
MANIFEST = "manifest.json"
MEMBER = re.compile(r"records/[0-9a-f]{20}\.json")
MOST_DIRECTORY_BYTES = 128 * MOST_RECORDS
END = struct.Struct("<4s4H2LH")
"""The end record of a zip file: signature, two disks, members here and in all, directory's size and place, comment."""
LOCATOR = 20
"""Bytes before it that lead to the end record of archives too large for it, if there is one."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Of every member, so that the same records give the same file."""


@dataclass(frozen=True)
class Manifest:
    """What a submission says of itself.

    Attributes:
        records: SHA-256 of each record, by the name of its member.
        code: Version of the code that packed it.
        schema: Version of the records' layout.
    """

    records: dict[str, str]
    code: str
    schema: int = SCHEMA_VERSION


@dataclass
class Submission:
    """What could be read of a submission.

    Attributes:
        records: Its records, in order of their keys.
        problems: What is wrong with members that could not be read.
        code: Version of the code that packed it; empty if it does not say.
    """

    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    code: str = ""


def pack(records: Iterable[Record], path: Path) -> int:
    """Write records into a submission; the same records give the same bytes.

    What names people and machines is left out: hosts, tracebacks, folders in reasons of failures.

    Returns:
        How many records it holds.
    """
    members = {f"records/{record.key}.json": _encoded(record) for record in records}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    manifest = msgspec.json.encode(Manifest(checksums, code_version()), order="sorted")
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in [(MANIFEST, manifest), *sorted(members.items())]:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return len(members)


def read_submission(path: Path) -> Submission:
    """Read a submission.

    Returns:
        All records that could be read, and what is wrong with the others.

    Raises:
        ResultCorruptError: It is not there, not a submission, or larger than any.
    """
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise ResultCorruptError(f"{path} has {path.stat().st_size} bytes; at most {MOST_FILE_BYTES} are read")
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive, str(path))
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ResultCorruptError(f"cannot read {path} as a submission (a zip file): {error}") from error


def _check_directory(path: Path) -> None:
    """Bound the list of members before zipfile reads it; its end record is the last of the file, as :func:`pack` ends.

    Raises:
        ResultCorruptError: It is too long, or in the form for larger archives.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - END.size - LOCATOR))
        tail = file.read()
    if len(tail) < END.size or not zipfile.is_zipfile(path):
        raise ResultCorruptError(f"{path} is not a submission (a zip file)")
    signature, _, _, _, count, size, _, comment = END.unpack(tail[-END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise ResultCorruptError(f"{path} is not a submission (a zip file without a comment)")
    if tail[: -END.size].startswith(b"PK\x06\x07") or count > MOST_RECORDS + 1 or size > MOST_DIRECTORY_BYTES:
        raise ResultCorruptError(f"{path} lists {count} members or more; at most {MOST_RECORDS} records are read")


def _read_archive(archive: zipfile.ZipFile, where: str) -> Submission:
    infos = archive.infolist()
    names = Counter(info.filename for info in infos)
    if MANIFEST not in names:
        raise ResultCorruptError(f"{where} has no {MANIFEST}; make one with `debias-bench submit-results`")
    budget = MOST_BYTES
    found, contents = Submission(), {}
    for info in infos:
        if info.filename != MANIFEST and not MEMBER.fullmatch(info.filename):
            found.problems.append(f"member {info.filename!r}: not the name of a record, records/<20 hex digits>.json")
        elif names[info.filename] > 1:
            found.problems.append(f"member {info.filename!r} is there more than once")
        else:
            content = _read_member(archive, info, found)
            budget -= len(content)
            if budget < 0:
                raise ResultCorruptError(f"{where} unpacks to more than {MOST_BYTES} bytes; refused")
            contents[info.filename] = content
    _check_manifest(contents.pop(MANIFEST, b""), contents, found)
    for name in sorted(contents):
        _decode(name, contents[name], found)
    return found


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, found: Submission) -> bytes:
    """A member's content, or nothing and a problem."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found.problems.append(f"member {info.filename!r} is compressed in another way than by deflate")
        return b""
    try:
        with archive.open(info) as member:
            content = member.read(MOST_RECORD_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        found.problems.append(f"member {info.filename!r} cannot be unpacked: {error}")
        return b""
    if len(content) > MOST_RECORD_BYTES:
        found.problems.append(f"member {info.filename!r} unpacks to more than {MOST_RECORD_BYTES} bytes")
        return b""
    return content


def _check_manifest(content: bytes, members: dict[str, bytes], found: Submission) -> None:
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        found.problems.append(f"{MANIFEST} cannot be read: {error}")
        return
    found.code = manifest.code
    for name in sorted(manifest.records.keys() ^ members.keys()):
        where = f"listed in {MANIFEST} but not there" if name in manifest.records else f"not listed in {MANIFEST}"
        found.problems.append(f"member {name!r} is {where}")
    for name in sorted(manifest.records.keys() & members.keys()):
        if hashlib.sha256(members[name]).hexdigest() != manifest.records[name]:
            found.problems.append(f"member {name!r} is not what {MANIFEST} says: its checksum differs")


def _decode(name: str, content: bytes, found: Submission) -> None:
    if not content:
        return  # told already
    try:
        record = msgspec.json.decode(content, type=Record)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        found.problems.append(f"member {name!r} is not a record: {error}")
        return
    if name != f"records/{record.key}.json":
        found.problems.append(f"member {name!r} holds the record of another cell, {record.key!r}")
    else:
        found.records.append(record)


def _encoded(record: Record) -> bytes:
    environment = {name: value for name, value in record.environment.items() if name != "host"}
    failure = Failure(without_paths(record.failure.reason)) if record.failure else None
    return msgspec.json.encode(replace(record, environment=environment, failure=failure)) + b"\n"
