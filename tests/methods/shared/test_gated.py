"""Gated networks: the vanilla network at the start, the pruned one at the end, the vanilla weights never touched."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmark.method import Supervision
from benchmark.network import Network, build_network
from benchmark.run import Run
from benchmark.task import Backbone, Inputs, Recipe
from methods.shared.gated import Gated, GatedUnits, GatedWeights, behind_frozen_layers
from methods.shared.gates import hard, saturated
from methods.shared.masks import MaskedNetwork

ToyRun = Callable[..., Run]
FLIPPED = Recipe("adam", learning_rate=3e-3, batch_size=100, epochs=10, augment="flip")
BACKBONES = {
    "mlp": Backbone("tasks.backbones.mlp:mlp", {"widths": [9, 6]}),
    "convnet": Backbone("tasks.backbones.convnet:simple_convnet"),
    "resnet": Backbone("tasks.backbones.resnet:resnet18", {"stem": "3x3"}),
}
KINDS: dict[str, Callable[[Network], Gated]] = {
    "weights": lambda network: GatedWeights(network, saturated, "network"),
    "soft units": lambda network: GatedUnits(network, saturated, "network"),
    "hard units": lambda network: GatedUnits(network, hard),
}


def network_of(name: str) -> Network:
    """With batch-norm statistics of its own, as after training."""
    network = build_network(BACKBONES[name], Inputs((3, 8, 8)), 4, "test gated")
    with torch.no_grad():
        network(images(16))
    return network.eval()


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def scramble(gated: Gated, scale: float = 1.0) -> None:
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for m in gated.m:
            m.copy_(torch.randn(m.shape, generator=draws) * scale)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("kind", KINDS)
def test_at_the_start_it_is_the_vanilla_network_bit_for_bit(name: str, kind: str) -> None:
    network, x = network_of(name), images(5)
    z, logits = network.encoder(x), network(x)
    gated_z, gated_logits = KINDS[kind](network)(x, 1.0)
    assert torch.equal(gated_z, z)
    assert torch.equal(gated_logits, logits)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("kind", KINDS)
def test_learning_changes_gates_and_nothing_of_the_network(name: str, kind: str) -> None:
    network, x = network_of(name), images(5)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    gated = KINDS[kind](network)
    optimizer = torch.optim.SGD(gated.m.parameters(), lr=1.0)
    for _ in range(2):
        _, logits = gated(x, 0.5)
        optimizer.zero_grad()
        logits.square().sum().backward()
        optimizer.step()
    assert all(bool((m != 0).any()) for m in gated.m)
    assert not network.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    gated.pruned()
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", BACKBONES)
def test_the_network_with_pruned_units_computes_what_the_hard_gates_compute(name: str) -> None:
    gated, x = GatedUnits(network_of(name), hard), images(5)
    scramble(gated)
    z, logits = gated(x, 0.25)
    pruned = gated.pruned()
    assert isinstance(pruned, MaskedNetwork)
    assert torch.equal(pruned.encoder(x), z)
    assert torch.equal(pruned(x), logits)
    removed = sum(int((~kept).sum()) for kept in pruned.mask.state_dict().values())
    assert gated.pruned_share() == pytest.approx(removed / sum(site.units for site in pruned.sites), abs=1e-12)
    assert 0.3 < gated.pruned_share() < 0.7


@pytest.mark.parametrize("scope", ["encoder", "network"])
def test_pruned_weights_are_zero_and_all_others_as_they_were(scope: str) -> None:
    network = network_of("convnet")
    gated = GatedWeights(network, saturated, scope)
    scramble(gated)
    masks = iter(gated.m)
    pruned, vanilla = gated.pruned().state_dict(), network.state_dict()
    layers = [f"encoder.conv{i}.weight" for i in range(1, 5)] + ["classifier.weight"] * (scope == "network")
    for key, tensor in pruned.items():
        expected = torch.where(next(masks) >= 0, vanilla[key], 0.0) if key in layers else vanilla[key]
        assert torch.equal(tensor, expected), key
    assert next(masks, None) is None
    assert type(gated.pruned()) is Network


def test_soft_gates_become_the_pruned_network_as_the_temperature_falls() -> None:
    for gated in (GatedWeights(network_of("mlp"), saturated, "network"), GatedUnits(network_of("mlp"), saturated)):
        scramble(gated)
        x = images(5)
        assert torch.allclose(gated(x, 1e-8)[1], gated.pruned()(x), atol=1e-6)
        assert not torch.allclose(gated(x, 1.0)[1], gated.pruned()(x), atol=1e-3)


def test_the_gradient_of_weight_gates_is_the_one_of_the_product_with_the_unsaturated_gate() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(nn.Sequential(nn.Linear(3, 2)), nn.Linear(2, 2)).double()
    gated, tau = GatedWeights(network, saturated, "encoder"), 0.3
    scramble(gated, 0.2)
    with torch.no_grad():
        gated.m[0].copy_(-gated.m[0].abs())  # below 0 the forward pass is the unsaturated function too
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gated(x, tau)[1].square().sum().backward()

    def by_hand(m: torch.Tensor) -> float:
        layer = network.encoder[0]
        z = x @ (layer.weight * 2 / (1 + torch.exp(-m / tau))).T + layer.bias
        return float((z @ network.classifier.weight.T + network.classifier.bias).square().sum())

    m = gated.m[0].detach()
    for row in range(2):
        for column in range(3):
            step = torch.zeros_like(m)
            step[row, column] = 1e-6
            expected = (by_hand(m + step) - by_hand(m - step)) / 2e-6
            assert float(gated.m[0].grad[row, column]) == pytest.approx(expected, rel=1e-6)


def test_the_scope_decides_whether_the_classifier_is_gated() -> None:
    shapes = {
        scope: [tuple(m.shape) for m in GatedWeights(network_of("mlp"), saturated, scope).m]
        for scope in ("encoder", "network")
    }
    assert shapes == {"encoder": [(9, 192), (6, 9)], "network": [(9, 192), (6, 9), (4, 6)]}
    units = [tuple(m.shape) for m in GatedUnits(network_of("mlp"), saturated, "network").m]
    assert units == [(9,), (6,), (4,)]


def test_a_network_without_sites_is_refused_for_structured_masks() -> None:
    with pytest.raises(ValueError, match="sites"):
        GatedUnits(Network(nn.Flatten(), nn.Linear(4, 2)), hard)


class TestBehindFrozenLayers:
    """The layers before the first gate, passed once: an exact shortcut, taken where it holds."""

    def run_of(self, toy_run: ToyRun, **options: object) -> Run:
        return toy_run(Supervision(unbiased_split=True), **options)

    @pytest.mark.parametrize("batch_size", [2, 3, 7, 64, 1000])
    def test_steps_are_those_of_the_whole_network_bit_for_bit(self, toy_run: ToyRun, batch_size: int) -> None:
        run = self.run_of(toy_run, samples=batch_size * (1000 // batch_size))
        gated = GatedUnits(run.network(), hard)
        learned, (shown,) = behind_frozen_layers(run, gated, batch_size, run.train)
        if batch_size >= 7:
            assert learned is not gated
            assert shown.x.shape == (len(run.train), 24)
        scramble(gated)
        index = torch.randperm(len(run.train), generator=torch.Generator().manual_seed(0))[:batch_size]
        outputs, slopes = [], []
        for one, data in ((gated, run.train), (learned, shown)):
            batch = data.batch(index)
            z, logits = one(batch.x, 0.3)
            (z.square().sum() + logits.logsumexp(1).sum()).backward()
            outputs.append((z.detach(), logits.detach(), batch.y))
            slopes.append([m.grad.clone() for m in gated.m if m.grad is not None])
            gated.m.zero_grad()
        assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
        assert len(slopes[0]) == len(gated.m)
        assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))

    def test_gates_are_shared(self, toy_run: ToyRun) -> None:
        run = self.run_of(toy_run)
        gated = GatedUnits(run.network(), saturated, "network")
        learned, _ = behind_frozen_layers(run, gated, 100, run.train)
        assert all(a is b for a, b in zip(learned.m, gated.m, strict=True))

    def test_everything_stays_where_no_layer_is_frozen_or_images_change(self, toy_run: ToyRun) -> None:
        run, flipped = self.run_of(toy_run), self.run_of(toy_run, recipe=FLIPPED)
        for one, gated in (
            (run, GatedWeights(run.network(), saturated, "encoder")),
            (flipped, GatedUnits(flipped.network(), hard)),
            (run, GatedUnits(run.network(Backbone("tasks.backbones.convnet:simple_convnet")), hard)),
        ):
            learned, (shown,) = behind_frozen_layers(one, gated, 100, one.train)
            assert learned is gated
            assert shown is one.train
