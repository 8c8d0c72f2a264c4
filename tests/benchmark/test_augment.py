"""Every augmented image is a shifted or mirrored original; each sample of a batch has its own draw."""

from __future__ import annotations

import torch

from benchmark.augment import PAD, augment


def images(n: int = 400) -> torch.Tensor:
    return torch.rand(n, 3, 9, 8, generator=torch.Generator().manual_seed(0)) + 1


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_none_changes_nothing_and_draws_nothing() -> None:
    x, generator = images(), draws()
    state = generator.get_state()
    assert augment(x, "none", generator) is x
    assert torch.equal(generator.get_state(), state)


def test_flip_mirrors_about_half_of_the_images_left_to_right() -> None:
    x = images()
    found = augment(x, "flip", draws())
    mirrored = [torch.equal(image, original.flip(-1)) for image, original in zip(found, x, strict=True)]
    kept = [torch.equal(image, original) for image, original in zip(found, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 150 < sum(mirrored) < 250


def test_crop_flip_shifts_each_image_by_a_draw_of_its_own() -> None:
    x = images(300)
    found = augment(x, "crop_flip", draws())
    offsets = set()
    for image, original in zip(found, x, strict=True):
        matches = set()
        for flipped in (False, True):
            padded = torch.nn.functional.pad(original.flip(-1) if flipped else original, (PAD,) * 4)
            for row in range(2 * PAD + 1):
                for column in range(2 * PAD + 1):
                    if torch.equal(image, padded[:, row : row + 9, column : column + 8]):
                        matches.add((flipped, row, column))
        assert len(matches) == 1
        offsets |= matches
    assert len(offsets) > 100  # of 162
    assert {row for _, row, _ in offsets} == {column for _, _, column in offsets} == set(range(2 * PAD + 1))


def test_the_draws_alone_decide() -> None:
    x = images(50)
    assert torch.equal(augment(x, "crop_flip", draws()), augment(x, "crop_flip", draws()))
    assert not torch.equal(augment(x, "crop_flip", draws()), augment(x, "crop_flip", draws(1)))
