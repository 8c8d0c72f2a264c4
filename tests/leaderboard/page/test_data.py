"""The page's folder and its data, without a browser."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.protocol import PROTOCOLS
from benchmark.selection import RULES
from benchmark.sweep import Sweep, TaskEntry, expand, read_sweep
from leaderboard.across import over_tasks
from leaderboard.board import Board, Section
from leaderboard.page import build
from leaderboard.page.payload import as_script, suite_labels
from leaderboard.page.reproduce import reproduce
from leaderboard.page.values import entry_ids, section_id
from leaderboard.statistics import compare


def read_part(folder: Path, name: str) -> Any:
    """The JSON within a file of data."""
    text = (folder / "data" / f"{name}.js").read_text(encoding="utf-8")
    found = re.fullmatch(r'receive\("([^"]*)",(.*)\);\n', text, re.DOTALL)
    assert found is not None
    assert found[1] == name
    return json.loads(found[2])


def read_cells(folder: Path, name: str) -> dict[str, dict[int, dict[str, Any]]]:
    """The cells of a chunk by entry and seed, their values by name."""
    part = read_part(folder, name)
    return {
        entry: {int(seed): dict(zip(part["columns"], values, strict=True)) for seed, values in cells.items()}
        for entry, cells in part["cells"].items()
    }


def test_the_page_is_small_and_refers_to_nothing_outside_its_folder(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 200_000
    names = {path.name for path in files}
    for path in files:
        text = path.read_text(encoding="utf-8")
        for address in re.findall(r'(?:src|href)="([^"]*)"', text):
            assert address in names or address.startswith(("#", "data:")), f"{path.name} refers to {address}"
        assert set(re.findall(r"https?://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}


def test_every_number_of_a_section_is_the_boards(made_up_board: Board, folder: Path) -> None:
    for section in made_up_board.sections:
        part = read_part(folder, section_id(section))
        for rule in RULES:
            for metric in (section.headline, "worst_group_accuracy", "sparsity"):
                shown = part["rules"][rule]["metrics"][metric]
                for i, entry in enumerate(section.entries):
                    summary = entry.summary(metric, rule)
                    assert shown["mean"][i] == pytest.approx(summary.mean, abs=1e-5)
                    assert shown["half"][i] == pytest.approx((summary.high - summary.low) / 2, abs=1e-5)


def test_comparisons_and_ranks_are_the_boards(section: Section, folder: Path) -> None:
    found = read_part(folder, section_id(section))["rules"]["unbiased_val"]
    ranking = section.ranking("unbiased_val")
    assert found["rank"] == [list(pair) for pair in zip(ranking.best, ranking.worst, strict=True)]
    pairs = found["pairs"]
    assert pairs["rows"] == list(range(len(section.entries)))
    scores = [entry.scores(section.headline, "unbiased_val") for entry in section.entries]
    for i, j in ((0, 5), (7, 2), (3, 4)):
        expected = compare(scores[i], scores[j])
        assert pairs["difference"][i][j] == pytest.approx(expected.difference, abs=1e-5)
        assert pairs["probability"][i][j] == pytest.approx(expected.probability, abs=1e-3)
        assert pairs["p"][i][j] == pytest.approx(ranking.p_adjusted[i, j], abs=1e-4)


def test_two_seeds_give_neither_interval_nor_rank(
    make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    build(make_board(row for row in make_rows(seeds=2) if row["task"] == "celeba"), tmp_path / "page")
    (shown,) = read_part(tmp_path / "page", "index")["sections"]
    found = shown["scores"]["last"]
    assert None not in found["mean"]
    assert set(found["half"]) == set(found["rank"]) == {None}


def test_oracle_is_never_ranked_by(folder: Path, made_up_board: Board) -> None:
    for section in made_up_board.sections:
        found = read_part(folder, section_id(section))["rules"]["oracle"]
        assert set(found["rank"]) == {None}
        assert "pairs" not in found


def test_averages_over_tasks_are_the_boards(made_up_board: Board, folder: Path) -> None:
    suite = made_up_board.suites[0]
    over = over_tasks(suite, "last")
    assert over is not None
    shown = read_part(folder, "index")["suites"]["paper"]["last"]
    assert shown["ranks"] == pytest.approx(over.ranks.ranks, abs=1e-3)
    assert shown["difference"] == pytest.approx(over.ranks.critical_difference, abs=1e-3)


def test_every_cell_is_in_a_chunk(made_up_board: Board, folder: Path) -> None:
    for section in made_up_board.sections:
        part = read_part(folder, section_id(section))
        for shown, (name, entry) in zip(part["entries"], entry_ids(section).items(), strict=True):
            cells = read_cells(folder, f"{section_id(section)}.cells{shown['chunk']}")[name]
            assert {seed: cell["key"] for seed, cell in cells.items()} == {
                seed: row["key"] for seed, row in entry.cells.items()
            }
            assert [cells[seed]["status"][0] for seed in section.seeds] == list(shown["marks"])
            for rule, rows in entry.by_rule.items():
                for seed, row in rows.items():
                    candidate, info, score, sparsity = cells[seed]["rules"][rule]
                    assert (candidate, info) == (row["candidate"], json.loads(row["info"]))
                    assert score == pytest.approx(row[section.headline], abs=1e-5)
                    assert sparsity == pytest.approx(row["sparsity"], abs=1e-5)


def test_failed_cells_keep_their_reason_and_traceback(made_up_board: Board, folder: Path) -> None:
    section = made_up_board.sections[0]
    failed = [
        cell
        for path in (folder / "data").glob(f"{section_id(section)}.cells*.js")
        for cells in read_cells(folder, path.stem).values()
        for cell in cells.values()
        if cell["status"] == "failed"
    ]
    assert [cell["failure"] for cell in failed] == ["diverged: loss is NaN"]
    assert failed[0]["traceback"].endswith("ValueError: NaN")


def test_building_again_gives_the_same_files_and_removes_those_of_other_sections(
    made_up_board: Board, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "page"
    build(made_up_board, folder)
    first = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "CNAME").write_text("example.org")
    build(made_up_board, folder)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == first
    build(make_board(row for row in make_rows(seeds=3) if row["task"] == "celeba"), folder)
    left = sorted(path.name for path in (folder / "data").iterdir())
    assert len(left) == 3
    assert all(name.startswith(("celeba", "index")) for name in left)
    assert (folder / "CNAME").exists()


def test_no_text_can_end_a_script() -> None:
    script = as_script("name", {"text": "</script><script>alert(1)</script>", "lines": "a\u2028b\nc"})
    assert b"<" not in script
    assert script.count(b"\n") == 1
    assert json.loads(script[len(b'receive("name",') : -len(b");\n")]) == {
        "text": "</script><script>alert(1)</script>",
        "lines": "a\u2028b\nc",
    }


def test_names_of_files_are_harmless_whatever_a_task_is_called(
    make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [{**row, "task": "../../<x> y", "protocol": "a/b"} for row in make_rows(seeds=3) if row["task"] == "celeba"]
    build(make_board(rows), tmp_path / "deep" / "page")
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".js"]
    for path in (tmp_path / "deep" / "page" / "data").iterdir():
        assert re.fullmatch(r"[a-z0-9_.-]+\.js", path.name)


def test_the_commands_of_a_cell_run_that_cell_again(lab: Any, tmp_path: Path) -> None:
    sweep = Sweep(
        [TaskEntry("colored_mnist", [0.95], {"source": "embedded"})], ["vanilla", "ffw_structured"], 2, "smoke"
    )
    cells = expand(sweep, tmp_path).cells
    lab.records = [lab.record(cell, [0.5]) for cell in cells]
    (section,) = lab.board().sections
    found = set()
    for entry in section.entries:
        for seed, row in entry.cells.items():
            assert run_reproduction(reproduce(section, entry), seed, tmp_path) == {row["key"]}
            found.add(row["key"])
    assert found == {cell.key for cell in cells}


def run_reproduction(command: tuple[str, str], seed: int, folder: Path) -> set[str]:
    """Keys of the cells that the commands would run."""
    shell = "debias-bench() { printf '%s\\n' \"$@\" > arguments; }\n" + str(seed).join(command)
    subprocess.run(["bash", "-eu", "-c", shell], cwd=folder, check=True)
    assert (folder / "arguments").read_text().split() == ["run", "cell.yaml", "--data", "DATA"]
    return {cell.key for cell in expand(read_sweep(folder / "cell.yaml"), folder).cells}


def test_no_parameter_can_break_out_of_the_commands(
    make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    evil = {"name": "x\nEND\ntouch broken\n", "quote": "'; touch broken; '", "dollar": "$(touch broken)"}
    rows = [{**row, "params": json.dumps(evil)} for row in make_rows(seeds=3) if row["method"] == "vanilla"]
    section = make_board(rows).sections[0]
    text = "0".join(reproduce(section, section.entries[0]))
    subprocess.run(["bash", "-eu", "-c", f"debias-bench() {{ :; }}\n{text}"], cwd=tmp_path, check=True)
    assert not (tmp_path / "broken").exists()
    assert json.loads((tmp_path / "cell.yaml").read_text())["methods"][0]["params"] == evil


def test_protocols_that_differ_in_precision_or_harness_are_told_apart(
    make_board: Callable[..., Board], make_rows: Callable[..., Any]
) -> None:
    few = [row for row in make_rows(seeds=2) if row["task"] == "celeba" and row["method"] == "vanilla"]
    settings = {"protocol_settings": json.dumps({"name": "paper"})}
    board = make_board(
        [
            *({**row, "engine_version": 1, **settings} for row in few),
            *({**row, "engine_version": 2, **settings} for row in few),
            *({**row, "engine_version": 2, **settings, "precision": "bf16"} for row in few),
        ]
    )
    assert sorted(suite_labels(board.suites)) == ["paper, bf16", "paper, harness 1", "paper, harness 2"]


def test_a_board_without_cells_gives_a_page(make_board: Callable[..., Board], tmp_path: Path) -> None:
    build(make_board([]), tmp_path / "page")
    index = read_part(tmp_path / "page", "index")
    assert index["sections"] == []
    assert index["suites"] == {}


def test_several_processes_give_the_same_page_as_one(
    make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = make_board(list(make_rows(seeds=3)))
    build(board, tmp_path / "alone")
    monkeypatch.setattr("leaderboard.page.payload.FEW_CELLS", 0)
    monkeypatch.setattr("benchmark.forked.os.sched_getaffinity", lambda pid: {0, 1})
    build(board, tmp_path / "several")
    alone, several = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "data").iterdir()} for name in ("alone", "several")
    )
    assert len(alone) > 3
    assert alone == several


def test_only_a_few_methods_are_compared_with_all_others_where_there_are_many(
    make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    rows = []
    for row in make_rows(seeds=3):
        if row["task"] == "celeba" and row["method"] == "vanilla":
            for i in range(40):
                score = row["accuracy"] - 0.01 * i
                rows.append(
                    {**row, "method": f"m{i:02d}", "unbiased_accuracy": score, "key": f"{row['key'][:-2]}{i:02d}"}
                )
    build(make_board(rows), tmp_path)
    pairs = read_part(tmp_path, read_part(tmp_path, "index")["sections"][0]["id"])["rules"]["last"]["pairs"]
    assert pairs["rows"] == [0, 1, 2, 3]
    assert np.shape(pairs["difference"]) == (4, 40)
    assert pairs["difference"][0][3] == pytest.approx(0.03)


def test_protocols_come_in_their_own_order(folder: Path) -> None:
    shown = list(dict.fromkeys(section["protocol"] for section in read_part(folder, "index")["sections"]))
    assert shown == [name for name in PROTOCOLS if name in shown]
