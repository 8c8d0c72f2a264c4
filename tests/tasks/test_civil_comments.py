"""CivilComments on generated tables in WILDS' layout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.conformance.tasks import check_task
from benchmark.counts import Groups
from benchmark.data import Data
from benchmark.errors import DataCorruptError, DataMissingError
from benchmark.metrics import score
from benchmark.protocol import PROTOCOLS
from benchmark.task import Setting, Split, SplitName, groups_of
from tasks.civil_comments import CivilComments, CivilCommentsParams
from tasks.sources.civil_comments import FILE, IDENTITIES, CivilCommentsSource, comments
from tests.tasks import layouts
from tests.tasks.layouts import COLUMNS, COMMENTS, Row

SPLITS: tuple[SplitName, ...] = ("train", "unbiased", "val_biased", "val_unbiased", "test")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(change)``: a data root with the table after ``change``, which may change its rows in place."""

    def write(
        change: Callable[[list[Row]], Any] = lambda rows: None, columns: tuple[str, ...] = COLUMNS, times: int = 1
    ) -> Path:
        rows = layouts.comments(times)
        change(rows)
        return layouts.civil_comments(tmp_path / "data", rows, columns)

    return write


def task(bert: Path) -> CivilComments:
    return CivilComments(CivilCommentsParams(backbone=str(bert), max_length=12))


def build(root: Path, bert: Path, name: SplitName, seed: int = 0) -> Split:
    return task(bert).split(name, Setting(None, seed, PROTOCOLS["paper"], root))


def counts(split: Split) -> dict[tuple[int, int], int]:
    b = split.b.max(1)
    return {group: int(((split.y == group[0]) & (b == group[1])).sum()) for group in COMMENTS}


def test_official_parts_train_and_test_at_their_natural_level(make: Make, tiny_bert: Path) -> None:
    root = make()
    for part, name in ((0, "train"), (2, "test")):
        assert counts(build(root, tiny_bert, name)) == {group: sizes[part] for group, sizes in COMMENTS.items()}  # type: ignore[arg-type]


def test_the_validation_part_is_cut_60_to_40(make: Make, tiny_bert: Path) -> None:
    root = make()
    assert counts(build(root, tiny_bert, "unbiased")) == dict.fromkeys(COMMENTS, 6)
    assert counts(build(root, tiny_bert, "val_biased")) == {(0, 0): 16, (0, 1): 12, (1, 0): 4, (1, 1): 6}
    assert counts(build(root, tiny_bert, "val_unbiased")) == dict.fromkeys(COMMENTS, 4)
    first, second = build(root, tiny_bert, "unbiased"), build(root, tiny_bert, "unbiased", seed=1)
    assert not np.array_equal(first.x, second.x)


def test_training_knows_of_any_identity_and_evaluation_of_all_eight(make: Make, tiny_bert: Path) -> None:
    root = make()
    found = comments(root)
    assert found.identities.shape == (417, 8)
    assert (found.identities.sum(1) == 2).sum() > 20, "some mention two"
    assert build(root, tiny_bert, "train").b.shape == (200, 1)
    assert build(root, tiny_bert, "unbiased").b.shape == (24, 1)
    test = build(root, tiny_bert, "test")
    assert test.b.shape == (122, 8)
    assert test.b.sum(0).tolist() == found.identities[found.part == 2].sum(0).tolist()


def test_accuracies_of_overlapping_groups_are_those_counted_one_by_one(make: Make, tiny_bert: Path) -> None:
    import torch

    from benchmark.evaluate import count

    split, chosen = build(make(), tiny_bert, "test"), task(tiny_bert)
    predicted = np.random.default_rng(0).integers(0, 2, len(split))
    data = Data(split, chosen.inputs(), torch.device("cpu"), with_bias=True)
    groups = groups_of(chosen)
    table = count(torch.from_numpy(predicted), data, groups)
    assert groups.shape == table.shape == (2, 256, 2)
    right, any_identity = predicted == split.y, split.b.max(1)
    four = [right[(split.y == y) & (any_identity == b)].mean() for y in (0, 1) for b in (0, 1)]
    sixteen = {
        f"{name.lower()}_y{y}": right[(split.y == y) & (split.b[:, column] == 1)].mean()
        for column, name in enumerate(IDENTITIES)
        for y in (0, 1)
    }
    assert score("accuracy", table, groups) == pytest.approx(right.mean())
    assert score("worst_group_accuracy", table, groups) == pytest.approx(min(four))
    assert score("unbiased_accuracy", table, groups) == pytest.approx(np.mean(four))
    assert score("aligned_accuracy", table, groups) == pytest.approx(right[split.y == any_identity].mean())
    assert score("conflicting_accuracy", table, groups) == pytest.approx(right[split.y != any_identity].mean())
    assert score("worst_overlapping_group", table, groups) == pytest.approx(min(sixteen.values()))
    for name, expected in sixteen.items():
        assert score(name, table, groups) == pytest.approx(expected)
    assert min(sixteen.values()) < min(four), "the worst of small overlapping groups is worse"


