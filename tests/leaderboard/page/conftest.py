"""Results tables made up for tests of the page, and a browser to look at it."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.aggregate import COLUMNS, TABLE_VERSION
from benchmark.selection import RULES
from leaderboard.board import Board, Section, read_board
from leaderboard.page import build

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,900",
)
ENVIRONMENT = {"code": "0.1.0+gabc123", "python": "3.11.2", "device": "cpu", "hardware": "Test CPU", "threads": 1}


@dataclass(frozen=True)
class MadeUpMethod:
    """A method whose unbiased accuracy falls from ``top`` by ``fall`` for every factor of 10 in 1 - rho."""

    name: str
    top: float
    fall: float
    supervision: str = "none"
    sparsity: float = 0.0
    seconds: float = 60.0
    params: dict[str, Any] = field(default_factory=dict)
    info: dict[str, float] = field(default_factory=dict)
    fails_at: int | None = None
    missing_at: int | None = None
    noise: float = 0.006


@dataclass(frozen=True)
class MadeUpTask:
    """A task at some levels."""

    name: str
    rhos: tuple[float | None, ...]
    params: dict[str, Any] = field(default_factory=dict)
    protocol: str = "paper"


METHODS = (
    MadeUpMethod("vanilla", 0.93, 0.27, noise=0.015),
    *(
        MadeUpMethod("random_pruning", 0.92 - 0.1 * s * s, 0.29, sparsity=s, params={"sparsity": s}, noise=0.02)
        for s in (0.5, 0.8, 0.95)
    ),
    *(
        MadeUpMethod("magnitude_pruning", 0.93 - 0.04 * s * s, 0.26, sparsity=s, params={"sparsity": s})
        for s in (0.5, 0.8, 0.95)
    ),
    *(
        MadeUpMethod(
            "ffw_structured",
            0.96 - 0.02 * abs(math.log10(g) - 1),
            0.06 + 0.03 * abs(math.log10(g) - 1),
            "unbiased split",
            sparsity=0.2 + 0.15 * (math.log10(g) + 1),
            seconds=190,
            params={"gamma": g},
            info={"bias_accuracy": 0.9 - 0.2 * (math.log10(g) + 1)},
        )
        for g in (0.1, 1.0, 10.0, 100.0)
    ),
    MadeUpMethod("ffw_unstructured", 0.955, 0.064, "unbiased split", sparsity=0.62, seconds=210),
    MadeUpMethod("bise", 0.94, 0.12, "b on train", sparsity=0.48, seconds=150, fails_at=1),
    MadeUpMethod("group_dro", 0.95, 0.08, "b on train", seconds=75),
    MadeUpMethod("denetdm", 0.94, 0.13, seconds=240, noise=0.02, missing_at=2),
    MadeUpMethod("last_layer", 0.94, 0.075, "b on train + unbiased split", seconds=64),
)
TASKS = (
    MadeUpTask("colored_mnist", (0.95, 0.98, 0.99, 0.995), {"severity": 4, "source": "complete"}),
    MadeUpTask("multi_color_mnist", (0.99,), {"input_scaling": "double", "rho_right": 0.95, "source": "complete"}),
    MadeUpTask("multi_color_mnist", (0.99,), {"input_scaling": "single", "rho_right": 0.95, "source": "complete"}),
    MadeUpTask("celeba", (None,), {"target": "blond"}),
    MadeUpTask("colored_mnist", (0.95, 0.99), {"severity": 4, "source": "embedded"}, protocol="short"),
)


def made_up_rows(
    methods: Sequence[MadeUpMethod] = METHODS, tasks: Sequence[MadeUpTask] = TASKS, seeds: int = 5
) -> Iterator[dict[str, Any]]:
    """Rows of a results table; the same arguments give the same rows."""
    for task in tasks:
        for rho in task.rhos:
            for method in methods:
                for seed in range(seeds):
                    yield from _cell(task, rho, method, seed)


def _cell(task: MadeUpTask, rho: float | None, method: MadeUpMethod, seed: int) -> Iterator[dict[str, Any]]:
    identity = {
        "task": task.name,
        "task_version": 1,
        "task_params": json.dumps(task.params, sort_keys=True),
        "rho": rho,
        "method": method.name,
        "method_version": 1,
        "params": json.dumps(method.params, sort_keys=True),
        "variant": ", ".join(f"{name}={value:g}" for name, value in method.params.items()),
        "seed": seed,
        "protocol": task.protocol,
        "precision": "fp32",
        "supervision": method.supervision,
        "headline": "unbiased_accuracy",
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()
    identity["key"] = digest.hex()[:20]
    if seed == method.missing_at:
        yield {**identity, "status": "missing"}
        return
    common = {
        **identity,
        "code": ENVIRONMENT["code"],
        "hardware": ENVIRONMENT["hardware"],
        "environment": json.dumps(ENVIRONMENT),
        "finished_at": "2025-01-01T00:00:00Z",
        "train_seconds": method.seconds,
        "evaluate_seconds": 2.0,
        "peak_memory_bytes": 500_000_000,
        "peak_gpu_memory_bytes": 2_660_000_000,
        "parameters": 500_000,
        "macs": 415_400_000,
    }
    if seed == method.fails_at:
        yield {**common, "status": "failed", "failure": "diverged: loss is NaN", "traceback": "line 1\nValueError: NaN"}
        return
    if method.sparsity:
        common["diagnostics"] = json.dumps(made_up_diagnostics(method, seed))
    losses = {"epochs": [1, 50, 100], "curves": {"loss": [2.5, 0.25, 0.0125]}}
    common["training"] = json.dumps({"training": losses, "masks": {"epochs": [1], "curves": {"<b>tau": [None]}}})
    random = np.random.default_rng(list(digest[:4]))
    noise = method.noise * (1 + random.standard_normal())
    strength = -math.log10(1 - (rho or 0.9)) - 1
    for position, rule in enumerate(RULES):
        score = min(max(method.top - method.fall * strength - noise + 0.001 * position, 0.1), 0.999)
        aligned = min(0.999, score + 0.35 * (1 - score))
        yield {
            **common,
            "status": "done",
            "rule": rule,
            "candidate": f"epoch {90 + position}",
            "candidates": 20,
            "info": json.dumps(method.info),
            "accuracy": score,
            "unbiased_accuracy": score,
            "worst_group_accuracy": max(0.0, score - 0.2),
            "group_mean_accuracy": score,
            "aligned_accuracy": aligned,
            "conflicting_accuracy": (10 * score - aligned) / 9,
            "gap": aligned - (10 * score - aligned) / 9,
            "sparsity": method.sparsity,
            "candidate_macs": int(415_400_000 * (1 - method.sparsity)),
        }


def made_up_diagnostics(method: MadeUpMethod, seed: int) -> dict[str, Any]:
    """Of a method that prunes a vanilla network."""
    layers = {f"conv{i}": min(1.0, method.sparsity * (0.6 + 0.2 * i)) for i in range(1, 4)}
    places = np.hypot(*np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 7)))
    maps = {"before": np.clip(places, 0, 1), "after": np.clip(1 - places, 0, 1)}
    return {
        "decodability": {
            "before": {"target": 0.9, "colour": 0.99},
            "after": {"target": 0.92, "colour": 0.99 - method.sparsity + 0.02 * seed},
            "chance": {"target": 0.1, "colour": 0.1},
        },
        "counterfactual": {"not_applicable": "images of the task cannot be redrawn with another bias value"},
        "biasedness": {
            "definition": "a surrogate",
            "before": {"colour": {"phi": 0.8, "k": 0.1}},
            "after": {"colour": {"phi": 0.2, "k": None}},
        },
        "pruned": {
            "units": {},
            "weights": {name: {"total": 100, "removed": int(100 * s), "share": s} for name, s in layers.items()},
        },
        "latency": {"dense": {"1": 0.004, "128": 0.1}, "compact": {"1": 0.002, "128": 0.05}},
        "gradcam": {
            "images": [3, 5],
            "y": [7, 2],
            **{
                name: {
                    "site": "encoder.3",
                    "predicted": [7, 2] if name == "after" else [1, 2],
                    "shape": [2, 7, 7],
                    "maps": base64.b64encode((np.stack([cam, cam.T]) * 255).astype(np.uint8).tobytes()).decode(),
                }
                for name, cam in maps.items()
            },
        },
    }


def board_of(rows: Iterable[dict[str, Any]], folder: Path) -> Board:
    """The rows as they come back from the table's file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"list<int64>": pa.list_(pa.int64())}
    schema = pa.schema(
        [(name, kinds.get(kind) or pa.type_for_alias(kind)) for name, (kind, _) in COLUMNS.items()],
        metadata={"debias_bench.table_version": str(TABLE_VERSION)},
    )
    path = folder / "made_up.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return read_board(path)


