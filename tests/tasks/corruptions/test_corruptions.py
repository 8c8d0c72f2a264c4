from __future__ import annotations

import colorsys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from scipy import ndimage

from benchmark.errors import UnknownNameError
from tasks.corruptions import LEVELS, ORIGINAL, TYPE0, TYPE1, corrupt
from tasks.corruptions.draws import Draws

Images = npt.NDArray[np.uint8]
CORRUPTIONS = sorted(set(TYPE0 + TYPE1) - {ORIGINAL})


@pytest.fixture(scope="module")
def waves() -> Images:
    """Sixty-four images of one plane wave per colour channel."""
    draws = np.random.default_rng(0)
    rows, columns = np.mgrid[0:32, 0:32] / 32
    frequency, phase = draws.uniform(1, 6, (64, 3, 2)), draws.uniform(0, 2 * np.pi, (64, 3))
    angle = 2 * np.pi * (frequency[..., 0, None, None] * rows + frequency[..., 1, None, None] * columns)
    return np.moveaxis(128 + 90 * np.sin(angle + phase[..., None, None]), 1, -1).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(data_root: Path) -> Images:
    """The first hundred test images of CIFAR-10 in the Hugging Face layout."""
    files = sorted(data_root.glob("cifar10/plain_text/test-*.parquet"))
    if not files:
        pytest.skip(f"no CIFAR-10 in parquet files under {data_root}")
    rows = next(parquet.ParquetFile(files[0]).iter_batches(100, columns=["img"])).column("img")
    return np.stack([np.asarray(Image.open(BytesIO(row["bytes"].as_py()))) for row in rows])


def deviation(corrupted: Images, images: Images) -> float:
    return float(np.square(corrupted.astype(float) - images).mean())


def mean(corrupted: Images, images: Images) -> float:
    return float(corrupted.mean())


def contrast(corrupted: Images, images: Images) -> float:
    return float(corrupted.std(axis=(1, 2)).mean())


def roughness(corrupted: Images, images: Images) -> float:
    grey = corrupted.astype(float).mean(axis=-1)
    return float(np.square(np.diff(grey, axis=1)).mean() + np.square(np.diff(grey, axis=2)).mean())


def colourfulness(corrupted: Images, images: Images) -> float:
    return float(np.ptp(corrupted.astype(float), axis=-1).mean())


GROWS: dict[str, tuple[Callable[[Images, Images], float], list[list[int]]]] = {
    # statistic, and runs of severities along which it grows
    "gaussian_noise": (deviation, [[1, 2, 3, 4, 5]]),
    "shot_noise": (deviation, [[1, 2, 3, 4, 5]]),
    "impulse_noise": (deviation, [[1, 2, 3, 4, 5]]),
    "speckle_noise": (deviation, [[1, 2, 3, 4, 5]]),
    "gaussian_blur": (roughness, [[5, 4, 3, 2, 1]]),
    "defocus_blur": (roughness, [[5, 4, 3, 2, 1]]),
    "zoom_blur": (roughness, [[5, 4, 3, 2, 1]]),
    "motion_blur": (roughness, [[5, 3, 2, 1], [5, 4]]),
    "glass_blur": (deviation, [[3, 2, 1, 5, 4]]),  # 4 and 5 displace twice; within that, smoothing undoes some of it
    "snow": (mean, [[1, 2, 3, 4, 5]]),
    "frost": (roughness, [[5, 4, 3, 2, 1]]),
    "fog": (roughness, [[5, 4, 3, 2, 1]]),
    "brightness": (mean, [[1, 2, 3, 4, 5]]),
    "contrast": (contrast, [[5, 4, 3, 2, 1]]),
    "spatter": (deviation, [[1, 2, 3], [4, 5]]),  # water, then mud
    "elastic": (deviation, [[5, 4, 3, 2, 1]]),  # the affine part shrinks while the local one grows
    "jpeg": (deviation, [[1, 2, 3, 4, 5]]),
    "pixelate": (deviation, [[1, 2, 3, 4, 5]]),
    "saturate": (colourfulness, [[2, 1, 3, 4, 5]]),  # 1 and 2 take colour away
}


