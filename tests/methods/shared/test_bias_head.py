"""The bias head against separate linear layers trained by hand, and the wall between its loss and the features."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

from benchmark.diagnostics.information import mutual_information
from methods.shared.bias_head import BiasHead, HeadSettings
from methods.shared.schedules import Plateau

SETTINGS = HeadSettings(learning_rate=0.1, momentum=0.9, weight_decay=1e-2)


def head(values: tuple[int, ...] = (3, 4), dim: int = 5, seed: int = 0) -> BiasHead:
    return BiasHead(dim, values, SETTINGS, torch.Generator().manual_seed(seed), torch.device("cpu"))


def samples(count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    b = torch.stack([torch.randint(k, (count,), generator=draws) for k in (3, 4)], 1)
    z = torch.randn(count, 5, generator=draws) + b[:, :1] - b[:, 1:]
    return z, b


def test_its_initial_weights_come_from_the_given_stream_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = head(seed=0), head(seed=0), head(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.linear.weight, second.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)
    assert first.linear.weight.abs().max().item() <= 5**-0.5
    assert first.linear.weight.std().item() > 0.15


def test_the_information_reaches_the_features_and_never_the_head() -> None:
    z, b = samples()
    bias_head = head()
    z.requires_grad_()
    bias_head.information(z, b).sum().backward()
    assert all(parameter.grad is None for parameter in bias_head.linear.parameters())
    assert float(z.grad.abs().sum()) > 0


def test_its_own_loss_reaches_the_head_and_never_the_features() -> None:
    z, b = samples()
    bias_head = head()
    z.requires_grad_()
    bias_head.loss(z, b).backward()
    assert z.grad is None
    assert all(float(parameter.grad.abs().sum()) > 0 for parameter in bias_head.linear.parameters())


def test_information_is_given_for_each_attribute_over_its_counted_samples() -> None:
    z, b = samples()
    counted = torch.rand(60, 2, generator=torch.Generator().manual_seed(3)) < 0.5
    bias_head = head()
    logits = bias_head.linear(z)
    expected = torch.stack(
        [
            mutual_information(logits[:, :3][counted[:, 0]], b[:, 0][counted[:, 0]]),
            mutual_information(logits[:, 3:][counted[:, 1]], b[:, 1][counted[:, 1]]),
        ]
    )
    assert torch.allclose(bias_head.information(z, b, counted), expected, atol=1e-6)


def test_training_is_that_of_one_linear_layer_per_attribute() -> None:
    z, b = samples()
    bias_head = head()
    by_hand = []
    for rows in (slice(0, 3), slice(3, 7)):
        layer = nn.utils.skip_init(nn.Linear, 5, rows.stop - rows.start)
        layer.load_state_dict({name: tensor[rows] for name, tensor in bias_head.linear.state_dict().items()})
        by_hand.append(layer)
    optimizers = [torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2) for layer in by_hand]
    order, same_order = torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    for _ in range(3):
        found = bias_head.train_epoch(z, b, 16, order)
        losses = 0.0
        for index in torch.randperm(60, generator=same_order).split(16):
            for column, (layer, optimizer) in enumerate(zip(by_hand, optimizers, strict=True)):
                loss = functional.cross_entropy(layer(z[index]), b[index, column])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses += loss.item() * len(index) / 60
        assert abs(found.item() - losses) < 1e-5
    assert torch.allclose(bias_head.linear.weight, torch.cat([layer.weight for layer in by_hand]), atol=1e-6)
    assert torch.allclose(bias_head.linear.bias, torch.cat([layer.bias for layer in by_hand]), atol=1e-6)


def test_a_refinement_runs_its_epochs_or_until_its_plateau() -> None:
    z, b = samples()
    whole, early, by_epoch = head(), head(), head()
    orders = [torch.Generator().manual_seed(5) for _ in range(3)]
    whole.refine(z, b, 16, orders[0], epochs=40)
    early.refine(z, b, 16, orders[1], epochs=40, plateau=Plateau(1, 0.05))
    plateau, epochs = Plateau(1, 0.05), 1
    while not plateau.reached(by_epoch.train_epoch(z, b, 16, orders[2]).item()):
        epochs += 1
    assert epochs < 40
    assert torch.equal(early.linear.weight, by_epoch.linear.weight)
    assert not torch.equal(early.linear.weight, whole.linear.weight)


def test_a_restored_head_goes_on_with_its_momentum() -> None:
    z, b = samples()
    first, second = head(), head(seed=9)
    order = torch.Generator().manual_seed(5)
    first.refine(z, b, 16, order, epochs=2)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    middle = order.get_state()
    first.refine(z, b, 16, order, epochs=2)
    order.set_state(middle)
    second.refine(z, b, 16, order, epochs=2)
    assert torch.equal(first.linear.weight, second.linear.weight)