@dataclass
class Browser:
    """Looks at a page as a reader does."""

    driver: Any
    folder: Path = Path()

    def open(self, folder: Path, address: str = "") -> None:
        """Load the page anew."""
        self.folder = folder
        self.driver.get("about:blank")
        self.driver.get(f"{(folder / 'index.html').as_uri()}{address}")
        self.wait("return document.documentElement.dataset.ready === 'true'")
        self.wait("return document.documentElement.dataset.view === 'drawn' || document.querySelector('[role=alert]')")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str, *arguments: Any, seconds: float = 10.0) -> None:
        """Until a script returns something true."""
        end = time.monotonic() + seconds
        while not self.run(condition, *arguments):
            assert time.monotonic() < end, f"still not so: {condition}; the page says {self.errors()}"
            time.sleep(0.02)

    def keys(self, *keys: str) -> None:
        """Type into whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def click(self, selector: str) -> None:
        """Click as a pointer does."""
        self.driver.find_element("css selector", selector).click()

    def choose(self, select: str, value: str) -> None:
        """Choose an option of a select by its value."""
        self.driver.find_element("css selector", f"#{select} option[value='{value}']").click()

    def column(self, number: int) -> list[str]:
        """Texts of a column of the main table, counted from 1."""
        script = "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.innerText.trim())"
        texts: list[str] = self.run(script, f"table.board tbody tr > :nth-child({number})")
        return texts

    def texts(self, selector: str) -> list[str]:
        """Visible texts of elements."""
        texts: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText.trim())", selector
        )
        return texts

    def errors(self) -> list[str]:
        """What the console complained of since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]

    def requests(self) -> list[str]:
        """Addresses that were asked for since this was last asked."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def emulate(self, width: int = 1300, *, dark: bool = False) -> None:
        """A screen of some width, and the colours that its owner prefers."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        prefers = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": prefers})