def check_growth(name: str, images: Images) -> None:
    statistic, runs = GROWS[name]
    for run in runs:
        values = [statistic(corrupt(images, name, severity, range(len(images))), images) for severity in run]
        assert values == sorted(values), f"severities {run} give {values}"
        assert values[0] < values[-1]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_statistics_follow_the_severity_on_waves(name: str, waves: Images) -> None:
    check_growth(name, waves)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_statistics_follow_the_severity_on_photographs(name: str, photos: Images) -> None:
    check_growth(name, photos)


@pytest.mark.parametrize("name", [*CORRUPTIONS, ORIGINAL])
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_output_is_uint8_of_the_same_shape_and_the_input_stays(name: str, severity: int, waves: Images) -> None:
    before = waves[:3].copy()
    corrupted = corrupt(waves[:3], name, severity, range(3))
    assert corrupted.dtype == np.uint8
    assert corrupted.shape == (3, 32, 32, 3)
    assert np.array_equal(waves[:3], before)
    assert np.array_equal(corrupted, before) == (name == ORIGINAL)


@pytest.mark.parametrize("name", CORRUPTIONS)
@settings(max_examples=5, deadline=None)
@given(cut=st.integers(0, 12), first=st.integers(0, 2**40), seed=st.integers(0, 5))
def test_an_image_does_not_depend_on_its_batch(name: str, waves: Images, cut: int, first: int, seed: int) -> None:
    images, indices = waves[:12], np.arange(first, first + 12)
    whole = corrupt(images, name, 5, indices, seed)
    parts = [corrupt(images[part], name, 5, indices[part], seed) for part in (slice(0, cut), slice(cut, 12))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole[::-1], corrupt(images[::-1], name, 5, indices[::-1], seed))


def test_a_batch_longer_than_the_internal_one_equals_its_images_alone(waves: Images) -> None:
    images = np.resize(waves, (600, 32, 32, 3))
    whole = corrupt(images, "gaussian_noise", 5, range(600))
    assert np.array_equal(
        whole[[0, 255, 256, 599]], corrupt(images[[0, 255, 256, 599]], "gaussian_noise", 5, [0, 255, 256, 599])
    )


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "snow", "elastic", "motion_blur", "glass_blur", "frost", "fog", "spatter"]
)
def test_seed_index_and_severity_each_change_the_random_numbers(name: str, waves: Images) -> None:
    image = waves[:1]
    base = corrupt(image, name, 5, [7], seed=1)
    assert not np.array_equal(base, corrupt(image, name, 5, [8], seed=1))
    assert not np.array_equal(base, corrupt(image, name, 5, [7], seed=2))
    assert not np.array_equal(base, corrupt(image, name, 4, [7], seed=1))


def grey(value: int, count: int = 40) -> Images:
    return np.full((count, 32, 32, 3), value, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("gaussian_noise", 0.10**2),
        ("shot_noise", 0.4 / 50),  # a Poisson count's variance is its mean
        ("speckle_noise", (0.4 * 0.20) ** 2),
        ("impulse_noise", 0.07 * (0.6**2 + 0.4**2) / 2 - (0.07 * 0.1) ** 2),
    ],
)
def test_noise_on_grey_has_the_variance_of_its_law(name: str, variance: float) -> None:
    noisy = (
        corrupt(grey(102), name, 5, range(40)) / 255
    )  # 102 / 255 = .4; 122,880 values: the ratio's deviation is < 2 %
    assert noisy.var() == pytest.approx(variance, rel=0.06)


def test_impulse_noise_turns_the_given_share_of_values_black_or_white() -> None:
    noisy = corrupt(grey(102), "impulse_noise", 5, range(40))
    assert set(np.unique(noisy)) == {0, 102, 255}
    assert (noisy == 0).mean() == pytest.approx(0.035, rel=0.1)
    assert (noisy == 255).mean() == pytest.approx(0.035, rel=0.1)


def test_brightness_and_saturation_agree_with_colorsys(waves: Images) -> None:
    brighter, vivid = corrupt(waves[:2], "brightness", 5, [0, 1]), corrupt(waves[:2], "saturate", 5, [0, 1])
    for place in [(0, 0, 0), (0, 13, 7), (1, 31, 31), (1, 20, 2)]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(waves[place] / 255))
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1))
        assert brighter[place] == pytest.approx(np.array(expected) * 255, abs=1)
        expected = colorsys.hsv_to_rgb(hue, min(saturation * 2.5 + 0.2, 1), value)
        assert vivid[place] == pytest.approx(np.array(expected) * 255, abs=1)


