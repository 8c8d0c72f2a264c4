from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.errors import ConfigError, DataCorruptError
from tasks.image_cache import ImageCache, cache_root

COUNT, SHAPE = 40, (3, 4, 5)
Images = npt.NDArray[np.uint8]


class Maker:
    """Row r is filled with r; remembers what it made, and may fail at one row."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.made: list[int] = []
        self.fails_at = fails_at
        self._lock = threading.Lock()

    def __call__(self, rows: npt.NDArray[np.int64]) -> Images:
        if self.fails_at in rows:
            raise DataCorruptError(f"row {self.fails_at} is broken")
        with self._lock:
            self.made += rows.tolist()
        return expected(rows)


def expected(rows: npt.NDArray[Any]) -> Images:
    return np.broadcast_to(np.asarray(rows, dtype=np.uint8)[:, None, None, None], (len(rows), *SHAPE)).copy()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImageCache]:
    # two rows a chunk
    monkeypatch.setattr("tasks.image_cache.CHUNK_BYTES", 2 * int(np.prod(SHAPE)))
    return lambda maker, **identity: ImageCache("numbers", {"version": 1} | identity, COUNT, SHAPE, maker)


def test_only_rows_that_were_never_asked_for_are_made(opened: Callable[..., ImageCache]) -> None:
    maker = Maker()
    rows = np.array([7, 3, 7, 39])
    assert np.array_equal(opened(maker).images(rows), expected(rows))
    assert sorted(maker.made) == [3, 7, 39]
    again = Maker()
    rows = np.array([39, 4, 3])
    assert np.array_equal(opened(again).images(rows), expected(rows))
    assert again.made == [4]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(st.lists(st.integers(0, COUNT - 1), max_size=12), max_size=4), name=st.integers(0, 10**9))
def test_any_sequence_of_requests_gives_the_right_rows(
    opened: Callable[..., ImageCache], requests: list[list[int]], name: int
) -> None:
    maker = Maker()
    for request in requests:
        rows = np.array(request, dtype=np.int64)
        assert np.array_equal(opened(maker, name=name).images(rows), expected(rows))
    assert len(maker.made) == len(set(maker.made))


def test_images_are_made_in_parallel(opened: Callable[..., ImageCache], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.image_cache.os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    both = threading.Barrier(2, timeout=30)

    def make(rows: npt.NDArray[np.int64]) -> Images:
        both.wait()  # for another thread that makes images too
        return expected(rows)

    assert np.array_equal(opened(make).images(np.arange(8)), expected(np.arange(8)))


def test_it_says_how_far_it_is(
    opened: Callable[..., ImageCache], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tasks.image_cache.REPORT_SECONDS", -1)
    with caplog.at_level("INFO", logger="debias_bench"):
        opened(Maker()).images(np.arange(COUNT))
    assert len(caplog.messages) == COUNT // 2
    assert "numbers-" in caplog.messages[0]
    assert f": 2 of {COUNT} images made, about " in caplog.messages[0]
    assert f": {COUNT} of {COUNT} images made, about 0 s left" in caplog.messages[-1]


def test_consecutive_rows_are_a_view_of_the_file_that_may_be_written_to_without_changing_it(
    opened: Callable[..., ImageCache],
) -> None:
    view = opened(Maker()).images(np.arange(5, 15))
    assert isinstance(view.base, np.memmap) or isinstance(view, np.memmap)
    view[:] = 0
    assert np.array_equal(opened(Maker()).images(np.arange(5, 15)), expected(np.arange(5, 15)))


def test_a_damaged_row_is_made_anew(opened: Callable[..., ImageCache]) -> None:
    rows = np.arange(COUNT)
    cache = opened(Maker())
    cache.images(rows)
    file = cache.folder / "images.u8"
    content = bytearray(file.read_bytes())
    content[11 * int(np.prod(SHAPE)) + 5] ^= 1
    file.write_bytes(content)
    maker = Maker()
    assert np.array_equal(opened(maker).images(rows), expected(rows))
    assert maker.made == [11]


@pytest.mark.parametrize("file", ["images.u8", "crc32.u4"])
def test_a_file_cut_short_is_made_anew(opened: Callable[..., ImageCache], file: str) -> None:
    cache = opened(Maker())
    cache.images(np.arange(COUNT))
    path = cache.folder / file
    path.write_bytes(path.read_bytes()[:-50])
    maker = Maker()
    assert np.array_equal(opened(maker).images(np.arange(COUNT)), expected(np.arange(COUNT)))
    assert set(maker.made) >= {COUNT - 1}


def test_a_failure_keeps_what_was_made_before_it(opened: Callable[..., ImageCache]) -> None:
    with pytest.raises(DataCorruptError, match="row 30 is broken"):
        opened(Maker(fails_at=30)).images(np.arange(COUNT))
    maker = Maker()
    opened(maker).images(np.arange(COUNT))
    assert sorted(maker.made) == list(range(30, COUNT))


def test_another_identity_is_another_folder(opened: Callable[..., ImageCache]) -> None:
    first, second = opened(Maker(), size=1), opened(Maker(), size=2)
    assert first.folder != second.folder
    first.images(np.array([1]))
    assert '"size": 1' in (first.folder / "about.json").read_text()
    assert not second.folder.exists()


def test_rows_that_nobody_asks_for_take_no_space() -> None:
    cache = ImageCache("large", {}, 10_000, (3, 100, 100), lambda rows: np.ones((len(rows), 3, 100, 100), np.uint8))
    cache.images(np.array([9_999]))
    stat = (cache.folder / "images.u8").stat()
    assert stat.st_size == 300_000_000
    assert stat.st_blocks * 512 < 1_000_000


def test_processes_that_need_the_same_rows_do_not_disturb_each_other(tmp_path: Path) -> None:
    program = (
        "import sys, time; import numpy as np; from tasks.image_cache import ImageCache\n"
        "def make(rows):\n"
        "    with open(sys.argv[1], 'a') as file: file.write(''.join(f'{row}\\n' for row in rows))\n"
        "    time.sleep(0.05)\n"
        "    return np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(rows), 3, 4, 5))\n"
        "images = ImageCache('shared', {}, 40, (3, 4, 5), make).images(np.arange(40))\n"
        "assert (images[:, 0, 0, 0] == np.arange(40)).all()\n"
    )
    log = tmp_path / "made"
    workers = [subprocess.Popen([sys.executable, "-c", program, str(log)]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert sorted(map(int, log.read_text().split())) == list(range(40))


def test_a_cache_that_cannot_be_written_says_so(
    opened: Callable[..., ImageCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set DEBIAS_BENCH_CACHE to a folder with up to"):
        opened(Maker()).images(np.array([0]))


def test_the_root_is_the_environments_choice_or_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("DEBIAS_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_root() == Path("/somewhere/debias-bench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "debias-bench"


def test_no_rows_need_no_cache(opened: Callable[..., ImageCache]) -> None:
    cache = opened(Maker())
    assert cache.images(np.array([], dtype=np.int64)).shape == (0, *SHAPE)
    assert not cache.folder.exists()
