"""UTKFace on generated files in its owners' layout, and on the real ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.task import Setting, Split, SplitName
from tasks.photos import FolderParams
from tasks.sources.utkface import UtkFaceSource, portraits
from tasks.utkface import UtkFace, UtkFaceNatural, UtkFaceRace, aligned_and_conflicting

PAPER = PROTOCOLS["paper"]
ALL: tuple[SplitName, ...] = ("train", "unbiased", "val_biased", "val_unbiased", "test")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Hundred faces of each (gender, age group), every tenth there twice under another age; pixels number them."""
    folder = tmp_path / "data" / "UTKFace"
    folder.mkdir(parents=True)
    number = 0
    for gender in (0, 1):
        for age in (10, 50):
            for k in range(100):
                face = Image.new("RGB", (8, 8), (number % 256, number // 256, 100))
                face.save(folder / f"{age}_{gender}_{k % 5}_2017{number:05d}.png")
                if k % 10 == 0:
                    face.save(folder / f"{age + 1}_{gender}_{k % 5}_2018{number:05d}.png")
                number += 1
    return tmp_path / "data"


def build(
    root: Path, name: SplitName, rho: float | None = 0.9, kind: type[UtkFaceNatural] = UtkFace, seed: int = 0
) -> Split:
    return kind(FolderParams(size=8)).split(name, Setting(rho, seed, PAPER, root))


def people(split: Split) -> list[int]:
    return (split.x[:, 0, 0, 0].astype(int) + 256 * split.x[:, 1, 0, 0].astype(int)).tolist()


def counts(split: Split) -> list[list[int]]:
    return [[int(((split.y == y) & (split.b[:, 0] == b)).sum()) for b in (0, 1)] for y in (0, 1)]


def test_names_give_age_gender_and_race(root: Path) -> None:
    (root / "UTKFace" / "39_1_20170116174525125.jpg").write_bytes(b"no race: left out")
    faces = portraits(root)
    assert len(faces.files) == 440
    first = faces.files.index("10_0_0_201700000.png")
    twin = faces.files.index("11_0_0_201800000.png")
    assert (faces.age[twin], faces.gender[twin], faces.race[twin]) == (11, 0, 0)
    assert faces.copy_of[twin] == faces.copy_of[first] == first
    assert len(np.unique(faces.copy_of)) == 400


@pytest.mark.parametrize(("kind", "rho"), [(UtkFaceNatural, None), (UtkFace, 0.9), (UtkFaceRace, 0.8)])
def test_no_person_is_in_two_splits_and_copies_stay_together(
    root: Path, kind: type[UtkFaceNatural], rho: float | None
) -> None:
    shown = {name: set(people(build(root, name, rho, kind))) for name in ALL}
    shown["validation"] = shown.pop("val_biased") | shown.pop("val_unbiased")
    for first, second in itertools.combinations(shown, 2):
        assert not shown[first] & shown[second], f"{first} and {second} share people"


def test_the_natural_level_takes_all_and_keeps_copies(root: Path) -> None:
    train = build(root, "train", None, UtkFaceNatural)
    shown = people(train)
    twice = {person for person in shown if shown.count(person) == 2}
    assert twice == {person for person in shown if person % 10 == 0}
    assert len(set(shown)) == 240  # 400 less a fifth and two tenths
    assert np.abs(np.array(counts(train)) - 66).max() <= 6


@pytest.mark.parametrize("rho", [0.9, 0.95])
@pytest.mark.parametrize("kind", [UtkFace, UtkFaceRace])
def test_a_level_is_met_in_each_gender(root: Path, kind: type[UtkFace], rho: float) -> None:
    train = build(root, "train", rho, kind)
    for y, aligned in enumerate(kind.biases[0].aligned):
        row = counts(train)[y]
        assert row[aligned] / sum(row) == pytest.approx(rho, abs=1 / sum(row))


@pytest.mark.parametrize("name", ["unbiased", "val_unbiased", "test"])
def test_unbiased_splits_have_equally_many_of_each_group(root: Path, name: SplitName) -> None:
    table = counts(build(root, name))
    assert len({count for row in table for count in row}) == 1
    assert table[0][0] >= 8


def test_test_is_the_same_for_all_seeds_and_levels(root: Path) -> None:
    first, second = build(root, "test", 0.9, seed=0), build(root, "test", 0.99, seed=3)
    assert sorted(people(first)) == sorted(people(second))
    assert sorted(people(build(root, "train", seed=0))) != sorted(people(build(root, "train", seed=3)))


def test_levels_of_a_seed_are_nested(root: Path) -> None:
    strong, weak = build(root, "train", 0.95), build(root, "train", 0.9)
    assert set(people(strong)) <= set(people(weak))


@given(aligned=st.integers(1, 3_000), conflicting=st.integers(1, 3_000), rho=st.floats(0.5, 0.999))
def test_kept_images_meet_the_level_and_as_many_as_possible_stay(aligned: int, conflicting: int, rho: float) -> None:
    kept = aligned_and_conflicting(aligned, conflicting, rho)
    assert kept[0] <= aligned
    assert kept[1] <= conflicting
    assert kept[0] == aligned or kept[1] == conflicting
    # one of the two is rounded to a whole image
    assert abs(kept[1] * rho - kept[0] * (1 - rho)) <= 0.5 * max(rho, 1 - rho) + 1e-9


def test_full_alignment_keeps_no_conflicting_image() -> None:
    assert aligned_and_conflicting(30, 40, 1.0) == (30, 0)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("121_0_0_2017.jpg", "age 121, gender 0, race 0; expected at most 120"),
        ("20_2_0_2017.jpg", "gender 2"),
        ("20_0_5_2017.jpg", "race 5"),
        ("young_0_1_2017.jpg", "expected a name <age>_<gender>_<race>_<time>.jpg"),
        ("portrait.jpg", "expected a name"),
    ],
)
def test_an_impossible_name_is_named(root: Path, name: str, complaint: str) -> None:
    (root / "UTKFace" / name).write_bytes(b"")
    with pytest.raises(DataCorruptError, match=f"{name}.*{complaint}"):
        portraits(root)