def test_saturation_counts_grey_as_red() -> None:
    assert corrupt(grey(100, 1), "saturate", 5, [0])[0, 0, 0].tolist() == [100, 80, 80]


def test_contrast_shrinks_distances_from_each_channels_mean(waves: Images) -> None:
    means = waves[0].mean(axis=(0, 1))
    assert np.abs(corrupt(waves[:1], "contrast", 5, [0])[0] - (means + 0.15 * (waves[0] - means))).max() <= 1


def test_gaussian_blur_of_a_point_is_a_gaussian() -> None:
    point = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    point[0, 16, 16] = 255
    offsets = np.arange(-4, 5)
    bell = np.exp(-(offsets**2) / 2)
    expected = 255 * np.outer(bell, bell) / bell.sum() ** 2
    assert np.abs(corrupt(point, "gaussian_blur", 5, [0])[0, 12:21, 12:21, 0] - expected).max() <= 1


def test_defocus_spreads_a_point_over_a_disk_with_a_soft_rim() -> None:
    point = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    point[0, 16, 16] = 255
    blurred = corrupt(point, "defocus_blur", 5, [0])[0, :, :, 1]
    # radius 1.5 holds 3 x 3 pixels; an edge of sigma .1 leaves them as they are
    assert blurred[15:18, 15:18].tolist() == [[255 // 9] * 3] * 3
    assert blurred.sum() == 9 * (255 // 9)


def test_zoom_blur_averages_the_image_with_its_enlargements(waves: Images) -> None:
    image = waves[0] / 255
    factors = np.arange(1, 1.26, 0.01)
    total = image.copy()
    for factor in factors:
        kept = int(np.ceil(32 / factor))
        start = (32 - kept) // 2
        enlarged = ndimage.zoom(image[start : start + kept, start : start + kept], (factor, factor, 1), order=1)
        trim = (enlarged.shape[0] - 32) // 2
        total += enlarged[trim : trim + 32, trim : trim + 32]
    expected = total / (len(factors) + 1) * 255
    assert np.abs(corrupt(waves[:1], "zoom_blur", 5, [0])[0] - expected).max() <= 1


def test_motion_blur_follows_the_drawn_direction(waves: Images) -> None:
    degrees = Draws([3], "corruption", "motion_blur", 5, 0).uniform(-45, 45)[0]
    steps = np.arange(19)
    weights = np.exp(-(steps**2) / (2 * 2.5**2)) / np.exp(-(steps**2) / (2 * 2.5**2)).sum()
    row, column = 10, 20
    expected = np.zeros(3)
    for step, weight in zip(steps, weights, strict=True):
        across, down = step * np.cos(np.deg2rad(degrees)), step * np.sin(np.deg2rad(degrees))
        place = np.clip([row + np.ceil(down - 0.5), column + np.ceil(across - 0.5)], 0, 31).astype(int)
        expected += weight * waves[0, place[0], place[1]]
    assert corrupt(waves[:1], "motion_blur", 5, [3])[0, row, column] == pytest.approx(expected, abs=1)


def test_glass_blur_moves_pixels_by_one_per_round() -> None:
    # columns of brightness 0, 8, 16, …; severity 1 is one round, hardly smoothed
    ramp = np.broadcast_to((np.arange(32, dtype=np.uint8) * 8)[None, None, :, None], (20, 32, 32, 3))
    moved = (ramp.astype(int) - corrupt(np.ascontiguousarray(ramp), "glass_blur", 1, range(20))) / 8
    assert set(np.unique(moved)) == {0, 1}
    assert moved[:, 2:, 2:].mean() == pytest.approx(0.5, abs=0.02)
    assert not moved[:, :2].any()
    assert not moved[:, :, :2].any()


def test_elastic_agrees_with_scipy(waves: Images) -> None:
    draws = Draws([5], "corruption", "elastic", 5, 0)
    shifts, noise = draws.uniform(-0.96, 0.96, 3, 2)[0], draws.uniform(-1, 1, 2, 32, 32)[0]
    corners = np.array([[26.0, 26.0], [26.0, 6.0], [6.0, 6.0]])
    forward = np.linalg.solve(np.column_stack([corners, np.ones(3)]), corners + shifts).T
    back = np.linalg.inv(forward[:, :2])
    rows, columns = np.mgrid[0:32, 0:32]
    x, y = np.einsum("ij,jhw->ihw", back, np.stack([columns, rows]) - forward[:, 2, None, None])
    across, down = (3.2 * ndimage.gaussian_filter(field, 0.96, mode="reflect", truncate=3.0) for field in noise)
    expected = []
    for plane in np.moveaxis(waves[0].astype(float), -1, 0):
        plane = ndimage.map_coordinates(plane, [y, x], order=1, mode="mirror")
        expected.append(ndimage.map_coordinates(plane, [rows + down, columns + across], order=1, mode="reflect"))
    assert np.abs(corrupt(waves[:1], "elastic", 5, [5])[0] - np.moveaxis(expected, 0, -1)).max() <= 1


def test_jpeg_is_that_of_pillow_at_quality_40(waves: Images) -> None:
    file = BytesIO()
    Image.fromarray(waves[0]).save(file, "JPEG", quality=40)
    assert np.array_equal(corrupt(waves[:1], "jpeg", 5, [0])[0], np.asarray(Image.open(file)))


def test_pixelate_leaves_twenty_blocks_a_side(waves: Images) -> None:
    rows = corrupt(waves[:1], "pixelate", 5, [0])[0].reshape(32, -1)
    assert len(np.unique(rows, axis=0)) <= 32
    small = np.asarray(Image.fromarray(waves[0]).resize((20, 20), Image.Resampling.BOX))
    assert np.array_equal(
        corrupt(waves[:1], "pixelate", 5, [0])[0],
        np.asarray(Image.fromarray(small).resize((32, 32), Image.Resampling.BOX)),
    )


def test_fog_keeps_the_range_of_each_image(waves: Images) -> None:
    foggy = corrupt(waves[:8], "fog", 5, range(8)) / 255
    highest = waves[:8].max(axis=(1, 2, 3)) / 255
    assert (foggy.max(axis=(1, 2, 3)) <= highest).all()
    # a black image has no range at all
    assert not corrupt(grey(0, 1), "fog", 5, [0]).any()


def test_snow_adds_the_same_flakes_turned_by_half_a_circle() -> None:
    fallen = corrupt(grey(0, 4), "snow", 5, range(4)).astype(int)
    flakes = fallen - fallen.min()
    assert np.array_equal(flakes, flakes[:, ::-1, ::-1])
    assert flakes.any()


def test_mud_is_brown_and_water_is_turquoise() -> None:
    muddy = corrupt(grey(200), "spatter", 5, range(40)).reshape(-1, 3)
    assert (muddy.min(axis=0) <= [80, 62, 44]).all()
    assert (muddy.min(axis=0) >= [63, 42, 20]).all()
    wet = corrupt(grey(0), "spatter", 2, range(40)).reshape(-1, 3).max(axis=0)
    assert wet.tolist() == [pytest.approx(0.5 * shade, abs=1) for shade in (175, 238, 238)]


def test_frost_adds_its_share_of_bluish_pictures() -> None:
    frozen = corrupt(grey(0, 200), "frost", 5, range(200)).reshape(200, -1, 3).mean(axis=1)
    means = np.array([[78, 149, 166], [201, 205, 214], [201, 205, 214], [138, 153, 166], [112, 123, 135]])
    assert frozen.mean(axis=0) == pytest.approx(0.45 * means.mean(axis=0), rel=0.06)
    assert (frozen[:, 2] > frozen[:, 0]).mean() > 0.95


def test_levels_are_given_for_every_corruption_and_severity() -> None:
    assert sorted(LEVELS) == CORRUPTIONS
    assert len(TYPE0) == len(TYPE1) == 10
    assert {len(levels) for levels in LEVELS.values()} == {5}


def test_wrong_input_is_refused(waves: Images) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'frost'"):
        corrupt(waves[:1], "forst", 5, [0])
    with pytest.raises(ValueError, match="1 to 5, got 6"):
        corrupt(waves[:1], "snow", 6, [0])
    with pytest.raises(ValueError, match="an index for each"):
        corrupt(waves[:2], "snow", 5, [0])
    with pytest.raises(ValueError, match="float64"):
        corrupt(waves[:1] / 255, "snow", 5, [0])  # type: ignore[arg-type]
