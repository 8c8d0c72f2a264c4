"""What records of others must be to stand beside ours: honest ones pass, all else is refused with a reason."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.cell import supervision_of
from benchmark.counts import Groups, PackedCounts
from benchmark.record import Failure, Record, Resources
from benchmark.registry import TASKS
from benchmark.tuning.note import Tuning
from tests.leaderboard.sending import SCORES, cell, changed_counts, check, honest, one_more, refused, rekeyed, sent


def test_an_honest_submission_is_accepted(records: list[Record], tmp_path: Path) -> None:
    found = check(sent(records, tmp_path))
    assert found.exit_code == 0, found.output
    assert found.output == "accepted: 6 records, 0 errors, 0 warnings\n"


def one_candidate_more(counts: np.ndarray) -> None:
    counts[1, 0, 0, 0] += 1


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