@pytest.fixture(scope="session")
def made_up_board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Sixteen methods in nine settings."""
    return board_of(made_up_rows(), tmp_path_factory.mktemp("board"))


@pytest.fixture
def make_board(tmp_path: Path) -> Callable[[Iterable[dict[str, Any]]], Board]:
    """A board of any rows."""
    return lambda rows: board_of(rows, tmp_path)


@pytest.fixture
def make_rows() -> Callable[..., Iterator[dict[str, Any]]]:
    """:func:`made_up_rows`."""
    return made_up_rows


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One headless Chromium for all tests."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(chromedriver))
    driver.set_script_timeout(180)
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def folder(made_up_board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of :func:`made_up_board`."""
    folder = tmp_path_factory.mktemp("page")
    build(made_up_board, folder)
    return folder


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """The browser; whatever a test does, the console stays clean and nothing leaves the machine."""
    browser.emulate()
    browser.errors()
    browser.requests()
    yield browser
    assert browser.errors() == []
    asked = browser.requests()
    assert asked
    assert [url for url in asked if not url.startswith(("file:///", "data:", "about:"))] == []


@pytest.fixture(scope="session")
def section(made_up_board: Board) -> Section:
    """Colored-MNIST at rho .99 under protocol paper."""
    (found,) = (
        each
        for each in made_up_board.sections
        if (each.task, each.rho, each.protocol) == ("colored_mnist", 0.99, "paper")
    )
    return found
