"""Submissions say what their parameters were tuned with; unequal budgets are refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmark.cell import make_cell
from benchmark.cli import main
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from benchmark.registry import TASKS
from benchmark.tuning.note import Tuning
from leaderboard.submission import pack

Make = Callable[..., Record]


@pytest.fixture
def make(lab) -> Make:
    """A record on the embedded digits whose counts add up, with what its cell says of a tuning."""
    kind = TASKS.get("colored_mnist")
    task = kind(kind.resolve(kind.Params(source="embedded"), Path(), PROTOCOLS["short"]))

    def made(method: str, seed: int, note: Tuning | None = None, **params: Any) -> Record:
        params |= {"gamma": note.values["gamma"]} if note and note.values else {}
        cell = replace(make_cell(task, 0.95, method, params, seed, PROTOCOLS["short"]), tuning=note)
        return lab.sound(cell, [0.2, 0.5])

    return made


def result(trials: int, study: str = "s", gamma: float = 2.0) -> Tuning:
    return Tuning(study, "result", None, trials, "an unbiased split", {"gamma": gamma})


def trials(make: Make, method: str, count: int, study: str = "s", seed: int = 1000) -> list[Record]:
    return [make(method, seed, Tuning(study, "trial", i, values={"gamma": float(2 + i)})) for i in range(count)]


def validated(records: list[Record], folder: Path) -> tuple[int, str]:
    pack(records, folder / "sent.zip")
    found = CliRunner().invoke(main, ["validate", str(folder / "sent.zip"), "--data", str(folder)])
    return found.exit_code, found.output


def three(make: Make, method: str, note: Tuning | None = None, **params: Any) -> list[Record]:
    return [make(method, seed, note, **params) for seed in range(3)]


def test_equal_budgets_with_all_their_trials_are_accepted(make: Make, tmp_path: Path) -> None:
    first = three(make, "ffw_structured", result(4, "a")) + trials(make, "ffw_structured", 4, "a")
    second = three(make, "ffw_unstructured", result(4, "b")) + trials(make, "ffw_unstructured", 4, "b")
    code, output = validated(first + second, tmp_path)
    assert (code, output) == (0, "accepted: 14 records, 0 errors, 0 warnings\n")


def test_methods_tuned_with_unequal_numbers_of_trials_are_refused(make: Make, tmp_path: Path) -> None:
    records = three(make, "ffw_structured", result(4, "a")) + three(make, "bise", result(20, "b"))
    code, output = validated(records, tmp_path)
    assert code == 1
    assert "error: colored_mnist rho 0.95" in output
    assert "unequal budgets: 4 trials for ffw_structured; 20 trials for bise" in output


def test_a_method_whose_seeds_rest_on_unequal_budgets_is_refused(make: Make, tmp_path: Path) -> None:
    records = [*three(make, "bise", result(4))[:2], make("bise", 2, result(20))]
    code, output = validated(records, tmp_path)
    assert code == 1
    assert "unequal budgets: 4 trials for bise; 20 trials for bise" in output


def test_untuned_methods_beside_tuned_ones_are_told(make: Make, tmp_path: Path) -> None:
    records = three(make, "bise", result(2)) + trials(make, "bise", 2) + three(make, "vanilla")
    code, output = validated(records, tmp_path)
    assert code == 0
    assert "bise rest on 2 trials, vanilla on none" in output


def test_untuned_variants_of_a_tuned_method_are_told(make: Make, tmp_path: Path) -> None:
    records = three(make, "bise", result(2)) + trials(make, "bise", 2) + three(make, "bise", gamma=7.0)
    code, output = validated(records + three(make, "bise") + three(make, "vanilla"), tmp_path)
    assert code == 0
    assert "bise (tuned) rest on 2 trials, bise (defaults), bise (gamma=7.0), vanilla on none" in output


def test_trials_that_were_left_out_are_told_and_trials_too_many_refused(make: Make, tmp_path: Path) -> None:
    records = three(make, "bise", result(3))
    code, output = validated(records + trials(make, "bise", 1), tmp_path)
    assert (code, "its results say 3 trials, of which 1 were sent" in output) == (0, True)
    code, output = validated(records + trials(make, "bise", 5), tmp_path)
    assert (code, "its results say 3 trials, and 5 were sent: all of them count" in output) == (1, True)


def test_parameters_tuned_on_a_seed_of_the_results_are_refused(make: Make, tmp_path: Path) -> None:
    another = make("bise", 1, Tuning("s", "trial", 0, values={"gamma": 7.0}))
    code, output = validated([*three(make, "bise", result(1)), another], tmp_path)
    assert code == 1
    assert "seed 1 is one of the results, and parameters were tuned on it" in output


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (Tuning("s", "result", None, 0, "", {"gamma": 2.0}), "chosen by a tuning without a finished trial"),
        (Tuning("s", "result", None, -3, "", {"gamma": 2.0}), "its tuning has -3 trials"),
        (Tuning("s", "result", None, 10**30, "", {"gamma": 2.0}), "expected 0 to 1000000"),
        (Tuning("s", "trial", -1, 0, "", {"gamma": 2.0}), "number -1"),
    ],
)
def test_a_note_that_cannot_be_right_is_refused(note: Tuning, says: str, make: Make, tmp_path: Path) -> None:
    code, output = validated([*three(make, "vanilla"), *three(make, "bise", note)], tmp_path)
    assert (code, says in output) == (1, True)


def test_a_result_that_ran_with_other_values_than_were_chosen_is_refused(make: Make, tmp_path: Path) -> None:
    records = three(make, "bise", result(3))
    wrong = [replace(r, cell=replace(r.cell, tuning=result(3, gamma=9.0))) for r in records]
    code, output = validated(wrong, tmp_path)
    assert (code, "its tuning chose gamma = 9.0, and it ran with 2.0" in output) == (1, True)
