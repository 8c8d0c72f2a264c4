from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.protocol import PROTOCOLS
from benchmark.registry import METHODS
from benchmark.tuning.note import Tuning
from leaderboard.board import Board, read_board
from leaderboard.difference import SectionChange, compare_boards, unchanged

A = [0.8, 0.9, 0.8, 0.9]
B = [0.6, 0.7, 0.7, 0.6]


def after(lab, name: str = "after") -> Board:
    return read_board(lab.table(name))


def why(changes: tuple[SectionChange, ...]) -> dict[str, tuple[str, ...]]:
    (section,) = changes
    return {entry.label: entry.reasons for entry in section.entries}


@pytest.fixture
def before(lab) -> Board:
    lab.add("a", A)
    lab.add("b", B)
    return read_board(lab.table("before"))


def test_nothing_changed(lab, before: Board) -> None:
    assert compare_boards(before, after(lab), "last") == ()


def test_new_seeds_are_the_reason(lab, before: Board) -> None:
    lab.records.append(lab.record(lab.cell("a", 4), [0.2]))
    changes = compare_boards(before, after(lab), "last")
    assert why(changes) == {"a": ("new seeds 4",)}
    (entry,) = changes[0].entries
    assert (entry.before.summary.n, entry.after.summary.n) == (4, 5)


def test_ranks_that_moved_because_of_others_say_so(lab, before: Board) -> None:
    lab.add("c", [1.0] * 4)
    changes = compare_boards(before, after(lab), "last")
    assert why(changes) == {"a": ("others changed",), "b": ("others changed",), "c": ("new method",)}
    ranks = {entry.label: (entry.before and entry.before.rank, entry.after.rank) for entry in changes[0].entries}
    assert ranks == {"a": ("1", "2"), "b": ("2", "3"), "c": (None, "1")}


def test_lost_seeds_and_failures_are_the_reason(lab, before: Board) -> None:
    lab.records[3] = lab.failure(lab.cell("a", 3))
    assert why(compare_boards(before, after(lab), "last"))["a"] == (
        "without seeds 3",
        "failed for seeds none before, 3 now",
    )


def test_a_new_and_a_removed_method_are_named(lab, before: Board) -> None:
    lab.records = [record for record in lab.records if record.cell.method == "a"]
    lab.add("c", B)
    assert why(compare_boards(before, after(lab), "last")) == {"b": ("removed",), "c": ("new method",)}


def test_a_new_version_of_a_method_is_the_reason(lab, before: Board) -> None:
    lab.add("a", B, method_version=2)
    changes = compare_boards(before, after(lab), "last")
    assert why(changes)["a"] == ("method version 1 before, 2 now",)


def test_the_same_cells_with_other_results_name_the_code(lab, before: Board) -> None:
    environment = {"code": "0.2.0", "hardware": "a processor"}
    lab.records[0] = lab.record(lab.cell("a", 0), [0.1], environment=environment)
    assert why(compare_boards(before, after(lab), "last"))["a"] == (
        "the same cells gave other results for seeds 0: code 0.1.0+gabcdef012345 before, 0.2.0 now",
    )


def test_cells_that_start_from_others_are_named(lab, before: Board) -> None:
    cell = replace(lab.cell("a", 0), upstream={"vanilla": "a" * 20})
    lab.records[0] = lab.record(cell, [0.8])
    found = why(compare_boards(before, after(lab), "last"))
    assert found["a"] == ("seeds 0 start from another upstream cell",)


def test_a_parameter_that_a_method_got_since_does_not_make_it_another_method(lab) -> None:
    lab.add("a", A, params={"rate": 0.1})
    old = read_board(lab.table("before"))
    lab.records.clear()
    lab.add("a", A, params={"rate": 0.1, "depth": 3})
    assert why(compare_boards(old, after(lab), "last")) == {
        "a (depth=3, rate=0.1)": ("parameters added or changed: depth",)
    }


def chosen(gamma: float) -> Tuning:
    return Tuning("s", "result", None, 6, "an unbiased split", {"gamma": gamma})


