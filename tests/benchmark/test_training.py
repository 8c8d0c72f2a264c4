"""Steps of optimisers against the optimisers' own, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmark.task import Recipe
from benchmark.training import Stepper, make_optimizer, make_schedule

ADAM = Recipe("adam", learning_rate=0.01, weight_decay=1e-2, batch_size=4, epochs=8, schedule="cosine")
RECIPES = {
    "adam": ADAM,
    "adamw": replace(ADAM, optimizer="adamw"),
    "sgd with momentum": replace(ADAM, optimizer="sgd", momentum=0.9),
    "sgd": replace(ADAM, optimizer="sgd"),
}


class Twin:
    """A network and an optimiser; two of them are alike until they are treated differently."""

    def __init__(self, recipe: Recipe) -> None:
        self.parameters = [nn.Parameter(torch.linspace(-1, 1, size).reshape(-1, 3)) for size in (6, 3, 300)]
        self.optimizer = make_optimizer(self.parameters, recipe)
        self.schedule = make_schedule(self.optimizer, recipe)
        self.step = Stepper(self.optimizer)

    def take(self, grads: list[torch.Tensor | None]) -> None:
        for parameter, grad in zip(self.parameters, grads, strict=True):
            parameter.grad = None if grad is None else grad.clone()


def gradients(count: int) -> Iterator[list[torch.Tensor | None]]:
    draws = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield [torch.randn(rows, 3, generator=draws) for rows in (2, 1, 100)]


def assert_equal(ours: Twin, plain: Twin) -> None:
    for mine, other in zip(ours.parameters, plain.parameters, strict=True):
        assert torch.equal(mine, other)
    first, second = ours.optimizer.state_dict()["state"], plain.optimizer.state_dict()["state"]
    assert first.keys() == second.keys()
    for number, state in second.items():
        for name, value in state.items():
            assert value is None or torch.equal(first[number][name], value)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_steps_are_those_of_the_optimizer_bit_for_bit(recipe: Recipe) -> None:
    ours, plain = Twin(recipe), Twin(recipe)
    for number, grads in enumerate(gradients(6)):
        for twin in (ours, plain):
            twin.take(grads)
        ours.step()
        plain.optimizer.step()
        assert_equal(ours, plain)
        if number % 2:
            ours.schedule.step()
            plain.schedule.step()
    assert ours.schedule.get_last_lr() == plain.schedule.get_last_lr() != [recipe.learning_rate]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_parameters_without_gradient_stay(recipe: Recipe) -> None:
    ours, plain = Twin(recipe), Twin(recipe)
    for number, (first, *others) in enumerate(gradients(6)):
        grads = [None if number in (2, 3) else first, *others]
        for twin in (ours, plain):
            twin.take(grads)
        ours.step()
        plain.optimizer.step()
        assert_equal(ours, plain)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_state_that_is_loaded_in_between_counts(recipe: Recipe) -> None:
    ours, plain = Twin(recipe), Twin(recipe)
    for number, grads in enumerate(gradients(6)):
        for twin in (ours, plain):
            twin.take(grads)
        ours.step()
        plain.optimizer.step()
        if number == 1:
            saved = copy.deepcopy(plain.optimizer.state_dict())  # which is loaded without a copy
        if number == 3:
            ours.optimizer.load_state_dict(copy.deepcopy(saved))
            plain.optimizer.load_state_dict(copy.deepcopy(saved))
        assert_equal(ours, plain)


def test_nothing_is_looked_up_again_once_all_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    twin, calls = Twin(ADAM), []
    step = twin.optimizer.step
    monkeypatch.setattr(twin.optimizer, "step", lambda: calls.append(step()))
    for grads in gradients(5):
        twin.take(grads)
        twin.step()
    assert len(calls) == 1
