from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt
from scipy import stats

from benchmark.protocol import PROTOCOLS
from benchmark.registry import METHODS
from leaderboard import csv_tables, latex, markdown
from leaderboard.board import Board, read_board
from leaderboard.content import document
from leaderboard.document import Block, Bullets, Code, Heading, Number, Paragraph, Strong, Table, Value
from leaderboard.references import Reference

A = [0.8, 0.9, 0.8, 0.9]
B = [0.6, 0.7, 0.7, 0.6]
CLAIM = Reference(
    "colored_mnist", 0.95, "0.95", "vanilla", "unbiased_accuracy", "unbiased_accuracy", 0.6, 0.02, "a paper", "text", ""
)


def build(board: Board, references: list[Reference] | None = None) -> list[Block]:
    return document(board, "unbiased_val", references or [])


def shown(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, Number):
        bold = "**" if value.strong else ""
        return f"{bold}{value.text}{bold} {value.mark}".strip()
    return value.text if isinstance(value, Code) else value


def table_named(blocks: list[Block], start: str) -> tuple[dict[str, str], ...]:
    (found,) = [block for block in blocks if isinstance(block, Table) and block.name.startswith(start)]
    return tuple(
        dict(zip([column.title for column in found.columns], map(shown, row), strict=True)) for row in found.rows
    )


def notes(blocks: list[Block]) -> list[str]:
    found: list[str] = []
    for block in blocks:
        items = block.items if isinstance(block, Bullets) else (block.spans,) if isinstance(block, Paragraph) else ()
        found.extend("".join(s.text if isinstance(s, Code | Strong) else s for s in spans) for spans in items)
    return found


def test_the_overview_has_a_row_per_method_and_a_column_per_level(lab) -> None:
    for rho in (0.95, 0.99):
        lab.add("a", A, rho=rho)
        lab.add("b", B, rho=rho)
    lab.add("c", [0.3], rho=0.99)
    rows = table_named(build(lab.board()), "overview")
    # unbiased accuracy (1 + 9 c) / 10: a 0.865, b 0.685, c 0.37
    assert [row["method"] for row in rows] == ["a", "b", "c"]
    assert rows[0]["colored_mnist 0.95"].startswith("**86.5 ± ")
    assert rows[0]["colored_mnist 0.95"].endswith("** (1)")
    assert rows[1]["colored_mnist 0.99"].endswith(" (2)")
    assert (rows[2]["colored_mnist 0.95"], rows[2]["colored_mnist 0.99"]) == ("-", "37.0 *")


def test_wide_overviews_are_cut_between_tasks(lab) -> None:
    for task in ("one", "two", "three"):
        for rho in (0.9, 0.95, 0.99):
            lab.add("a", [0.5], task=task, rho=rho)
    blocks = build(lab.board())
    tables = [block for block in blocks if isinstance(block, Table) and block.name.startswith("overview")]
    assert [len(table.columns) - 2 for table in tables] == [6, 3]
    assert len({table.name for table in tables}) == 2


def test_a_section_says_who_beats_whom_and_what_was_published(lab) -> None:
    lab.add("vanilla", B)
    lab.add("a", A)
    blocks = build(lab.board(), [CLAIM])
    first, second = table_named(blocks, "colored_mnist_0.95")
    assert (first["rank"], first["method"], second["rank"], second["published"]) == ("1", "a", "2", "60.0")
    assert first["aligned"] == "100.0"
    assert (first["conflicting"], first["worst group"]) == ("85.0", "85.0")
    difference = 0.9 * (np.array(A) - np.array(B))
    predictive = stats.t(3, difference.mean(), difference.std(ddof=1) * math.sqrt(1 + 1 / 4))
    assert first["beats next, %"] == f"{100 * predictive.sf(0):.0f}"
    claim, without = table_named(blocks, "published_colored_mnist_0.95")
    assert claim["published"] == "60.0 ± 2.0"
    scores = 0.1 + 0.9 * np.array([A, B])
    expected = [f"{100 * s.mean():.1f} ± {100 * s.std(ddof=1):.1f}" for s in scores]
    assert [without["ours, unbiased_val"], claim["ours, unbiased_val"]] == expected
    assert [claim["oracle"], claim["last"]] == expected[1:] * 2
    assert (without["method"], without["published"], without["source"]) == ("a", "-", "-")
    assert claim["difference"] == "+8.5"
    assert claim["in published std"] == "+4.2"
    assert (claim["source"], claim["evidence"]) == ("a paper", "text")
    assert any("not their setting: protocol short" in note for note in notes(blocks))


