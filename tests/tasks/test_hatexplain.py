"""HateXplain on generated tables in its layout, and on the real one where it is there."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.conformance.tasks import check_task
from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.task import Setting, Split, SplitName
from tasks.hatexplain import HateXplain, HateXplainParams
from tasks.sources.hatexplain import FILE, NO_IDENTITY, HateXplainSource, posts
from tasks.texts import first_copies

PAPER = PROTOCOLS["paper"]
SPLITS: tuple[SplitName, ...] = ("train", "unbiased", "val_biased", "val_unbiased", "test")
VOCABULARY = ["people", "they", "we", "you", "good", "bad", "great", "awful", "nice", "stupid"]
COUNTS = {  # (label, speaks of a group): posts
    ("normal", False): 300,
    ("normal", True): 100,
    ("offensive", False): 60,
    ("offensive", True): 150,
    ("hatespeech", False): 20,
    ("hatespeech", True): 200,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


def sentence(number: int) -> str:
    """Its digits as words; longer ones for greater numbers."""
    words = [VOCABULARY[int(digit)] for digit in f"{number:03d}"]
    return " ".join(words + ["very"] * (number % 5))


def table() -> pd.DataFrame:
    """Posts in the order of ``COUNTS``; every group of people takes its turn."""
    rows = []
    for (label, spoken_of), count in COUNTS.items():
        for _ in range(count):
            row = {"comment": sentence(len(rows)), "label": label, **NO_IDENTITY, "miscellaneous": "Refugee"}
            if spoken_of:
                column = list(NO_IDENTITY)[len(rows) % 4]
                row[column] = "Somebody"
            rows.append(row)
    return pd.DataFrame(rows)


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(change)``: a data root with the table after ``change``."""

    def write(change: Callable[[pd.DataFrame], Any] = lambda frame: None) -> Path:
        frame = table()
        changed = change(frame)
        path = tmp_path / "data" / FILE
        path.parent.mkdir(parents=True)
        (frame if changed is None else changed).to_parquet(path)
        return tmp_path / "data"

    return write


def build(
    root: Path, bert: Path, name: SplitName, seed: int = 0, protocol: Protocol = PAPER, **params: object
) -> Split:
    task = HateXplain(HateXplainParams(backbone=str(bert), max_length=12, **params))  # type: ignore[arg-type]
    return task.split(name, Setting(None, seed, protocol, root))


def counts(split: Split) -> list[list[int]]:
    return [[int(((split.y == y) & (split.b[:, 0] == b)).sum()) for b in (0, 1)] for y in (0, 1)]


def said(split: Split) -> set[bytes]:
    return {row.tobytes() for row in split.x}


@pytest.mark.parametrize(
    ("hateful", "expected"), [("hatespeech", [[360, 250], [20, 200]]), ("toxic", [[300, 100], [80, 350]])]
)
def test_natural_splits_have_their_share_of_every_group(
    hateful: str, expected: list[list[int]], make: Make, tiny_bert: Path
) -> None:
    root = make()
    for name, share in (("train", 0.5), ("val_biased", 0.1)):
        found = counts(build(root, tiny_bert, name, hateful=hateful))
        assert np.abs(np.array(found) - share * np.array(expected)).max() <= 1


@pytest.mark.parametrize(("name", "each"), [("unbiased", 4), ("val_unbiased", 2), ("test", 4)])
def test_unbiased_splits_have_equally_many_of_each_group(
    name: SplitName, each: int, make: Make, tiny_bert: Path
) -> None:
    assert counts(build(make(), tiny_bert, name)) == [[each, each], [each, each]]


def test_no_post_is_in_two_splits_and_copies_stay_together(make: Make, tiny_bert: Path) -> None:
    def copied(frame: pd.DataFrame) -> pd.DataFrame:
        twins = frame.iloc[::10].copy()
        twins["comment"] = [f"{text.upper()} !!!" for text in twins["comment"]]
        return pd.concat([frame, twins])

    root = make(copied)
    assert len(np.unique(first_copies(posts(root).texts))) == 830
    splits = {name: build(root, tiny_bert, name) for name in SPLITS}
    shown = {}
    for name, split in splits.items():
        marks = (-1, 2, 3, 33)  # padding, start, end, "!"
        shown[name] = {tuple(token for token in row if token not in marks) for row in split.x.tolist()}
    shown["validation"] = shown.pop("val_biased") | shown.pop("val_unbiased")
    for first, second in itertools.combinations(shown, 2):
        assert not shown[first] & shown[second], f"{first} and {second} share posts"


