"""What a cell costs beside its arithmetic: in this process, and through packs on the cluster ``local``."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

from benchmark.registry import load_plugin_file
from benchmark.store import Store
from benchmark.sweep import Sweep, expand
from benchmark.worker import Worker
from slurm.queued import live_packs
from slurm.submission import read_submissions
from tests.performance.measure import CPU, WALL, Measured, cores, figure
from tests.performance.prompt import PLUGINS, call, folder


def _fresh_cells(seeds: int, where: Path) -> Sweep:
    for path in PLUGINS:
        load_plugin_file(path)
    return Sweep(["toy"], ["fresh"], seeds=seeds, protocol="smoke")


@figure("no_op_cell", "a cell in process that trains nothing (toy task, one candidate)", 3.0, "ms", "less")
def no_op_cell(count: int = 300) -> Measured:
    """From claim to record."""
    with folder() as where:
        cells = expand(_fresh_cells(count + 20, where), where).cells
        worker = Worker(Store(where / "results"), where)
        wall, cpu = [], []
        for cell in cells:
            began, spent = WALL(), CPU()
            if worker.attempt(cell) != "done":
                raise RuntimeError(f"{cell.title} has failed")
            wall.append(1e3 * (WALL() - began))
            cpu.append(1e3 * (CPU() - spent))
    wall, cpu = wall[20:], cpu[20:]
    median = statistics.median(wall)
    return Measured(
        median,
        {"wall ms": median, "processor ms": statistics.median(cpu), "fastest tenth ms": sorted(wall)[count // 10]},
    )


@figure("local_cluster", "a trivial cell in packs on the cluster `local` / in one process", None, "x", "less")
def local_cluster(cells: int = 300) -> Measured:
    """All costs of processes included, so that it falls with the number of cells."""
    with folder() as where:
        sweep = where / "fresh.yaml"
        sweep.write_text(json.dumps({"tasks": ["toy"], "methods": ["fresh"], "protocol": "smoke", "seeds": cells}))
        (where / "profile.yaml").write_text(json.dumps({"max_running": cores()}))
        alone, _ = call(where, "run", sweep, "--jobs", 0, "--results", "one", "--json", plugins=PLUGINS)
        sent = ("--results", "local", "--profile", "profile.yaml", "--cluster", "local")
        submit, _ = call(where, "submit", sweep, *sent, plugins=PLUGINS)
        began = WALL()
        while live_packs(read_submissions(where / "local")):
            time.sleep(0.1)
        packs = WALL() - began
        done = {name: len([*Store(where / name).finished_files()]) for name in ("one", "local")}
        if done != {"one": cells, "local": cells}:
            raise RuntimeError(f"of {cells} cells are done: {done}")
    each = {"in one process": alone, "submit": submit, "in packs": packs}
    return Measured((submit + packs) / alone, {f"{name} ms a cell": 1e3 * took / cells for name, took in each.items()})