def test_further_seeds_are_told_where_two_methods_are_tied(lab) -> None:
    lab.add("a", [0.8, 0.9, 0.6, 0.9])
    lab.add("b", B)
    found = notes(build(lab.board()))
    assert any("further seeds would tell a from b" in note for note in found)
    # a - b is .2, .2, -.1, .3 or a multiple of it: 4 of the 16 ways to flip signs give a mean at least as far from 0
    assert any("sign flips give p = 0.25, uncorrected; 4 seeds allow no less than 0.12." in note for note in found)


def test_from_ten_seeds_on_the_bootstrap_speaks_too(lab) -> None:
    lab.add("a", [0.8, 0.9] * 5)
    lab.add("b", [0.6, 0.5] * 5)
    assert any("the bootstrap puts the difference between" in note for note in notes(build(lab.board())))


def test_failures_stale_rows_and_few_seeds_are_noted_under_the_table(lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add("vanilla", A)
    lab.add("b", B[:2])
    lab.records.append(lab.failure(lab.cell("b", 3), "diverged: NaN"))
    lab.records.append(lab.record(lab.cell("b", 0, method_version=2), [0.5]))
    monkeypatch.setattr(METHODS.get("vanilla"), "version", 5)
    blocks = build(lab.board())
    found = notes(blocks)
    assert "b, version 1 *: seed 3 failed: diverged: NaN" in found
    assert "b, version 1 †: superseded by a newer version of the method, not ranked" in found
    assert "vanilla †: the code has changed since: method version 1, now 5" in found
    assert "Fewer than 3 seeds, so neither interval nor rank: b, b, version 1" in found
    rows = {row["method"]: row for row in table_named(blocks, "colored_mnist")}
    assert (rows["vanilla"]["seeds"], rows["b, version 1"]["seeds"]) == ("4 of 4†", "2 of 4*†")
    assert rows["b, version 1"]["rank"] == "-"


def test_pairs_that_cannot_run_are_noted(lab) -> None:
    lab.add("a", A)
    path = lab.table()
    table = pq.read_table(path)
    pair = b'[["colored_mnist","group_dro","needs bias labels, and there are none"]]'
    metadata = {**table.schema.metadata, b"debias_bench.not_applicable": pair}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    assert "group_dro: not applicable: needs bias labels, and there are none" in notes(build(read_board(path)))


def test_tuning_budgets_are_a_column_where_the_table_has_them_and_differences_are_noted(lab) -> None:
    lab.add("a", A)
    lab.add("b", B)
    path = lab.table()
    assert "tuning" not in table_named(build(read_board(path)), "colored_mnist")[0]
    table = pq.read_table(path)
    table = table.drop_columns([name for name in table.column_names if name.startswith("tuning")])
    trials = pa.array([20 if method == "a" else 0 for method in table.column("method").to_pylist()])
    data = pa.array(["seed 100 at rho 0.95"] * len(table))
    pq.write_table(table.append_column("tuning_trials", trials).append_column("tuning_data", data), path)
    blocks = build(read_board(path))
    first, second = table_named(blocks, "colored_mnist")
    assert (first["tuning"], second["tuning"]) == ("20 trials, seed 100 at rho 0.95", "none")
    assert any("Tuning budgets differ" in note for note in notes(blocks))


def test_a_task_to_which_the_rule_does_not_apply_is_ranked_by_another_and_says_so(lab) -> None:
    for seed, score in enumerate(A):
        record = lab.record(lab.cell("a", seed), [score])
        lab.records.append(replace(record, counts={name: record.counts[name] for name in ("test", "val_biased")}))
    lab.add("a", A, task="other")
    found = notes(build(lab.board()))
    assert any("here candidates are chosen by biased_val" in note for note in found)
    assert "The rule unbiased_val does not apply to colored_mnist; there candidates are chosen by biased_val." in found


def test_curves_say_where_a_method_breaks_down(lab) -> None:
    for rho, scores in ((0.9, [0.9, 0.8, 0.9, 0.8]), (0.99, [0.4] * 4)):
        lab.add("falls", scores, rho=rho)
        lab.add("holds", [0.9] * 4, rho=rho)
        lab.add("lies", [0.1] * 4, rho=rho)
    rows = {row["method"]: row for row in table_named(build(lab.board()), "over_rho")}
    column = "colored_mnist: breaks down at"
    # 1 to 2 orders of magnitude, 0.865 to 0.46, threshold 0.55
    assert rows["falls"][column] == f"{1 - 10 ** -(1 + (0.865 - 0.55) / (0.865 - 0.46)):.4g}"
    assert rows["holds"][column] == "at no level"
    assert rows["lies"][column] == "≤ 0.9"
    assert rows["holds"]["colored_mnist: area"] == "91.0 ± 0.0"


def test_methods_that_cannot_be_told_apart_over_tasks_share_a_letter(lab) -> None:
    for task in "pqrstuvwxyz":
        lab.add("a", [0.9, 0.8, 0.9], task=task)
        lab.add("b", [0.5, 0.6, 0.5] if task in "pqrst" else [0.4, 0.3, 0.4], task=task)
        lab.add("c", [0.4, 0.3, 0.4] if task in "pqrst" else [0.5, 0.6, 0.5], task=task)
    blocks = build(lab.board())
    rows = table_named(blocks, "over_tasks")
    # Nemenyi at 3 methods and 11 tasks: 2.343 sqrt(3 * 4 / 66) = 0.999; ranks 1, 17/11, 16/11 are within it
    assert [(row["method"], row["average rank"]) for row in rows] == [("a", "1.00"), ("c", "2.45"), ("b", "2.55")]
    assert [row["group"] for row in rows] == ["", "a", "a"]
    assert any("critical difference of 1.00" in note for note in notes(blocks))


def test_protocols_are_parts_of_their_own(lab) -> None:
    lab.add("a", A)
    lab.add("a", B, protocol=PROTOCOLS["paper"])
    headings = [(block.level, block.text) for block in build(lab.board()) if isinstance(block, Heading)]
    assert headings == [
        (1, "Leaderboard"),
        (2, "Protocol paper, fp32"),
        (3, "colored_mnist, rho 0.95"),
        (2, "Protocol short, fp32"),
        (3, "colored_mnist, rho 0.95"),
        (2, "Definitions"),
    ]


def test_the_text_depends_on_the_results_alone_not_on_the_order_in_which_they_came(lab) -> None:
    for method, scores in (("a", A), ("b", B), ("c", B)):
        for rho in (0.95, 0.99):
            lab.add(method, scores, rho=rho)
    first = markdown.render(build(lab.board()))
    random.Random(0).shuffle(lab.records)
    lab.folder = lab.folder / "again"
    assert markdown.render(build(lab.board())) == first


def test_nothing_from_a_plugin_reaches_a_page_unescaped(lab) -> None:
    nasty = "<script>alert(1)</script>|x|$\\input{y}$\n# no"
    lab.add(nasty, A)
    lab.add("b", B, params={nasty: nasty})
    lab.records.append(lab.failure(lab.cell("b", 7, params={nasty: nasty}), nasty))
    environment = {"code": nasty, "hardware": nasty}
    lab.records.append(lab.record(lab.cell("c", 0), [0.5], environment=environment))
    blocks = build(lab.board())
    text = markdown.render(blocks)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert not any("html" in child.type for token in tokens for child in (token, *(token.children or [])))
    assert sum(token.type == "heading_open" for token in tokens) == text.count("\n#") + 1
    assert "\\input{" not in latex.render(blocks)
    for content in csv_tables.render(blocks).values():
        assert "\n#" not in content


def test_an_empty_table_is_a_page_too(lab, tmp_path: Path) -> None:
    assert "No cells yet." in markdown.render(build(lab.board()))