def test_test_is_the_same_for_all_seeds_and_training_is_not(make: Make, tiny_bert: Path) -> None:
    root = make()
    assert np.array_equal(build(root, tiny_bert, "test", 0).x, build(root, tiny_bert, "test", 1).x)
    assert said(build(root, tiny_bert, "train", 0)) != said(build(root, tiny_bert, "train", 1))


def test_a_cap_keeps_the_share_of_every_group_and_neighbours_are_of_like_length(make: Make, tiny_bert: Path) -> None:
    root = make()
    capped = Protocol("capped", 1.0, None, 83, 30, candidates=1)
    train = build(root, tiny_bert, "train", protocol=capped)
    assert np.abs(np.array(counts(train)) - np.array([[36, 25], [2, 20]])).max() <= 1
    lengths = (train.x >= 0).sum(1)
    assert (np.diff(lengths) >= 0).all()
    assert lengths[0] < lengths[-1]
    assert len(build(root, tiny_bert, "val_biased", protocol=capped)) == 30


def test_empty_posts_are_left_out_and_counted(make: Make, tiny_bert: Path, caplog: pytest.LogCaptureFixture) -> None:
    def emptied(frame: pd.DataFrame) -> None:
        frame.loc[3, "comment"] = "  "
        frame.loc[4, "comment"] = None

    root = make(emptied)
    with caplog.at_level(logging.WARNING):
        build(root, tiny_bert, "train")
    assert posts(root).left_out == 2
    assert len(posts(root).texts) == 828
    assert "2 empty posts are left out" in caplog.text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda frame: frame.drop(columns="religion"), "has no column religion; expected comment, label, race"),
        (lambda frame: frame.assign(label="rude"), "row 1: label is 'rude', expected one of normal, offensive"),
        (
            lambda frame: frame.assign(race=[None, *["No_race"] * 829]),
            "row 1: race is nan, expected a group, or No_race",
        ),
    ],
)
def test_a_damaged_table_is_an_error_with_file_and_row(
    change: Callable[[pd.DataFrame], pd.DataFrame], complaint: str, make: Make
) -> None:
    root = make(change)
    with pytest.raises(DataCorruptError, match=rf"hatexplain_20k\.parquet.*{complaint}"):
        posts(root)
    assert HateXplainSource().verify(root)[0].count(complaint) == 1


def test_no_parquet_no_file_and_an_empty_group_are_errors(make: Make, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"missing text/hatexplain_20k\.parquet.*a row per post"):
        posts(tmp_path)
    root = make(lambda frame: frame[(frame["label"] != "hatespeech") | (frame["race"] != "No_race")])
    with pytest.raises(DataCorruptError, match=r"test: only 3 of the 4 groups \(y, b\) have samples"):
        build(root, tiny_bert, "test")
    with pytest.raises(ConfigError, match="natural level only"):
        HateXplain(HateXplainParams()).split("train", Setting(0.9, 0, PAPER, root))
    (root / FILE).write_bytes(b"no parquet")
    with pytest.raises(DataCorruptError, match="cannot be read as a parquet file"):
        posts(root)


def test_it_keeps_what_tasks_promise(make: Make, tiny_bert: Path) -> None:
    found = list(check_task("hatexplain", None, {"backbone": str(tiny_bert), "max_length": 12}, make()))
    assert [finding.problem for finding in found] == [None] * 11


def test_the_real_posts_speak_of_groups_as_published(data_root: Path) -> None:
    if HateXplainSource().missing(data_root):
        pytest.skip(f"no HateXplain under {data_root}")
    found = posts(data_root)
    assert len(found.texts) == 20_109
    shares = [found.identity[found.label == label].mean() for label in range(3)]
    assert shares == pytest.approx([0.25, 0.74, 0.96], abs=0.005)
    assert len(found.texts) - len(np.unique(first_copies(found.texts))) == 14