def test_missing_data_and_an_empty_group_are_errors(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"missing UTKFace.*owners' page"):
        build(tmp_path / "empty", "train")
    for path in (root / "UTKFace").glob("5*_1_*"):
        path.unlink()
    with pytest.raises(DataCorruptError, match="only 3 of the 4 groups"):
        build(root, "test")
    with pytest.raises(DataCorruptError, match="female faces lack a group of age group in train"):
        build(root, "train")
    with pytest.raises(ConfigError, match="natural level only"):
        build(root, "train", 0.9, UtkFaceNatural)


def test_files_without_a_race_are_left_out_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = len(portraits(root).files)
    for number in range(3):
        (root / "UTKFace" / f"39_1_2017011{number}.jpg").write_bytes(b"")
    faces = portraits(root)
    assert (len(faces.files), faces.left_out) == (known, 3)
    with caplog.at_level("WARNING"):
        build(root, "test")
    assert any("3 files without a race in their name are left out" in message for message in caplog.messages)


def splits_of(root: Path) -> Iterator[Split]:
    """All images, split by split."""
    for name in ALL:
        yield build(root, name, None, UtkFaceNatural)


def test_a_truncated_face_and_an_empty_folder_are_named(root: Path, tmp_path: Path) -> None:
    face = root / "UTKFace" / "10_0_3_201700003.png"
    face.write_bytes(face.read_bytes()[:40])
    with pytest.raises(DataCorruptError, match=rf"UTKFace/{face.name} cannot be read as an image.*copy the file again"):
        list(splits_of(root))
    (problem,) = UtkFaceSource().verify(root)
    assert f"{face.name} cannot be read as an image" in problem
    (tmp_path / "odd" / "UTKFace").mkdir(parents=True)
    with pytest.raises(DataMissingError, match="missing UTKFace"):
        portraits(tmp_path / "odd")
    (tmp_path / "odd" / "UTKFace" / "readme.txt").write_text("moved")
    with pytest.raises(DataCorruptError, match=r"UTKFace holds no face called <age>_<gender>_<race>_<time>.jpg"):
        portraits(tmp_path / "odd")


def test_under_a_cap_test_is_the_same_for_all_seeds(root: Path) -> None:
    task, capped = UtkFace(FolderParams(size=8)), Protocol("capped", 1, None, 60, 12, 1)
    first, second = (task.split("test", Setting(0.95, seed, capped, root)) for seed in (0, 1))
    assert len(first) == 12
    assert np.array_equal(first.x, second.x)


@pytest.mark.slow
def test_the_real_data_have_106_copies_and_every_level(data_root: Path) -> None:
    if UtkFaceSource().missing(data_root):
        pytest.skip(f"no UTKFace under {data_root}")
    faces = portraits(data_root)
    if len(faces.files) != 9_778:
        pytest.skip(f"{data_root} has another part of UTKFace than the first")
    assert len(faces.files) - len(np.unique(faces.copy_of)) == 106
    split = UtkFace(FolderParams(size=16)).split("val_biased", Setting(0.95, 0, PAPER, data_root))
    assert (split.b[:, 0] == 1 - split.y).mean() == pytest.approx(0.95, abs=0.01)
    assert 60 < split.x.mean() < 180
