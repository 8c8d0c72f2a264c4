from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.pictures import contact_sheet
from benchmark.protocol import PROTOCOLS
from benchmark.task import Backbone, Bias, Inputs, Recipe, Setting, Split, SplitName, Task

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 160, 0)
COLOURS = np.array([RED, BLUE, GREEN], dtype=np.uint8)
TILE = 84


class Flags(Task):
    """Plain red (b = 0), blue (1) and green (2) images; class 0 goes with red, class 1 with blue."""

    name = "flags"
    version = 1
    title = "Flags"
    summary = "For tests."
    target = "flag"
    classes = ("first", "a class whose name is far too long for its column")
    biases = (Bias("colour", 3, (0, 1)),)
    rhos = (0.5,)
    size = (8, 8)
    y = (0, 0, 0, 0, 0, 0, 1, 1)
    b = (0, 0, 1, 1, 1, 2, 1, 0)

    def split(self, name: SplitName, setting: Setting) -> Split:
        b = np.array(self.b)
        pixels = COLOURS[b][:, :, None, None] * np.ones((1, 1, *self.size), dtype=np.uint8)
        labels = b[:, None][:, : len(self.biases)]
        return Split(pixels, np.array(self.y), labels)

    def inputs(self) -> Inputs:
        return Inputs((3, *self.size))

    def backbone(self) -> Backbone:
        raise NotImplementedError

    def recipe(self, rho: float | None) -> Recipe:
        raise NotImplementedError


class Unlabelled(Flags):
    biases = ()
    rhos = ()


class Wide(Flags):
    size = (100, 400)


class Gray(Flags):
    def split(self, name: SplitName, setting: Setting) -> Split:
        split = super().split(name, setting)
        return Split(split.x[:, :1], split.y, split.b)


class Tokens(Flags):
    def split(self, name: SplitName, setting: Setting) -> Split:
        return Split(np.zeros((8, 16), dtype=np.int64), np.array(self.y), np.array(self.b)[:, None])


def draw(task: type[Flags], path: Path, per_class: int = 2, rho: float | None = 0.5) -> np.ndarray:
    setting = Setting(rho, 0, PROTOCOLS["smoke"], Path("/no/data/here"))
    contact_sheet(task(task.Params()), "train", setting, path, per_class=per_class)
    assert path.read_bytes().startswith(b"\x89PNG")
    return np.asarray(Image.open(path))


def tiles(sheet: np.ndarray, colour: tuple[int, int, int], height: int = TILE) -> list[tuple[int, int]]:
    """Left upper corners (column, row) of the tiles of one plain colour, from top left to bottom right."""
    mask = (sheet == colour).all(axis=2)
    rows, columns = np.nonzero(mask)
    found = []
    while len(rows):
        top, left = rows[0], columns[rows == rows[0]].min()
        assert mask[top : top + height, left : left + TILE].all()
        found.append((int(left), int(top)))
        mask[top : top + height, left : left + TILE] = False
        rows, columns = np.nonzero(mask)
    return found


def test_aligned_samples_stand_left_of_conflicting_ones_in_the_row_of_their_class(tmp_path: Path) -> None:
    sheet = draw(Flags, tmp_path / "sheet.png", per_class=2)
    red, blue, green = (tiles(sheet, colour) for colour in (RED, BLUE, GREEN))
    first_row, second_row = sorted({row for _, row in red})
    middle = max(column for column, row in red if row == first_row) + TILE
    # class 0: two red aligned ones, then one of each other colour; class 1: a blue aligned one, then a red one
    assert [row for _, row in red] == [first_row, first_row, second_row]
    assert [(column > middle, row) for column, row in blue] == [(True, first_row), (False, second_row)]
    assert [(column > middle, row) for column, row in green] == [(True, first_row)]
    assert red[2][0] > middle


def test_conflicting_samples_show_as_many_bias_values_as_possible(tmp_path: Path) -> None:
    sheet = draw(Flags, tmp_path / "sheet.png", per_class=3)
    in_first_row = [tile for tile in tiles(sheet, BLUE) if tile[1] == tiles(sheet, RED)[0][1]]
    assert len(in_first_row) == 2  # of three: the only green one is among the three shown
    assert len(tiles(sheet, GREEN)) == 1


def test_a_sheet_is_as_large_as_its_tiles_need(tmp_path: Path) -> None:
    tiny, small, large = (draw(Flags, tmp_path / f"{n}.png", per_class=n) for n in (1, 6, 9))
    assert small.shape[0] == large.shape[0]
    assert large.shape[1] - small.shape[1] == 2 * 3 * (TILE + 8)
    for sheet in (tiny, small, large):
        for border in (sheet[:20], sheet[-20:], sheet[:, :20], sheet[:, -20:]):
            assert (border == 255).all()


def test_samples_without_bias_labels_stand_in_one_block(tmp_path: Path) -> None:
    labelled = draw(Flags, tmp_path / "labelled.png")
    unlabelled = draw(Unlabelled, tmp_path / "unlabelled.png", rho=None)
    assert unlabelled.shape[1] < labelled.shape[1]
    assert len(tiles(unlabelled, RED)) == 3  # the first two of each class are shown, three of them red
    assert len(tiles(unlabelled, BLUE)) == 1


def test_large_images_are_fitted_with_their_proportions(tmp_path: Path) -> None:
    assert len(tiles(draw(Wide, tmp_path / "sheet.png"), RED, height=TILE // 4)) == 3


def test_gray_images_are_shown_gray(tmp_path: Path) -> None:
    sheet = draw(Gray, tmp_path / "sheet.png")
    pixels = sheet[120:, 170:].reshape(-1, 3).astype(int)
    assert (pixels.max(axis=1) - pixels.min(axis=1) < 10).all()
    assert (pixels == 0).all(axis=1).sum() == 3 * TILE * TILE  # blue and green have no red: black


def test_tokens_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"flags has inputs of shape \(16,\); only images can be shown"):
        draw(Tokens, tmp_path / "sheet.png")
    assert list(tmp_path.iterdir()) == []


def test_a_real_task_can_be_shown(tmp_path: Path) -> None:
    from tasks.biased_mnist import BiasedMnist

    task = BiasedMnist(BiasedMnist.Params(source="embedded"))
    setting = Setting(0.5, 0, PROTOCOLS["smoke"], tmp_path)
    contact_sheet(task, "train", setting, tmp_path / "sheet.png", per_class=9)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png")).reshape(-1, 3)
    for colour in ((255, 128, 0), (128, 0, 255)):
        assert (pixels == colour).all(axis=1).sum() > 10 * TILE * TILE  # nine aligned tiles and most conflicting rows