def test_groups_that_do_not_overlap_are_read_as_before() -> None:
    import msgspec

    stored = b'{"classes": 2, "bias_names": ["b"], "bias_values": [2], "aligned": [[0, 1]]}'
    groups = msgspec.json.decode(stored, type=Groups)
    assert groups == Groups(2, ("b",), (2,), ((0, 1),)) == groups.cells


def test_empty_comments_are_left_out_and_counted_and_na_is_a_comment(
    make: Make, tiny_bert: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def emptied(rows: list[Row]) -> None:
        rows[3]["comment_text"], rows[4]["comment_text"], rows[5]["comment_text"] = "", " \n", "NA"

    root = make(emptied)
    found = comments(root)
    assert (found.left_out, len(found.texts), found.texts[3]) == (2, 415, "NA")
    with caplog.at_level(logging.WARNING):
        build(root, tiny_bert, "train")
    assert "2 empty comments are left out" in caplog.text


def changed(row: int, **values: str) -> Callable[[list[Row]], None]:
    return lambda rows: rows[row].update(values)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (changed(8, toxicity="1.2"), "row 9 below the header: toxicity is '1.2', expected a share between 0 and 1"),
        (changed(0, toxicity=""), "row 1 below the header: toxicity is '', expected a share"),
        (changed(416, muslim="yes"), "row 417 below the header: muslim is 'yes', expected a share"),
        (changed(5, split="dev"), "row 6 below the header: split is 'dev', expected one of train, val, test"),
    ],
)
def test_a_value_out_of_range_is_an_error_with_file_and_row(
    change: Callable[[list[Row]], None], complaint: str, make: Make
) -> None:
    root = make(change)
    with pytest.raises(DataCorruptError, match=rf"all_data_with_identities\.csv, {complaint}"):
        comments(root)


def test_missing_columns_files_and_groups_are_errors(make: Make, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=rf"missing {FILE}.*pip install wilds"):
        build(tmp_path, tiny_bert, "train")
    columns = tuple(column for column in COLUMNS if column not in ("LGBTQ", "split"))
    with pytest.raises(DataCorruptError, match=r"identities\.csv has no column split, LGBTQ; is it WILDS' table"):
        comments(make(columns=columns))


def test_an_empty_group_is_an_error(make: Make, tiny_bert: Path) -> None:
    def without(rows: list[Row]) -> None:
        rows[:] = [row for row in rows if row["split"] != "train" or row["toxicity"] < "0.5" or "1.0" in row.values()]

    with pytest.raises(DataCorruptError, match=r"split train: only 3 of the 4 groups \(y, b\) have samples"):
        build(make(without), tiny_bert, "train")


def test_it_keeps_what_tasks_promise(make: Make, tiny_bert: Path) -> None:
    found = list(check_task("civil_comments", None, {"backbone": str(tiny_bert), "max_length": 12}, make(times=3)))
    assert [finding.problem for finding in found] == [None] * 11


def test_verifying_compares_the_official_sizes(make: Make) -> None:
    problems = CivilCommentsSource().verify(make())
    assert len(problems) == 3
    assert problems[0].endswith("has 200 comments in split train, the published table 269,038")


def test_the_command_line_says_what_to_put_where(tmp_path: Path) -> None:
    invoke = CliRunner().invoke
    fetched = invoke(main, ["data", "fetch", "civil_comments", "--data", str(tmp_path)])
    assert fetched.exit_code != 0
    assert f"the table is to be at {FILE} under the data root" in " ".join(fetched.output.split())
    shown = invoke(main, ["data", "status", "--data", str(tmp_path)])
    assert any(line.startswith("civil_comments") and "not here" in line for line in shown.output.splitlines())


@pytest.mark.timeout(900)  # ten seconds of computing, on a loaded machine many times that
def test_a_sweep_ends_in_scores_of_four_and_of_sixteen_groups(make: Make, tiny_bert: Path, tmp_path: Path) -> None:
    import json

    import pandas as pd

    sweep = {
        "tasks": [{"name": "civil_comments", "params": {"backbone": str(tiny_bert), "max_length": 12}}],
        "methods": ["vanilla", {"name": "bise", "params": {"tau_start": 0.002}}, "denetdm"],
        "seeds": 1,
        "protocol": "smoke",
        "diagnostics": True,
    }
    (tmp_path / "sweep.yaml").write_text(json.dumps(sweep))
    results = str(tmp_path / "results")
    ran = CliRunner().invoke(
        main, ["run", str(tmp_path / "sweep.yaml"), "--jobs", "0", "--results", results, "--data", str(make())]
    )
    assert ran.exit_code == 0, ran.output
    assert CliRunner().invoke(main, ["aggregate", "--results", results]).exit_code == 0
    rows = pd.read_parquet(Path(results) / "results.parquet")
    assert set(rows["method"]) == {"vanilla", "bise", "denetdm"}
    for _, row in rows[rows["rule"] == "last"].iterrows():
        four, sixteen = row["worst_group_accuracy"], json.loads(row["combinations"])
        assert 0 <= sixteen["worst_overlapping_group"] <= four + 1e-9 or four == 0
        assert len(sixteen) == 17
        diagnosed = json.loads(row["diagnostics"]) if isinstance(row["diagnostics"], str) else row["diagnostics"]
        assert not any("failed" in found for found in diagnosed.values()), diagnosed
