"""What a cluster costs: trivial cells in one process, and the same ones sent in packs to the cluster ``local``.

python tests/performance/local_cluster.py --cells 5000 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slurm.queued import live_packs
from slurm.submission import read_submissions

ROOT = Path(__file__).parents[2]
PLUGINS = (ROOT / "tests" / "benchmark" / "toy_plugin.py", ROOT / "tests" / "performance" / "fresh_plugin.py")


def call(folder: Path, *arguments: object) -> float:
    """Run a command; the seconds that it took."""
    command = [sys.executable, "-c", "from benchmark.cli import main; main()", *map(str, arguments)]
    options = [option for path in PLUGINS for option in ("--plugin", str(path))]
    began = time.perf_counter()
    subprocess.run(
        [*command, *options],
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - began


def measure(folder: Path, cells: int, jobs: int) -> dict[str, float]:
    """Seconds of each part."""
    sweep = folder / "fresh.yaml"
    sweep.write_text(json.dumps({"tasks": ["toy"], "methods": ["fresh"], "protocol": "smoke", "seeds": cells}))
    (folder / "profile.yaml").write_text(json.dumps({"max_running": jobs}))
    times = {"run in one process": call(folder, "run", sweep, "--jobs", 0, "--results", "one", "--json")}
    where = ("--results", "local", "--profile", "profile.yaml", "--cluster", "local")
    times["plan with packs"] = call(folder, "plan", sweep, *where, "--json")
    times["submit"] = call(folder, "submit", sweep, *where)
    began = time.perf_counter()
    while live_packs(read_submissions(folder / "local")):
        time.sleep(0.1)
    times[f"{jobs} jobs, to the end of the last"] = time.perf_counter() - began
    times["status"] = call(folder, "status", "--results", "local", "--json")
    times["aggregate"] = call(folder, "aggregate", "--results", "local")
    for results in ("one", "local"):
        done = len(list((folder / results / "records").glob("??/*.json")))
        if done != cells:
            raise SystemExit(f"{results}: {done} of {cells} cells are done")
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in measure(Path(folder), given.cells, given.jobs).items():
            sys.stderr.write(f"{name:32} {seconds:8.1f} s  {1000 * seconds / given.cells:8.2f} ms a cell\n")


if __name__ == "__main__":
    main()
