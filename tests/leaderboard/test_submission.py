"""Submissions: honest ones pass, and everything that a stranger may do to one is refused with a reason."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cell import Cell, make_cell, supervision_of
from benchmark.cli import main
from benchmark.counts import Groups, PackedCounts
from benchmark.errors import ResultCorruptError
from benchmark.protocol import PROTOCOLS
from benchmark.record import Failure, Record, Resources
from benchmark.registry import TASKS
from benchmark.tuning.note import Tuning
from leaderboard import submission as module
from leaderboard.submission import pack, read_submission

SCORES = {"vanilla": 0.3, "bise": 0.7}


def cell(method: str, seed: int, **params: Any) -> Cell:
    kind = TASKS.get("colored_mnist")
    protocol = PROTOCOLS["short"]
    task = kind(kind.resolve(kind.Params(source="embedded"), Path(), protocol))
    return make_cell(task, 0.95, method, params, seed, protocol)


def honest(lab, method: str, seed: int) -> Record:
    """Its counts add up; the test split of the embedded digits has 10 samples per digit and colour."""
    return lab.sound(cell(method, seed), [0.2, SCORES[method]])


@pytest.fixture
def records(lab) -> list[Record]:
    return [honest(lab, method, seed) for method in SCORES for seed in range(3)]


def check(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["validate", str(path), "--data", str(path.parent), *options])


def refused(path: Path, says: str, *options: str) -> str:
    found = check(path, *options)
    assert found.exit_code == 1, found.output
    assert says in found.output
    return found.output


def sent(records: list[Record], folder: Path) -> Path:
    path = folder / "sent.zip"
    pack(records, path)
    return path


def test_an_honest_submission_is_accepted(records: list[Record], tmp_path: Path) -> None:
    found = check(sent(records, tmp_path))
    assert found.exit_code == 0, found.output
    assert found.output == "accepted: 6 records, 0 errors, 0 warnings\n"


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


def changed_counts(record: Record, change: Callable[[np.ndarray], None], split: str = "test") -> Record:
    counts = record.counts[split].unpack()
    change(counts)
    return replace(record, counts={**record.counts, split: PackedCounts.pack(counts)})


def one_more(counts: np.ndarray) -> None:
    counts[:, 3, 4, 3] += 1


def one_candidate_more(counts: np.ndarray) -> None:
    counts[1, 0, 0, 0] += 1


def rekeyed(record: Record, **changes: Any) -> Record:
    other = replace(record.cell, **changes)
    return replace(record, cell=other, key=other.key)


def of_complete_data(record: Record, upstream: str = "") -> Record:
    """The record as one of the complete MNIST, which is not here."""
    start = {"upstream": {"vanilla": upstream}} if record.cell.upstream else {}
    return rekeyed(record, task_params={**record.cell.task_params, "source": "complete"}, **start)


WRONG: dict[str, tuple[Callable[[Record], Record], str]] = {
    "a count too many": (lambda r: changed_counts(r, one_more), "11 of them with y=3, b=4; the split has 1000, 10"),
    "candidates on other samples": (lambda r: changed_counts(r, one_candidate_more), "for one candidate than"),
    "another cell's key": (lambda r: replace(r, cell=replace(r.cell, seed=7)), "key belongs to another cell"),
    "a protocol of one's own": (
        lambda r: rekeyed(r, protocol=replace(r.cell.protocol, max_epochs=1000)),
        "an unequal budget",
    ),
    "another version of the task": (lambda r: rekeyed(r, task_version=9), "task version 9, expected 1"),
    "another version of the method": (lambda r: rekeyed(r, method_version=9), "method version 9, expected 1"),
    "another harness": (lambda r: rekeyed(r, engine_version=99), "harness version 99"),
    "an unknown task": (lambda r: rekeyed(r, task="colored_mnits"), "did you mean 'colored_mnist'"),
    "an unknown parameter": (lambda r: rekeyed(r, params={**r.cell.params, "gama": 1}), "gama"),
    "parameters left out": (lambda r: rekeyed(r, params={}), "parameters are not all given"),
    "a source that is not resolved": (
        lambda r: rekeyed(r, task_params={**r.cell.task_params, "source": "auto"}),
        "not resolved",
    ),
    "an impossible rho": (lambda r: rekeyed(r, rho=1.5), "rho is the share"),
    "a negative seed": (lambda r: rekeyed(r, seed=-1), "seed -1"),
    "supervision hidden": (
        lambda r: replace(r, supervision=supervision_of(cell("vanilla", 0))),
        "supervision none, expected b on train",
    ),
    "no supervision": (lambda r: replace(r, supervision=None), "does not say its supervision"),
    "an upstream cell of one's own": (lambda r: rekeyed(r, upstream={"vanilla": "0" * 20}), "starts from another"),
    "no upstream cell": (lambda r: rekeyed(r, upstream={}), "it starts from [], expected ['vanilla']"),
    "axes of one's own": (lambda r: replace(r, groups=Groups(2)), "axes of its counts"),
    "a bomb of counts": (
        lambda r: replace(
            r,
            candidates=(r.candidates[0],) * 1000,
            counts={**r.counts, "test": PackedCounts((10**6, 10, 10, 10), zlib.compress(bytes(10**6)))},
        ),
        "have shape (1000000, 10, 10, 10), expected (1000, 10, 10, 10)",
    ),
    "counts cut off": (
        lambda r: replace(r, counts={**r.counts, "test": replace(r.counts["test"], data=r.counts["test"].data[:50])}),
        "counts of test cannot be unpacked",
    ),
    "a split left out": (
        lambda r: replace(r, counts={"test": r.counts["test"]}),
        "counts of ['test'], expected ['test', 'val_biased', 'val_unbiased']",
    ),
    "no candidates": (lambda r: replace(r, candidates=()), "0 candidates"),
    "candidates of one name": (lambda r: replace(r, candidates=r.candidates[:1] * 2), "the same label"),
    "an impossible sparsity": (
        lambda r: replace(r, candidates=tuple(replace(c, sparsity=7.0) for c in r.candidates)),
        "sparsity 7.0",
    ),
    "time run backwards": (lambda r: replace(r, resources=Resources(train_seconds=-1.0)), "train_seconds is -1.0"),
    "memory beyond all bounds": (
        lambda r: replace(r, resources=Resources(peak_memory_bytes=10**30)),
        "peak_memory_bytes is 1000000000000000000000000000000",
    ),
    "operations beyond all bounds": (
        lambda r: replace(r, candidates=tuple(replace(c, macs=10**30) for c in r.candidates)),
        "multiply-accumulates",
    ),
    "a seed beyond all bounds": (lambda r: rekeyed(r, seed=10**30), "expected 0 to 9007199254740992"),
    "time that is no number": (lambda r: replace(r, resources=Resources(train_seconds=float("1e400"))), "not a record"),
    "a log of unequal curves": (
        lambda r: replace(r, training={"masks": {"loss": (1.0, 2.0), "tau": (1.0,)}}),
        "phase 'masks' logs more epochs of one number than of another",
    ),
    "an endless log": (
        lambda r: replace(r, training={"masks": {"loss": (1.0,) * 1_000_001}}),
        "more than 1000000 numbers of its epochs",
    ),
    "diagnostics of another form": (
        lambda r: replace(r, diagnostics={"pruned": {"weights": {"conv": "all"}}}),
        "its diagnostics are of another form",
    ),
    "hardware that is no text": (
        lambda r: replace(r, environment={**r.environment, "hardware": ["a"]}),
        "environment.hardware is ['a'], expected text",
    ),
    "no code": (lambda r: replace(r, environment={}), "which code made it"),
    "no time": (lambda r: replace(r, finished_at="yesterday"), "finished_at is 'yesterday'"),
    "done and failed": (lambda r: replace(r, failure=Failure("why")), "it is done, and has a reason of failure"),
    "another layout": (lambda r: replace(r, schema=99), "layout 99"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_record_that_cannot_be_right_is_refused(name: str, records: list[Record], tmp_path: Path) -> None:
    change, says = WRONG[name]
    refused(sent([change(records[-1]), *records[:-1]], tmp_path), says)


def test_a_failed_record_needs_a_reason_and_has_no_counts(lab, records: list[Record], tmp_path: Path) -> None:
    silent = replace(lab.failure(records[-1].cell), failure=None)
    refused(sent([silent, *records[:-1]], tmp_path), "it failed, and says no reason")
    counted = replace(records[-1], status="failed", failure=Failure("why"))
    refused(sent([counted, *records[:-1]], tmp_path), "it failed, and has counts or candidates")


def test_a_missing_seed_is_refused_and_a_failed_one_is_not_missing(lab, records: list[Record], tmp_path: Path) -> None:
    output = refused(sent(records[:-1], tmp_path), "seeds 2 are missing, which other methods of the section have")
    assert "bise" in output
    failed = lab.failure(records[-1].cell)
    assert check(sent([*records[:-1], failed], tmp_path)).exit_code == 0


def test_seeds_that_a_trusted_table_has_and_all_sent_methods_lack_are_refused(
    lab, records: list[Record], tmp_path: Path
) -> None:
    lab.records = [honest(lab, "vanilla", seed) for seed in range(4)]
    trial = replace(cell("vanilla", 1000), tuning=Tuning("s", "trial", 0))
    other = replace(cell("vanilla", 7), precision="bf16")
    lab.records += [lab.failure(cell("vanilla", 4)), lab.record(trial, [0.5]), lab.record(other, [0.5])]
    trusted = str(lab.table())
    chosen = sent([honest(lab, method, seed) for method in SCORES for seed in (1, 2, 4)], tmp_path)
    output = refused(chosen, "seeds 0, 3 are missing, which the section has in a trusted table", "--against", trusted)
    assert "1 errors, 0 warnings" in output
    full = sent([honest(lab, method, seed) for method in SCORES for seed in range(5)], tmp_path)
    assert check(full, "--against", trusted).output == "accepted: 10 records, 0 errors, 0 warnings\n"


def test_a_gap_in_the_seeds_is_a_warning_where_no_table_has_the_same(
    lab, records: list[Record], tmp_path: Path
) -> None:
    chosen = [honest(lab, method, seed) for method in SCORES for seed in (1, 2, 4)]
    found = check(sent(chosen, tmp_path))
    assert "its seeds are 1, 2, 4, not 0 to 2" in found.output
    assert "accepted: 6 records, 0 errors, 1 warnings" in found.output
    lab.records = chosen[:3]
    found = check(sent(chosen, tmp_path), "--against", str(lab.table()))
    assert found.output == "accepted: 6 records, 0 errors, 0 warnings\n"


def test_two_records_of_one_seed_are_refused(lab, records: list[Record], tmp_path: Path) -> None:
    other = lab.record(replace(records[0].cell, upstream={"vanilla": "0" * 20}), [0.5])
    refused(sent([*records, other], tmp_path), "2 records for the same seed")


def test_mixed_versions_of_a_method_that_is_not_installed_are_refused(
    lab, records: list[Record], tmp_path: Path
) -> None:
    theirs = [
        lab.record(replace(cell("vanilla", seed), method="theirs", method_version=1 + seed % 2), [0.5])
        for seed in range(3)
    ]
    output = refused(sent([*records, *theirs], tmp_path), "method theirs: versions 1, 2 are mixed")
    assert "warning: method 'theirs': not installed here" in output


def test_validation_samples_must_be_the_same_for_all_methods_of_a_seed(records: list[Record], tmp_path: Path) -> None:
    upstream = {record.cell.seed: of_complete_data(record).key for record in records if record.cell.method == "vanilla"}
    *others, last = [of_complete_data(record, upstream[record.cell.seed]) for record in records]
    other = changed_counts(last, one_more, "val_biased")
    refused(sent([*others, other], tmp_path), "val_biased has other samples in records of bise and vanilla")


@pytest.mark.parametrize("split", ["val_biased", "val_unbiased"])
def test_validation_samples_that_are_not_those_of_the_data_are_refused(
    split: str, records: list[Record], tmp_path: Path
) -> None:
    def most(counts: np.ndarray) -> None:
        counts[:] = 2**32 - 1

    changed = [changed_counts(record, most, split) for record in records]
    output = refused(sent(changed, tmp_path), f"counts of {split} add up to 4294967295000 samples")
    assert "the split has 500, " in output
    assert "6 errors, 0 warnings" in output


def test_without_the_data_group_sizes_come_from_a_trusted_table(lab, records: list[Record], tmp_path: Path) -> None:
    here = [of_complete_data(record) for record in records if record.cell.method == "vanilla"]
    found = check(sent(here, tmp_path))
    assert found.exit_code == 0
    unknown = "val_biased (3 records), val_unbiased (3 records)"
    assert f"not known here: counts of {unknown}, test (3 records) are not checked" in found.output
    lab.records = here
    trusted = str(lab.table())
    found = check(sent(here, tmp_path), "--against", trusted)
    assert f"not known here: counts of {unknown} are not checked" in found.output
    assert "accepted: 3 records, 0 errors, 1 warnings" in found.output
    wrong = [changed_counts(here[0], one_more), *here[1:]]
    refused(sent(wrong, tmp_path), "11 of them with y=3, b=4; the split has 1000, 10", "--against", trusted)


def test_splits_that_were_too_many_to_build_are_named(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderboard.group_sizes.MOST_BUILT", 2)  # of three seeds, with two methods each
    found = check(sent(records, tmp_path))
    assert (
        "counts of val_biased (2 records), val_unbiased (2 records), test (2 records) are not checked" in found.output
    )


def test_a_table_whose_large_texts_repeat_does_not_fill_the_memory(lab, records: list[Record], tmp_path: Path) -> None:
    lab.records = records[:1]
    row = pq.read_table(lab.table()).slice(0, 1)
    table = row.take(pa.array([0] * 1500)).set_column(row.column_names.index("seed"), "seed", pa.array(range(1500)))
    text = " " * 1_000_000 + row.column("groups")[0].as_py()
    groups = pa.DictionaryArray.from_arrays(pa.array([0] * 1500, pa.int32()), pa.array([text]))
    table = table.set_column(row.column_names.index("groups"), "groups", groups)
    bomb = tmp_path / "bomb.parquet"
    pq.write_table(table, bomb, compression="zstd", dictionary_pagesize_limit=2**24)
    assert bomb.stat().st_size < 100_000
    code = (
        "import sys; from pathlib import Path; from leaderboard.group_sizes import TableSizes\n"
        "TableSizes(Path(sys.argv[1]))\n"
        # not ru_maxrss, which begins with what the process had that this one was forked from
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    found = subprocess.run([sys.executable, "-c", code, bomb], capture_output=True, text=True, check=True, timeout=120)
    assert int(found.stdout) < 600_000  # kB; written out, the texts of 1024 rows alone would take 1 GB


def test_a_table_with_counts_beyond_all_bounds_is_refused(lab, records: list[Record], tmp_path: Path) -> None:
    lab.records = records[:1]
    table = pq.read_table(lab.table())
    groups = '{"classes": 100000, "bias_names": ["b"], "bias_values": [100000], "aligned": [[0]]}'
    place = table.column_names.index("groups")
    pq.write_table(table.set_column(place, "groups", pa.array([groups] * len(table))), tmp_path / "bomb.parquet")
    found = check(sent(records, tmp_path), "--against", str(tmp_path / "bomb.parquet"))
    assert found.exit_code == 1
    assert "counts of the shape (100000, 100000, 100000), more than any that are read" in found.output


def test_parameters_on_which_a_plugin_stumbles_are_refused_not_crashed_on(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(self: Any, *_: Any) -> None:
        raise ZeroDivisionError("some parameter is 0")

    monkeypatch.setattr(TASKS.get("colored_mnist"), "split", stumble)
    refused(sent(records, tmp_path), "checking it failed: ZeroDivisionError: some parameter is 0")


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
