"""What a method declares is readable, and decides where it applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.method import Supervision
from benchmark.registry import METHODS, TASKS


@pytest.mark.parametrize(
    ("supervision", "text"),
    [
        (Supervision(), "none"),
        (Supervision(bias_labels=True), "b on train"),
        (Supervision(unbiased_split=True), "unbiased split"),
        (Supervision(True, True), "b on train + unbiased split"),
    ],
)
def test_supervision_reads_as_in_tables(supervision: Supervision, text: str) -> None:
    assert str(supervision) == text


@pytest.mark.parametrize(
    ("method", "task", "applies"),
    [
        ("toy_erm", "toy", True),
        ("toy_erm", "toy_unlabelled", True),
        ("toy_groups", "toy", True),
        ("toy_groups", "toy_unlabelled", False),
    ],
)
def test_a_method_that_needs_bias_labels_applies_where_there_are_some(
    toy_plugin: Path, method: str, task: str, applies: bool
) -> None:
    kind, on = METHODS.get(method), TASKS.get(task)
    reason = kind(kind.Params()).not_applicable(on(on.Params()))
    assert reason == (None if applies else "needs bias labels, and toy_unlabelled has none")
