"""The packages under examples/ do what the documentation says: installed, they are found and conform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("example", "check", "name"), [("jtt", "check-method", "jtt")])
def test_an_installed_example_is_found_and_conforms(example: str, check: str, name: str, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path), str(ROOT / "examples" / example)], check=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def command(*arguments: str) -> str:
        run = [sys.executable, "-c", "from benchmark.cli import main; main()", *arguments]
        return subprocess.run(run, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert f"\n{name} " in command("list", f"{check.removeprefix('check-')}s")
    findings = command(check, name).splitlines()
    assert {finding.split()[0] for finding in findings} <= {"ok", "n/a"}, findings