def test_a_method_that_was_tuned_again_is_the_same_and_says_what_was_chosen(lab) -> None:
    lab.add("a", A, params={"gamma": 2.0, "depth": 3}, tuning=chosen(2.0))
    lab.add("a", B, params={"gamma": 1.0, "depth": 3})
    old = read_board(lab.table("before"))
    lab.records = [record for record in lab.records if record.cell.tuning is None]
    lab.add("a", A[::-1], params={"gamma": 4.0, "depth": 3}, tuning=chosen(4.0))
    (section,) = compare_boards(old, after(lab), "last")
    (entry,) = section.entries
    assert (entry.label, entry.before.entry.params["gamma"]) == ("a (depth=3, gamma=4.0)", 2.0)
    assert entry.reasons == ("the tuning chose another value: gamma=2.0 before, gamma=4.0 now",)


def test_changes_of_task_and_harness_are_told_for_the_section(lab, before: Board) -> None:
    lab.records.clear()
    lab.add("a", A, task_version=2, engine_version=3)
    lab.add("b", B, task_version=2, engine_version=3)
    (section,) = compare_boards(before, after(lab), "last")
    assert section.reasons == ("harness version 1 before, 3 now", "task version 1 before, 2 now")


def test_sections_that_are_new_or_gone_are_told(lab, before: Board) -> None:
    lab.records.clear()
    lab.add("a", A, rho=0.99)
    changes = compare_boards(before, after(lab), "last")
    assert [(change.section.rho, change.reasons) for change in changes] == [
        (0.99, ("the section is new",)),
        (0.95, ("the section is gone",)),
    ]


def test_a_section_that_differs_in_the_settings_of_its_protocol_is_another(lab, before: Board) -> None:
    longer = replace(PROTOCOLS["short"], max_epochs=1000)
    shorter = replace(PROTOCOLS["short"], max_epochs=1)
    first = list(lab.records)
    for name, protocol in (("longer", longer), ("shorter", shorter)):
        lab.records = list(first)
        lab.add("a", B, protocol=protocol)
        both = read_board(lab.table(name))
        (change,) = compare_boards(before, both, "last")
        assert (change.reasons, change.section.protocol_settings["max_epochs"]) == (
            ("the section is new",),
            protocol.max_epochs,
        )
        assert unchanged(before, both, (change,)) == 1
        (change,) = compare_boards(both, before, "last")
        assert change.reasons == ("the section is gone",)


def test_a_section_whose_protocol_got_other_settings_says_so(lab, before: Board) -> None:
    lab.records.clear()
    lab.add("a", A, protocol=replace(PROTOCOLS["short"], max_epochs=1000))
    (change,) = compare_boards(before, after(lab), "last")
    assert change.reasons == ("the protocol's settings have changed",)
    shown = CliRunner().invoke(
        main, ["diff", *(str(lab.folder / name / "results.parquet") for name in ("before", "after"))]
    )
    assert "Protocol settings of its own: max_epochs=1000." in shown.output


def test_superseded_versions_of_a_task_are_not_among_the_sections_that_are_as_they_were(lab) -> None:
    lab.add("a", A)
    lab.add("a", A, task_version=2)
    lab.add("a", A, rho=0.99)
    path = str(lab.table())
    same = CliRunner().invoke(main, ["diff", path, path])
    assert "No section has changed; 2 are as they were." in same.output


def test_rows_that_went_stale_are_told(lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add("vanilla", A)
    old = read_board(lab.table("before"))
    monkeypatch.setattr(METHODS.get("vanilla"), "version", 4)
    assert why(compare_boards(old, after(lab), "last")) == {"vanilla": ("stale now: method version 1, now 4",)}


def test_the_command_compares_folders_and_tables_for_people_and_programs(lab) -> None:
    lab.add("a", A)
    old = lab.table("before")
    lab.records.append(lab.record(lab.cell("a", 4), [0.2]))
    new = lab.table("after")
    shown = CliRunner().invoke(main, ["diff", str(old.parent), str(new), "--rule", "last"])
    assert shown.exit_code == 0, shown.output
    assert "new seeds 4" in shown.output
    assert "1 sections have changed; 0 are as they were." in shown.output
    parsed = json.loads(CliRunner().invoke(main, ["diff", str(old), str(new), "--json"]).output)
    (method,) = parsed[0]["methods"]
    assert (method["method"], method["before"]["seeds"], method["after"]["seeds"]) == ("a", 4, 5)
    same = CliRunner().invoke(main, ["diff", str(old), str(old)])
    assert "No section has changed; 1 are as they were." in same.output


def test_what_is_no_table_is_refused(tmp_path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    found = CliRunner().invoke(main, ["diff", str(tmp_path / "x.parquet"), str(tmp_path / "x.parquet")])
    assert found.exit_code == 1
    assert "cannot read" in found.output
