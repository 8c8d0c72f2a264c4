"""BAR as its owners publish it: the action is in the name of the file."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.errors import DataCorruptError
from tasks.sources.folders import ManualSource, image_names

FOLDER = "BAR"
ACTIONS = ("climbing", "diving", "fishing", "pole vaulting", "racing", "throwing")


class BarSource(ManualSource):
    """Biased Action Recognition: 1,941 + 654 photographs."""

    name = "bar"
    title = "BAR"
    licence = "none for the collection; images under licences of their own, some of them NC or ND: research use only"
    citation = "Nam, Cha, Ahn, Lee and Shin: Learning from failure. NeurIPS 2020"
    url = "https://github.com/alinlab/BAR"
    files = (f"{FOLDER}/train", f"{FOLDER}/test")
    sizes = ((f"{FOLDER}/train", 1_941), (f"{FOLDER}/test", 654))
    obtain = "Download the repository alinlab/BAR and copy its folders train and test to BAR under the data root."


def actions(root: Path, part: str) -> tuple[list[str], list[int]]:
    """The images of ``train`` or ``test``, relative to BAR's folder, and their actions.

    Raises:
        DataCorruptError: A file is not called ``<action>_<number>``, or an action has no image.
    """
    files, labels = [], []
    for name in image_names(root / FOLDER / part):
        match = re.fullmatch(r"(.+)_\d+\.\w+", name)
        if match is None or match[1] not in ACTIONS:
            raise DataCorruptError(
                f"{root / FOLDER / part / name}: expected a name <action>_<number>.jpg with one of the actions "
                f"{', '.join(ACTIONS)}; remove or rename the file"
            )
        files.append(f"{part}/{name}")
        labels.append(ACTIONS.index(match[1]))
    if lacking := [action for number, action in enumerate(ACTIONS) if number not in labels]:
        raise DataCorruptError(f"{root / FOLDER / part} has no image of {', '.join(lacking)}; copy it again")
    return files, labels
