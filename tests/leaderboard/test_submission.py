"""Submissions as files: they come back as they were sent, and whatever a stranger does to one is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cli import main
from benchmark.errors import ResultCorruptError
from benchmark.record import Failure, Record
from leaderboard import submission as module
from leaderboard.submission import pack, read_submission
from tests.leaderboard.sending import cell, changed_counts, check, one_more, refused, rekeyed, sent


def test_it_comes_back_as_it_was_but_for_names_of_hosts_and_tracebacks(
    lab, records: list[Record], tmp_path: Path
) -> None:
    failed = replace(lab.failure(cell("vanilla", 3)), failure=Failure("diverged", "File /home/me/secret.py"))
    path = sent([*records, failed], tmp_path)
    found = read_submission(path)
    assert found.problems == []
    assert {record.key for record in found.records} == {record.key for record in [*records, failed]}
    for record in found.records:
        assert "host" not in record.environment
        assert record.failure is None or record.failure.traceback == ""
    assert b"secret" not in path.read_bytes()
    by_key = {record.key: record for record in records}
    assert all(r.comparable() == by_key[r.key].comparable() for r in found.records if r.key in by_key)


def test_the_same_records_give_the_same_file(records: list[Record], tmp_path: Path) -> None:
    first = sent(records, tmp_path).read_bytes()
    assert sent(records[::-1], tmp_path).read_bytes() == first


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same archive with other members; the manifest lists what is there unless the change says otherwise."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_written(records: list[Record], tmp_path: Path) -> None:
    names = [
        "../../x",
        "/etc/x",
        "records/../../x.json",
        "records\\..\\x.json",
        "records/x.json",
        "records/" + "a" * 20,
    ]
    for name in names:
        path = rewritten(sent(records, tmp_path), lambda members, name=name: members.update({name: b"{}"}))
        refused(path, "not the name of a record", "--add-to", str(tmp_path / "results"))
        assert not (tmp_path / "results").exists()
    assert not (tmp_path.parent.parent / "x").exists()


def test_a_record_under_another_name_is_refused(records: list[Record], tmp_path: Path) -> None:
    def swap(members: dict[str, bytes]) -> None:
        first, second = sorted(name for name in members if name.startswith("records"))[:2]
        members[first], members[second] = members[second], members[first]

    refused(rewritten(sent(records, tmp_path), swap), "holds the record of another cell")


def test_a_record_that_is_not_what_the_manifest_says_is_refused(records: list[Record], tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.startswith("records"))
        members[name] = members[name].replace(b"a processor", b"a computer!")

    refused(rewritten(sent(records, tmp_path), change), "its checksum differs")


def test_members_and_manifest_must_agree(records: list[Record], tmp_path: Path) -> None:
    def drop(members: dict[str, bytes]) -> None:
        members.pop(next(name for name in members if name.startswith("records")))

    refused(rewritten(sent(records, tmp_path), drop), "listed in manifest.json but not there")
    refused(rewritten(sent(records, tmp_path), lambda members: members.pop("manifest.json")), "has no manifest.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[" * 100_000, "is not a record"),
        (b'{"cell": NaN}', "is not a record"),
        (b"\xff\xfe", "is not a record"),
        (b"{}", "is not a record"),
    ],
)
def test_what_is_no_record_is_refused(content: bytes, says: str, records: list[Record], tmp_path: Path) -> None:
    name = f"records/{'a' * 20}.json"
    refused(rewritten(sent(records, tmp_path), lambda members: members.update({name: content})), says)


def test_a_number_that_is_not_finite_is_no_record(records: list[Record], tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.startswith("records"))
        members[name] = members[name].replace(b'"train_seconds":60.0', b'"train_seconds":1e999')

    refused(rewritten(sent(records, tmp_path), change), "is not a record")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = bytes(50 * 2**20)
    name = f"records/{'a' * 20}.json"
    path = rewritten(sent(records, tmp_path), lambda members: members.update({name: zeros}))
    assert path.stat().st_size < 200_000
    refused(path, f"unpacks to more than {module.MOST_RECORD_BYTES} bytes")
    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    refused(path, "unpacks to more than 10000 bytes; refused")


def test_an_archive_of_too_many_members_is_refused_before_they_are_listed(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sent(records, tmp_path)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the list of members was read"))
    monkeypatch.setattr(module, "MOST_RECORDS", 5)
    refused(path, "at most 5 records are read")


def test_other_kinds_of_zip_are_refused(records: list[Record], tmp_path: Path) -> None:
    path = sent(records, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-2] + b"\x03\x00abc")
    refused(path, "without a comment")
    path.write_bytes(content[:-22] + b"PK\x06\x07" + bytes(16) + content[-22:])
    refused(path, "at most 50000 records")
    for other in (content[:100], b"PAR1" + bytes(1000) + b"PAR1", b""):
        path.write_bytes(other)
        refused(path, "is not a submission (a zip file)")
    refused(tmp_path / "nowhere.zip", "cannot read")


def test_a_member_that_is_there_twice_is_refused(records: list[Record], tmp_path: Path) -> None:
    path = sent(records, tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        name = archive.namelist()[1]
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(name, b"{}")
    refused(path, "more than once")


def test_a_version_of_the_zip_format_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    pack([], path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 200  # the version that is needed to read the first member
    path.write_bytes(bytes(content))
    with pytest.raises(ResultCorruptError, match=r"zip file version 20\.0"):
        read_submission(path)


@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_damaged_file_is_refused_or_read_but_never_crashes(position: int, value: int, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "x.zip"
    pack([], path)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(bytes(content))
    try:
        read_submission(path)
    except ResultCorruptError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_text_of_strangers_cannot_drive_the_terminal(records: list[Record], tmp_path: Path) -> None:
    evil = rekeyed(records[-1], task="x\x1b[2J\n::error::y")
    output = refused(sent([evil, *records[:-1]], tmp_path), "unknown task")
    assert "\x1b" not in output
    assert not any(line.startswith("::") for line in output.splitlines())


def test_accepted_records_are_added_to_a_results_folder_once(records: list[Record], tmp_path: Path) -> None:
    path, results = sent(records, tmp_path), tmp_path / "results"
    assert "6 records added" in check(path, "--add-to", str(results)).output
    assert "0 records added" in check(path, "--add-to", str(results)).output
    stored = sorted(file.stem for file in results.glob("records/??/*.json"))
    assert stored == sorted(record.key for record in records)


def test_packing_selects_and_checks(lab, records: list[Record], tmp_path: Path) -> None:
    lab.records = records
    store = lab.store()
    output = tmp_path / "out.zip"

    def submit(*options: str) -> Result:
        arguments = ["submit-results", "--results", str(store.root), "--data", str(tmp_path), "--output", str(output)]
        return CliRunner().invoke(main, [*arguments, *options])

    assert submit().output == f"{output}: 6 records\naccepted: 0 errors, 0 warnings\n"
    assert submit("--method", "bise").exit_code == 0
    assert {record.cell.method for record in read_submission(output).records} == {"bise"}
    assert "no records" in submit("--method", "nobodys").output
    assert "unknown sweep 'demo'" in submit("--sweep", "demo").output
    store.write(changed_counts(records[0], one_more))
    assert submit().exit_code == 1


def test_the_answer_for_programs(records: list[Record], tmp_path: Path) -> None:
    found = check(sent(records[:-1], tmp_path), "--json")
    assert found.exit_code == 1
    answer = json.loads(found.output)
    assert (answer["accepted"], answer["records"]) == (False, 5)
    assert answer["problems"][0]["severity"] == "error"


def test_records_decode_as_they_were_encoded(records: list[Record]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(records[0]), type=Record).comparable() == records[0].comparable()
