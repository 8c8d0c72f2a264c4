"""What a method declares decides which tasks it applies to."""

from __future__ import annotations

from typing import ClassVar

import pytest

from benchmark.method import Card, Method, Supervision
from benchmark.run import Run
from benchmark.task import NoParams, Task
from tasks.bar import Bar
from tasks.bffhq import Bffhq
from tasks.celeba import Celeba


def method_with(supervision: Supervision) -> Method:
    needed = supervision

    class Declared(Method):
        name = "declared"
        version = 1
        card = Card("Declared", "Declares what it needs.")
        supervision: ClassVar[Supervision] = needed

        def run(self, run: Run) -> None:
            raise AssertionError("is not run here")

    return Declared(NoParams())


@pytest.mark.parametrize(
    ("supervision", "kind", "reason"),
    [
        (Supervision(), Bar, None),
        (Supervision(bias_labels=True), Bar, "needs bias labels, and bar has none"),
        (Supervision(bias_labels=True), Bffhq, None),
        (Supervision(unbiased_split=True), Bffhq, "needs an unbiased split, and bffhq has none"),
        (Supervision(bias_labels=True, unbiased_split=True), Celeba, None),
    ],
)
def test_a_method_applies_where_the_task_has_what_it_declares(
    supervision: Supervision, kind: type[Task], reason: str | None
) -> None:
    assert method_with(supervision).not_applicable(kind(kind.Params())) == reason
