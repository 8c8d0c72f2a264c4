"""What the documentation of results promises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from benchmark.cli import COMMANDS, main
from benchmark.selection import RULES
from leaderboard import markdown
from leaderboard.dictionary import dictionary

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "publish.md").read_text(encoding="utf-8")
OURS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def test_the_columns_of_the_table_are_documented_as_they_are() -> None:
    between = re.search(r"<!-- the columns.*?-->\n(.*?)<!-- end of the columns -->", PAGE, re.DOTALL)
    assert between is not None
    expected = markdown.render([dictionary()])
    assert between[1] == expected, f"put this between the marks in docs/publish.md:\n{expected}"


def test_every_selection_rule_is_documented() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(RULES)


def test_every_command_and_option_of_the_page_exists() -> None:
    used = re.findall(r"debias-bench ([a-z-]+)([^#\n`)]*)", PAGE)
    assert {"aggregate", "leaderboard", "diff", "publish", "submit-results", "validate"} <= {name for name, _ in used}
    for name, rest in used:
        assert name in COMMANDS
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in CliRunner().invoke(main, [name, "--help"]).output, (name, option)


def test_the_example_of_counts_computes_the_accuracy_of_the_row(lab) -> None:
    lab.add("a", [0.7])
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (example,) = [block for block in blocks if "counts_shape" in block]
    names: dict[str, object] = {"pq": pq}
    exec(example.replace("results/results.parquet", str(lab.table())), names)
    assert names["accuracy"] == pytest.approx(names["row"]["accuracy"])  # type: ignore[index]
    assert np.asarray(names["counts"]).shape == (10, 10, 10)


def test_the_workflow_trusts_nothing_of_a_pull_request() -> None:
    path = ROOT / ".github" / "workflows" / "validate-submission.yml"
    workflow = YAML(typ="safe").load(path.read_text())
    assert list(workflow["on"]) == ["pull_request"]
    assert workflow["permissions"] == {"contents": "read"}
    steps = workflow["jobs"]["validate"]["steps"]
    assert steps[0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "path" not in steps[0]["with"]
    for step in steps:
        assert "${{" not in step.get("run", "")
        assert "secrets" not in str(step)
    assert any("debias-bench validate" in step.get("run", "") for step in steps)


def test_the_readme_shows_the_overview_of_what_is_published() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- the table of leaderboard/published/README.md -->\n(.+?)<!-- end", readme, re.DOTALL)
    assert shown is not None
    assert shown[1] in (ROOT / "leaderboard" / "published" / "README.md").read_text(encoding="utf-8")


def test_the_numbers_beside_those_of_papers_are_what_is_published() -> None:
    shown = re.search(r"<!-- the tables of leaderboard/published/LEADERBOARD.md -->\n(.+?)<!-- end", OURS, re.DOTALL)
    assert shown is not None
    board = (ROOT / "leaderboard" / "published" / "LEADERBOARD.md").read_text(encoding="utf-8")
    tables = re.findall(r"^(colored_mnist.+|multi_color_mnist.+):\n\n((?:\|.*\n)+)", shown[1], re.MULTILINE)
    assert tables
    for heading, table in tables:
        assert table in board.split(f"### {heading}\n")[1].split("\n### ")[0]
