"""The example packages as their readers use them: installed, found by their entry points, checked, and run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str, site: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("example", "check"), [("jtt", ("check-method", "jtt")), ("watermark", ("check-task", "watermarked_digits"))]
)
def test_an_installed_example_conforms(example: str, check: tuple[str, str], tmp_path: Path) -> None:
    site = tmp_path / "site"
    package = str(ROOT / "examples" / example)
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    installed = run("-m", "pip", "install", *offline, "--target", str(site), package, site=site, folder=tmp_path)
    assert installed.returncode == 0, installed.stderr
    found = run("-c", "from benchmark.cli import main; main()", *check, site=site, folder=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    lines = found.stdout.strip().splitlines()
    assert len(lines) >= 8
    assert all(line.startswith("ok") for line in lines), found.stdout


def test_marks_are_where_the_digits_own_is_as_often_as_asked(tmp_path: Path) -> None:
    script = """
import numpy as np, sys
from pathlib import Path
from benchmark.protocol import PROTOCOLS
from benchmark.task import Setting
from debias_bench_watermark import WatermarkedDigits, WatermarkParams
task = WatermarkedDigits(WatermarkParams(brightness=200))
for rho in task.rhos:
    train = task.split("train", Setting(rho, 0, PROTOCOLS["paper"], Path()))
    own = (train.b[:, 0] == train.y).mean()
    assert len(train) == 863 and abs(own - rho) < 0.01, (len(train), own)
    frame = train.x[:, 0].astype(int); frame[:, 1:-1, 1:-1] = 0
    assert set(np.unique(frame)) == {0, 200} and set((frame > 0).sum((1, 2))) <= {3, 4}
    means = np.stack([frame[train.b[:, 0] == place].mean(0) for place in range(10)])
    assert (np.count_nonzero(means, axis=0) <= 1).all(), "places do not overlap"
test = task.split("test", Setting(0.9, 0, PROTOCOLS["paper"], Path()))
assert abs((test.b[:, 0] == test.y).mean() - 0.1) < 0.02
other = task.redraw("test", Setting(0.9, 0, PROTOCOLS["paper"], Path()), 9 - test.b)
assert (other.x[:, :, 1:-1, 1:-1] == test.x[:, :, 1:-1, 1:-1]).all() and (other.x != test.x).any((1, 2, 3)).all()
"""
    found = run("-c", script, site=ROOT / "examples" / "watermark", folder=tmp_path)
    assert found.returncode == 0, found.stderr
