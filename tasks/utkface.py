"""UTKFace (Zhang et al., CVPR 2017): gender, with age or race as the shortcut. Splits and levels are ours."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.errors import DataCorruptError
from benchmark.notes import NOTES
from benchmark.randomness import numpy_stream
from benchmark.task import Bias, Recipe, Setting, SplitName
from tasks.partition import IntArray, balanced, mixed, stratified
from tasks.photos import FolderTask, Listing, seed_of
from tasks.sources.utkface import FOLDER, Portraits, portraits

ADULT_AGE = 30
"""From here on a face counts as of the older group: near the median of both genders."""
TEST, HELD_OUT = 0.2, 0.1
"""Shares of all images that are the pool of test, of the unbiased split, and of the validation splits."""
GROUPS = 4


class UtkFaceNatural(FolderTask):
    """Gender of faces at the level at which age goes with it in the data.

    A fifth of each group (gender, bias) is the pool of test, the same for all seeds; of the rest the seed draws a tenth
    of all images for the unbiased split and a tenth for validation. Copies of one image stay together. Unbiased splits
    take equally many of each group (y, b) of their pool.
    """

    name = "utkface_natural"
    version = 2
    train_size = 5_900
    title = "UTKFace, natural"
    summary = "Gender of faces, where women tend to be younger than men."
    target = "gender"
    classes = ("male", "female")
    biases = (Bias("age group", 2, (1, 0)),)
    rhos: ClassVar[tuple[float, ...]] = ()

    def bias_of(self, faces: Portraits) -> IntArray:
        """0 under thirty, 1 from thirty on (N,)."""
        return (faces.age >= ADULT_AGE).astype(np.int64)

    def recipe(self, rho: float | None) -> Recipe:
        """That of the other faces in batches of 32: of a few thousand images, larger ones would make few steps."""
        return replace(super().recipe(rho), batch_size=32)

    def listing(self, setting: Setting) -> Listing:
        """All faces; ``part`` names the first copy of an image."""
        faces = _portraits(setting.root)
        return Listing(setting.root / FOLDER, faces.files, faces.gender, self.bias_of(faces)[:, None], faces.copy_of)

    def rows(self, name: SplitName, setting: Setting, listing: Listing) -> IntArray:
        """Divide the images, without their copies, and bring the copies back."""
        originals = np.unique(listing.part)
        test, rest = stratified(listing.groups(originals), (TEST,), self.name, "test")
        share = HELD_OUT / (1 - TEST)
        unbiased, validation, train = stratified(listing.groups(rest), (share, share), self.name, setting.seed)
        pools = {"test": test, "unbiased": unbiased, "train": train}
        pool = np.flatnonzero(np.isin(listing.part, pools.get(name, validation)))
        if name in ("train", "val_biased"):
            chosen = self.at_level(pool, setting, listing, name)
        else:
            seed = () if name == "test" else (setting.seed,)
            chosen = balanced(listing.groups(pool), str(listing.folder), GROUPS, self.name, name, *seed)
        return mixed(chosen, self.name, name, seed_of(name, setting))

    def at_level(self, pool: IntArray, setting: Setting, listing: Listing, name: str) -> IntArray:
        """The images of ``pool`` that make up a biased split: here all."""
        del setting, listing, name
        return pool


class UtkFace(UtkFaceNatural):
    """Gender of faces, resampled so that a share rho of each gender has the age that goes with it.

    Of each gender as many images stay as the level allows: conflicting ones are dropped where there are too many of
    them, aligned ones where there are too few.
    """

    name = "utkface"
    train_size = 3_400
    title = "UTKFace"
    summary = "Gender of faces; in training, women are young and men are not."
    rhos = (0.9, 0.95, 0.98, 0.99)

    def at_level(self, pool: IntArray, setting: Setting, listing: Listing, name: str) -> IntArray:
        """Drop images until a share rho of each gender is aligned."""
        rho, chosen = float(setting.rho or 1), []
        for y, aligned_value in enumerate(self.biases[0].aligned):
            of_class = pool[listing.y[pool] == y]
            is_aligned = listing.b[of_class, 0] == aligned_value
            aligned, conflicting = of_class[is_aligned], of_class[~is_aligned]
            if not len(aligned) or (rho < 1 and not len(conflicting)):
                raise DataCorruptError(
                    f"{listing.folder}: {self.classes[y]} faces lack a group of {self.biases[0].name} in {name}; is "
                    "the data set complete?"
                )
            kept = aligned_and_conflicting(len(aligned), len(conflicting), rho)
            for rows, count, kind in zip((aligned, conflicting), kept, ("aligned", "conflicting"), strict=True):
                draws = numpy_stream("level", self.name, name, setting.seed, y, kind)
                # the same order at every level: levels of one seed differ in how many they keep, not in which
                chosen.append(draws.permutation(rows)[:count])
        return np.sort(np.concatenate(chosen))


class UtkFaceRace(UtkFace):
    """The same with race as the bias: a share rho of the men is White, of the women not."""

    name = "utkface_race"
    title = "UTKFace, race"
    summary = "Gender of faces; in training, men are White and women are not."
    biases = (Bias("race", 2, (0, 1)),)

    def bias_of(self, faces: Portraits) -> IntArray:
        """0 White, 1 any other (N,), as UTKFace labels them."""
        return (faces.race > 0).astype(np.int64)


def aligned_and_conflicting(aligned: int, conflicting: int, rho: float) -> tuple[int, int]:
    """How many of each to keep, at most, so that their share is rho to within one image."""
    if rho == 1:
        return aligned, 0
    wanted = round(aligned * (1 - rho) / rho)
    if wanted <= conflicting:
        return aligned, wanted
    return round(conflicting * rho / (1 - rho)), conflicting


@lru_cache(maxsize=1)
def _portraits(root: Path) -> Portraits:
    faces = portraits(root)
    if faces.left_out:
        NOTES.warning("%s: %d files without a race in their name are left out", root / FOLDER, faces.left_out)
    return faces
