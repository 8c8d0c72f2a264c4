"""A leaderboard of 100,000 records, from the records to a page in a browser: time, memory, how the page answers."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.performance.folder_of_records import fill, write_wide_sweep
from tests.performance.measure import WALL, Measured, NotHereError, debias_bench, figure

CELLS = 100_000
RUNS = 3
EVERY = 0.1
"""Seconds between two looks at the memory of the processes."""
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,900", "--disable-background-networking")
READY = "return document.documentElement.dataset.ready === 'true'"


@dataclass(frozen=True)
class Cost:
    """What a command took: wall and processor seconds, and the most bytes that all its processes held together."""

    wall: float
    processor: float
    peak: int


def watched(where: Path, *arguments: str) -> Cost:
    """Run ``debias-bench`` and look at the memory of its processes, shared pages counted once, until it ends."""
    command, environment = debias_bench(*arguments)
    before, began = os.times(), WALL()
    with (where / "output.txt").open("w+") as output:
        process = subprocess.Popen(command, cwd=where, env=environment, stdout=output, stderr=output)
        peaks = [0]
        watch = threading.Thread(target=_watch, args=(process, peaks))
        watch.start()
        code = process.wait()
        took, after = WALL() - began, os.times()
        watch.join()
        if code:
            output.seek(0)
            raise RuntimeError(f"{' '.join(arguments)}: {output.read()[-2000:]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(took, spent, max(peaks))


def _watch(process: subprocess.Popen[bytes], peaks: list[int]) -> None:
    while process.poll() is None:
        peaks.append(sum(_held(pid) for pid in _tree(process.pid)))
        time.sleep(EVERY)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    except (OSError, ValueError):
        return
    for child in children:
        yield from _tree(child)


def _held(pid: int) -> int:
    """Bytes of a process; of a page that n processes share, an n-th."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


@cache
def _made() -> tuple[tempfile.TemporaryDirectory[str], tuple[dict[str, Cost], ...]]:
    """The folder of the records and of what was published from them, and what the two commands took in each run."""
    place = tempfile.TemporaryDirectory(prefix="debias-bench-")
    where = Path(place.name)
    fill(where / "results", write_wide_sweep(where / "wide.yaml", CELLS))
    commands = {
        "aggregate": ("aggregate", "--results", "results"),
        "publish": ("publish", "site", "--table", "results/results.parquet"),
    }
    return place, tuple({name: watched(where, *command) for name, command in commands.items()} for _ in range(RUNS))


@figure("published", "`aggregate` and `publish` of 100,000 records, on all cores", 60.0, "s", "less")
def _published() -> Measured:
    _, runs = _made()
    parts = {}
    for name in runs[0]:
        parts |= {f"{name} wall s": statistics.median(run[name].wall for run in runs)}
        parts |= {f"{name} processor s": statistics.median(run[name].processor for run in runs)}
    totals = [sum(cost.wall for cost in run.values()) for run in runs]
    return Measured(statistics.median(totals), parts | {"fastest wall s": min(totals)})


@figure("published_memory", "most memory of all processes meanwhile", 2.0, "GB", "less")
def _published_memory() -> Measured:
    place, runs = _made()
    site = Path(place.name) / "site"
    sizes = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    data = {path.name: size / 1e6 for path, size in sizes.items() if path.parent.name == "data"}
    page = sum(size for path, size in sizes.items() if path.parent == site and path.suffix in (".html", ".js", ".css"))
    peaks = {name: max(run[name].peak for run in runs) / 1e9 for name in runs[0]}
    parts = {f"{name} GB": peak for name, peak in peaks.items()}
    parts |= {"page without data MB": page / 1e6, "index of the data MB": data.pop("index.js")}
    parts |= {"largest other file of data MB": max(data.values()), "all other files of data MB": sum(data.values())}
    return Measured(max(peaks.values()), parts)


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    try:
        from selenium import webdriver
    except ImportError as error:
        raise NotHereError("selenium is not installed") from error
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver_path is None:
        raise NotHereError("chromium and chromedriver are not installed")
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
        try:
            yield driver
        finally:
            driver.quit()


ACT = """
const [selector, value, done] = [arguments[0], arguments[1], arguments[2]];
const element = document.querySelector(selector);
const began = performance.now();
if (value === null) element.click();
else {
  element.value = value;
  element.dispatchEvent(new Event(element.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
}
const answered = () => {
  if (document.documentElement.dataset.view === "waiting") return setTimeout(answered, 1);
  document.body.getBoundingClientRect();
  done(performance.now() - began);
};
requestAnimationFrame(() => setTimeout(answered));
"""
"""Does something as a reader does, and says after how many milliseconds the page shows it; charts may follow."""
STEPS: tuple[tuple[str, str, str | None], ...] = (
    ("type in the search, all settings", "#search", "f"),
    ("type on", "#search", "ff"),
    ("empty the search", "#search", ""),
    ("sort all settings", "#sort-method", None),
    ("filter by supervision", "#supervision input[value='b on train']", None),
    ("filter by supervision, undone", "#supervision input[value='b on train']", None),
    ("choose a task", "#task", "colored_mnist"),
    ("choose a level", "#rho", "0.99"),
    ("choose a version, one setting", "#data", "severity 1"),
    ("sort one setting", "#sort-worst", None),
    ("type in the search, one setting", "#search", "ff"),
    ("open a method", "tbody a.who", None),
)


VISITS = 3
DRAWN = "return document.documentElement.dataset.view === 'drawn'"


def _spent(driver: Any) -> float:
    """Processor seconds of the browser's processes that draw pages."""
    nanoseconds = 0
    for pid in _tree(driver.service.process.pid):
        with suppress(OSError):
            if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                files = Path(f"/proc/{pid}/task").glob("*/schedstat")
                nanoseconds += sum(int(path.read_text().split()[0]) for path in files)
    return nanoseconds / 1e9


def _until(driver: Any, condition: str) -> None:
    while not driver.execute_script(condition):
        time.sleep(0.01)


@figure(
    "published_page",
    "time until its page answers a key or click, the slowest of twelve, in Chromium",
    200.0,
    "ms",
    "less",
)
def _published_page() -> Measured:
    """Wall time, since somebody waits; each step is the median over ``VISITS`` visits of the page."""
    place, *_ = _made()
    address = (Path(place.name) / "site" / "index.html").as_uri()
    loads: list[float] = []
    waits: dict[str, list[float]] = {f"{name}: ms": [] for name, *_ in STEPS}
    spent: dict[str, list[float]] = {f"{name}: processor ms": [] for name, *_ in STEPS}
    with browser() as driver:
        for _ in range(VISITS):
            driver.get("about:blank")
            began = WALL()
            driver.get(address)
            _until(driver, READY)
            loads.append(1000 * (WALL() - began))
            for name, selector, value in STEPS:
                _until(driver, DRAWN)
                before = _spent(driver)
                waits[f"{name}: ms"].append(driver.execute_async_script(ACT, selector, value))
                spent[f"{name}: processor ms"].append(1000 * (_spent(driver) - before))
        heap = driver.execute_script("return performance.memory.usedJSHeapSize") / 1e6
    slow = {name: statistics.median(took) for name, took in waits.items()}
    parts = {name: statistics.median(took) for name, took in spent.items()}
    return Measured(max(slow.values()), {"load ms": statistics.median(loads), **slow, **parts, "heap MB": heap})
