"""An epoch of gates and head against the order of steps in which the authors take it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from benchmark.artifacts import Artifact
from benchmark.data import Batch
from benchmark.diagnostics.information import mutual_information
from benchmark.errors import DivergedError
from benchmark.method import Supervision
from benchmark.run import Run
from benchmark.training import cross_entropy
from methods.shared.bias_head import BiasHead, HeadSettings
from methods.shared.gated import Gated, GatedUnits, GatedWeights
from methods.shared.gates import hard, saturated
from methods.shared.mask_training import train_masks

SETTINGS = HeadSettings(0.1, 0.9, 1e-4)
GAMMA = 3.0
GATED = {
    "weights": lambda network: GatedWeights(network, saturated, "encoder"),
    "units": lambda network: GatedUnits(network, hard),
}


def new_head(run: Run) -> BiasHead:
    return BiasHead(24, (4,), SETTINGS, run.stream("head"), run.device)


def in_two_passes(run: Run, gated: Gated, optimizer: torch.optim.Optimizer, head: BiasHead, tau: float) -> None:
    """Objective backward; clear the head's gradients; the head's own loss backward; step the gates, step the head."""
    for batch in run.train.shuffled(run.problem.recipe.batch_size, run.stream("order")):
        z, logits = gated(batch.x, tau)
        information = mutual_information(head.linear(z), batch.b[:, 0])
        optimizer.zero_grad()
        (functional.cross_entropy(logits, batch.y) + GAMMA * information).backward()
        head.linear.zero_grad()
        functional.cross_entropy(head.linear(z.detach()), batch.b[:, 0]).backward()
        optimizer.step()
        head.optimizer.step()


@pytest.mark.parametrize("kind", GATED)
def test_one_backward_pass_takes_the_steps_of_two(
    kind: str, toy_run: Callable[..., Run], toy_vanilla: Callable[..., Artifact]
) -> None:
    run = toy_run(Supervision(bias_labels=True), samples=300)
    found, expected = (GATED[kind](run.network(start=toy_vanilla())) for _ in range(2))
    heads = new_head(run), new_head(run)
    head = heads[0]

    def penalty(z: torch.Tensor, batch: Batch) -> torch.Tensor:
        return GAMMA * head.information(z, batch.b).sum()

    first = torch.optim.SGD(found.m.parameters(), lr=0.1, momentum=0.9)
    bias = (head, run.train.b, penalty)
    train_masks(run, found, first, run.train, 0.5, run.stream("order"), loss=cross_entropy, bias=bias)
    in_two_passes(run, expected, torch.optim.SGD(expected.m.parameters(), lr=0.1, momentum=0.9), heads[1], 0.5)
    for a, b in zip(found.m, expected.m, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
        assert float(a.detach().abs().max()) > 1e-3
    assert torch.allclose(head.linear.weight, heads[1].linear.weight, atol=1e-6)
    assert not torch.allclose(head.linear.weight, new_head(run).linear.weight, atol=1e-3)


def test_without_a_bias_term_only_the_task_loss_is_descended(
    toy_run: Callable[..., Run], toy_vanilla: Callable[..., Artifact]
) -> None:
    run = toy_run(Supervision(), samples=100)
    gated = GatedUnits(run.network(start=toy_vanilla()), hard)
    optimizer = torch.optim.SGD(gated.m.parameters(), lr=1.0)
    by_hand = copy.deepcopy(gated)
    batch = next(run.train.shuffled(100, run.stream("order")))
    loss = functional.cross_entropy(by_hand(batch.x, 1.0)[1], batch.y)
    gradients = torch.autograd.grad(loss, list(by_hand.m))
    train_masks(run, gated, optimizer, run.train, 1.0, run.stream("order"), loss=cross_entropy, bias=None)
    for m, gradient in zip(gated.m, gradients, strict=True):
        assert torch.allclose(m, -gradient, atol=1e-7)


def test_augmented_inputs_are_what_masks_are_learned_on(
    toy_run: Callable[..., Run], toy_vanilla: Callable[..., Artifact]
) -> None:
    learned = []
    for augment in ("none", "flip"):
        run = toy_run(Supervision(), samples=200, folder=augment)
        run.problem = replace(run.problem, reference=replace(run.problem.reference, augment=augment))
        gated = GatedUnits(run.network(start=toy_vanilla()), hard)
        optimizer = torch.optim.SGD(gated.m.parameters(), lr=1.0)
        train_masks(run, gated, optimizer, run.train, 1.0, run.stream("order"), loss=cross_entropy, bias=None)
        learned.append(torch.cat([m.detach() for m in gated.m]))
    assert not torch.allclose(learned[0], learned[1], atol=1e-4)


def test_a_loss_that_is_not_finite_ends_the_run(
    toy_run: Callable[..., Run], toy_vanilla: Callable[..., Artifact]
) -> None:
    run = toy_run(Supervision(), samples=100)
    gated = GatedUnits(run.network(start=toy_vanilla()), hard)
    optimizer = torch.optim.SGD(gated.m.parameters(), lr=1.0)
    with pytest.raises(DivergedError, match="masks at temperature"):
        train_masks(
            run, gated, optimizer, run.train, 0.5, run.stream("order"),
            loss=lambda logits, batch: cross_entropy(logits, batch) * float("inf"), bias=None,
        )  # fmt: skip
