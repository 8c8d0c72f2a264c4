"""What the tasks on folders of photographs share, on small files in their owners' layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.cell import make_cell
from benchmark.errors import DataCorruptError
from benchmark.protocol import PROTOCOLS
from benchmark.task import Task
from tasks.bar import Bar
from tasks.corrupted_cifar10 import CorruptedCifar10
from tasks.partition import balanced, stratified
from tasks.photos import Listing, PhotoParams, decoded, fingerprint, labelled_files
from tasks.sources.bffhq import BffhqSource


def save(path: Path, colour: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_images_are_decoded_to_planes_of_the_asked_size(tmp_path: Path) -> None:
    image = decoded(save(tmp_path / "a.png", size=(30, 20)), 12)
    assert image.shape == (3, 12, 12)
    assert image.dtype == np.uint8
    assert [np.unique(plane).tolist() for plane in image] == [[10], [20], [30]]


@pytest.mark.parametrize("mode", ["P", "L", "RGBA", "CMYK"])
def test_any_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new("RGB", (8, 8), (204, 204, 204)).convert(mode).save(path)
    assert np.abs(decoded(path, 8).astype(int) - 204).max() <= 3


def test_resizing_is_bilinear_with_antialiasing(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[:, ::2] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    # a triangle of width 4 over columns 200 0 200 0, cut off at the edges: weights 3 3 1 of 7
    assert decoded(tmp_path / "a.png", 2)[0, 0].tolist() == [round(200 * 4 / 7), round(200 * 3 / 7)]


@pytest.mark.parametrize("damage", ["absent", "truncated", "text"])
def test_an_unreadable_image_is_named(tmp_path: Path, damage: str) -> None:
    path = save(tmp_path / "face 7.jpg", size=(200, 200))
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:700] if damage == "truncated" else b"not an image")
    with pytest.raises(DataCorruptError, match=r"face 7.jpg cannot be read as an image: .*copy the file again"):
        decoded(path, 8)


def test_labelled_files_are_listed_part_by_part(tmp_path: Path) -> None:
    for name in ("a/0/7_0_1.png", "a/1/3_1_1.png", "b/2_0_0.png", "b/readme.txt"):
        save(tmp_path / name) if name.endswith("png") else (tmp_path / name).touch()
    listing = labelled_files(BffhqSource(), tmp_path, ("a", "b"), 2)
    assert listing.files == ["a/0/7_0_1.png", "a/1/3_1_1.png", "b/2_0_0.png"]
    assert listing.y.tolist() == [0, 1, 0]
    assert listing.b.tolist() == [[1], [1], [0]]
    assert listing.part.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("7_0.png", "expected a name <id>_<target>_<bias>.png"),
        ("7_0_2.png", "target 0 and bias 2, expected less than 2"),
    ],
)
def test_a_wrong_label_names_its_file(tmp_path: Path, name: str, complaint: str) -> None:
    save(tmp_path / "a" / name)
    with pytest.raises(DataCorruptError, match=f"a/{name}: {complaint}"):
        labelled_files(BffhqSource(), tmp_path, ("a",), 2)


def listing_of(folder: Path, names: list[str]) -> Listing:
    zeros = np.zeros(len(names), dtype=np.int64)
    return Listing(folder, names, zeros, zeros[:, None], zeros)


def test_the_fingerprint_depends_on_names_and_sizes_and_not_on_the_place(tmp_path: Path) -> None:
    prints = []
    for folder, size in (("one", 8), ("two", 8), ("three", 64)):
        for name in ("a.png", "b.png"):
            save(tmp_path / folder / name, size=(size, size))
        prints.append(fingerprint(listing_of(tmp_path / folder, ["a.png", "b.png"])))
    assert prints[0] == prints[1] != prints[2]
    assert fingerprint(listing_of(tmp_path / "one", ["a.png"])) != prints[0]
    (tmp_path / "one" / "b.png").unlink()
    with pytest.raises(DataCorruptError, match=r"b.png is listed and cannot be found"):
        fingerprint(listing_of(tmp_path / "one", ["a.png", "b.png"]))


def test_balanced_takes_the_smallest_groups_size_of_each() -> None:
    groups = [np.arange(0, 10), np.arange(10, 13), np.arange(13, 40)]
    rows = balanced(groups, "faces", 3, "stream")
    assert [np.isin(rows, group).sum() for group in groups] == [3, 3, 3]
    assert rows.tolist() == sorted(rows.tolist())
    assert np.array_equal(rows, balanced(groups, "faces", 3, "stream"))
    assert not np.array_equal(rows, balanced(groups, "faces", 3, "another"))
    with pytest.raises(DataCorruptError, match=r"faces: only 3 of the 4 groups"):
        balanced(groups, "faces", 4, "stream")


def test_stratified_divides_every_group_by_the_shares() -> None:
    groups = [np.arange(0, 100), np.arange(100, 120)]
    parts = stratified(groups, (0.5, 0.2), "stream")
    assert [[int(np.isin(part, group).sum()) for group in groups] for part in parts] == [[50, 10], [20, 4], [30, 6]]
    assert sorted(np.concatenate(parts).tolist()) == list(range(120))


def test_the_network_is_named_with_its_weights() -> None:
    assert PhotoParams().network().options == {"weights": "imagenet"}
    chosen = PhotoParams(backbone="efficientnet_lite0", weights="none").network()
    assert (chosen.factory, chosen.options) == ("tasks.backbones.efficientnet:efficientnet_lite0", {})
    assert chosen.layout == "channels_last"


@pytest.mark.parametrize("kind", [Bar, CorruptedCifar10])
def test_where_training_starts_is_part_of_the_key(kind: type[Task]) -> None:
    choices = [
        {"backbone": backbone, "weights": weights}
        for backbone in ("resnet18", "efficientnet_lite0")
        for weights in ("imagenet", "none", "weights.pth")
    ]
    cells = [make_cell(kind(kind.Params(**choice)), 0.95, "vanilla", {}, 0, PROTOCOLS["paper"]) for choice in choices]
    assert len({cell.key for cell in cells}) == 6
    assert [cell.task_params["weights"] for cell in cells] == ["imagenet", "none", "weights.pth"] * 2
