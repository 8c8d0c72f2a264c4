"""Contact sheets: what the samples of a task look like, aligned ones beside conflicting ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from benchmark.files import atomic_path
from benchmark.task import Setting, Split, SplitName, Task

TILE = 84
GAP = 8
MARGIN = 28
LABEL = 150
"""Width of the column with the classes' names."""
BLOCK_GAP = 36
HEAD = 126
HEADING = 15
"""Size of the blocks' headings; a block is at least as wide as its heading."""
CAPTION = 22
INK, FAINT, RULE, PAPER = (24, 24, 27), (113, 113, 122), (212, 212, 216), (255, 255, 255)


@dataclasses.dataclass(frozen=True)
class _Block:
    """One block of columns: its heading, and which samples of the split it shows."""

    heading: str
    members: npt.NDArray[np.bool_]


def contact_sheet(task: Task, name: SplitName, setting: Setting, path: Path, *, per_class: int = 6) -> None:
    """Write a PNG of a split's samples: a row per class, aligned samples on the left, conflicting ones on the right.

    A sample is aligned if all its bias attributes are. Each picture is captioned with its bias values; the conflicting
    ones of a row are chosen to show as many different values as possible.

    Args:
        task: With resolved parameters.
        name: The split.
        setting: The version of the data.
        path: Where to write; replaced in one step.
        per_class: Pictures per class and block.

    Raises:
        ValueError: The samples are not images.
    """
    split = task.split(name, setting)
    if split.x.ndim != 4:
        raise ValueError(f"{task.name} has inputs of shape {split.x.shape[1:]}; only images can be shown")
    blocks = _blocks(task, split)
    heading_width = max(_font(HEADING).getlength(block.heading) for block in blocks)
    block_width = max(per_class * (TILE + GAP) - GAP, round(heading_width))
    row_height = TILE + CAPTION + GAP
    width = 2 * MARGIN + LABEL + len(blocks) * (block_width + BLOCK_GAP) - BLOCK_GAP
    sheet = Image.new("RGB", (width, HEAD + len(task.classes) * row_height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    level = "" if setting.rho is None else f" at rho {setting.rho:g}"
    draw.text((MARGIN, 46), f"{task.title}{level}: {name}", INK, _font(24), anchor="ls")
    details = {"seed": setting.seed, "protocol": setting.protocol.name} | dataclasses.asdict(task.params)
    details_text = ", ".join(f"{key} {value}" for key, value in details.items())
    draw.text((MARGIN, 70), _shortened(details_text, width - 2 * MARGIN, 14), FAINT, _font(14), anchor="ls")
    for column, block in enumerate(blocks):
        left = MARGIN + LABEL + column * (block_width + BLOCK_GAP)
        draw.text((left, HEAD - 14), block.heading, INK, _font(HEADING), anchor="ls")
        draw.line((left, HEAD - 7, left + block_width, HEAD - 7), RULE)
    for y, label in enumerate(task.classes):
        top = HEAD + y * row_height
        of_class = [np.flatnonzero(block.members & (split.y == y)) for block in blocks]
        draw.text((MARGIN, top + TILE / 2 - 4), _shortened(label, LABEL - GAP, 17), INK, _font(17), anchor="ls")
        counts = " + ".join(f"{len(members):,}" for members in of_class)
        draw.text((MARGIN, top + TILE / 2 + 16), counts, FAINT, _font(13), anchor="ls")
        for column, members in enumerate(of_class):
            left = MARGIN + LABEL + column * (block_width + BLOCK_GAP)
            for place, index in enumerate(_varied(members, split.b, per_class)):
                corner = (left + place * (TILE + GAP), top)
                sheet.paste(_tile(split.x[index]), corner)
                caption = ", ".join(str(value) for value in split.b[index])
                draw.text((corner[0] + TILE / 2, top + TILE + 3), caption, FAINT, _font(13), anchor="ma")
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def _blocks(task: Task, split: Split) -> tuple[_Block, ...]:
    if not task.biases:
        return (_Block(f"{len(split):,} samples, no bias labels", np.ones(len(split), dtype=np.bool_)),)
    aligned_values = np.array([bias.aligned for bias in task.biases]).T  # (classes, biases)
    aligned: npt.NDArray[np.bool_] = (split.b == aligned_values[split.y]).all(axis=1)
    names = ", ".join(bias.name for bias in task.biases)
    return tuple(
        _Block(f"{kind}: {members.sum():,} of {len(split):,} ({members.mean():.2%}); below: {names}", members)
        for kind, members in (("bias-aligned", aligned), ("bias-conflicting", ~aligned))
    )


def _varied(members: npt.NDArray[np.int64], b: npt.NDArray[np.int64], number: int) -> npt.NDArray[np.int64]:
    """``number`` of ``members`` that show as many combinations of bias values as possible, ordered by them."""
    if not len(members) or not b.shape[1]:
        return members[:number]
    _, first, combination = np.unique(b[members], axis=0, return_index=True, return_inverse=True)
    if number <= len(first):
        return members[first[np.linspace(0, len(first) - 1, number).round().astype(np.int64)]]
    order = np.argsort(combination, kind="stable")
    ordered = combination[order]
    occurrence = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return members[order[np.sort(np.argsort(occurrence, kind="stable")[:number])]]


def _tile(x: npt.NDArray[Any]) -> Image.Image:
    """An image (C, H, W) as a square tile; small ones are enlarged without smoothing, so that pixels stay visible."""
    pixels = np.asarray(x).transpose(1, 2, 0)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2))
    scale = TILE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    tile = Image.new("RGB", (TILE, TILE), PAPER)
    tile.paste(picture, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return tile


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _shortened(text: str, width: int, size: int) -> str:
    """``text``, cut with an ellipsis where it would be wider than ``width`` pixels."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
