"""Masked networks against zeroing by hand, and layer norms against norms of the kept units alone."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.network import Network, Site, build_network
from benchmark.task import Backbone, Inputs
from methods.shared.masks import MaskedNetwork, layer_norm_of_kept, read_masks, scaled_units

MLP = Backbone("tasks.backbones.mlp:mlp", {"widths": [7, 5]})


def mlp() -> Network:
    return build_network(MLP, Inputs((3, 2, 2)), 4, "test masks")


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def random_masks(network: Network, seed: int = 0) -> dict[Site, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {site: torch.rand(site.units, generator=draws) < 0.6 for site in network.sites}


class Tokens(nn.Module):
    """A feed-forward block with residual and layer norm, as in BERT, over tokens (B, length, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.dense(x)).mean(1)


def tokens() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(Tokens(), nn.Linear(6, 2), (Site("encoder.dense", 6, dim=-1, norm="encoder.norm"),))
        nn.init.normal_(network.encoder.norm.weight)
        nn.init.normal_(network.encoder.norm.bias)
    return network


def test_a_masked_mlp_computes_what_zeroing_units_by_hand_computes() -> None:
    network, x = mlp(), images(9, 3, 2, 2)
    masks = random_masks(network)
    state = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    h = x.flatten(1).double().numpy()
    for layer, kept in zip(("linear1", "linear2"), masks.values(), strict=True):
        h = np.maximum(h @ state[f"encoder.{layer}.weight"].T + state[f"encoder.{layer}.bias"], 0) * kept.numpy()
    expected = h @ state["classifier.weight"].T + state["classifier.bias"]
    masked = MaskedNetwork(copy.deepcopy(network), masks)
    assert np.allclose(masked(x).detach().numpy(), expected, atol=1e-5)
    assert np.allclose(masked.encoder(x).detach().numpy(), h, atol=1e-5)
    assert not torch.allclose(masked(x), network(x), atol=1e-3)


def test_masks_zero_whole_feature_maps_of_a_residual_network() -> None:
    network = build_network(
        Backbone("tasks.backbones.resnet:resnet18", {"stem": "3x3"}), Inputs((3, 8, 8)), 4, "r"
    ).eval()
    x, masks = images(2, 3, 8, 8), random_masks(network)
    outputs: dict[str, torch.Tensor] = {}
    masked = MaskedNetwork(network, masks)
    for site in masks:
        masked.get_submodule(site.module).register_forward_hook(
            lambda module, inputs, output, name=site.module: outputs.update({name: output})
        )
    masked(x)
    assert len(outputs) == 16
    for site, kept in masks.items():
        active = outputs[site.module].abs().sum((0, 2, 3)) > 0
        assert not bool(active[~kept].any()), site
        assert bool(active[kept].any()), site


def test_the_state_names_each_mask_by_its_site() -> None:
    network = mlp()
    masks = random_masks(network)
    state = MaskedNetwork(network, masks).state_dict()
    assert {name for name in state if name.startswith("mask.")} == {"mask.encoder/relu1", "mask.encoder/relu2"}
    found = read_masks(state)
    assert all(torch.equal(found[site.module], kept) for site, kept in masks.items())
    assert found.keys() == {site.module for site in masks}
    assert read_masks(mlp().state_dict()) == {}


def test_a_masked_network_remembers_the_backbone_it_came_from() -> None:
    network = mlp()
    assert MaskedNetwork(network, random_masks(network)).backbone == MLP


def test_a_copy_and_a_stored_masked_network_carry_masks_of_their_own(tmp_path: Path) -> None:
    network, x = mlp(), images(9, 3, 2, 2)
    masked = MaskedNetwork(network, random_masks(network))
    before = masked(x)
    torch.save(masked, tmp_path / "model.pt")
    for other in (copy.deepcopy(masked), torch.load(tmp_path / "model.pt", weights_only=False)):
        assert torch.equal(other(x), before)
        other.mask["encoder.relu2"].zero_()
        assert torch.equal(other(x), other.classifier.bias.expand(9, 4))
        assert torch.equal(masked(x), before)


def test_a_loaded_state_changes_what_is_masked() -> None:
    first, second = mlp(), mlp()
    source = MaskedNetwork(first, random_masks(first, 1))
    target = MaskedNetwork(second, random_masks(second, 2))
    x = images(9, 3, 2, 2)
    assert not torch.equal(source(x), target(x))
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(x), target(x))


def test_a_mask_of_the_wrong_length_is_refused() -> None:
    network = mlp()
    with pytest.raises(ValueError, match=r"encoder.relu1 has 7 units, its mask has shape \(6,\)"):
        MaskedNetwork(network, {network.sites[0]: torch.ones(6, dtype=torch.bool)})


def test_scaling_ends_with_its_context_even_after_an_error() -> None:
    network, x = mlp(), images(9, 3, 2, 2)
    before = network(x)
    halves = {site.module: torch.full((site.units,), 0.5) for site in network.sites}

    def fail() -> None:
        with scaled_units(network, network.sites, halves):
            assert not torch.equal(network(x), before)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert torch.equal(network(x), before)


def test_a_layer_norm_after_a_masked_site_is_that_of_the_kept_units_alone() -> None:
    network, x = tokens().double(), images(3, 5, 6).double()
    kept = torch.tensor([1, 0, 1, 1, 0, 1], dtype=torch.bool)
    outputs: list[torch.Tensor] = []
    masked = MaskedNetwork(copy.deepcopy(network), {network.sites[0]: kept})
    masked.encoder.norm.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    masked(x)
    before = (x + network.encoder.dense(x))[..., kept]  # the residual branch brings masked units back; the norm not
    weight, bias = network.encoder.norm.weight[kept], network.encoder.norm.bias[kept]
    expected = functional.layer_norm(before, (4,), weight, bias)
    assert torch.allclose(outputs[0][..., kept], expected, atol=1e-12)
    assert torch.equal(outputs[0][..., ~kept], torch.zeros(3, 5, 2, dtype=torch.float64))


def test_with_every_unit_kept_a_layer_norm_is_bit_for_bit_what_it_was() -> None:
    network, x = tokens(), images(50, 5, 6)
    whole = {network.sites[0]: torch.ones(6, dtype=torch.bool)}
    assert torch.equal(MaskedNetwork(copy.deepcopy(network), whole)(x), network(x))


@pytest.mark.parametrize("all_kept", [True, False])
def test_gradients_reach_multipliers_through_the_norms_statistics(all_kept: bool) -> None:
    norm, x = tokens().encoder.norm.double(), images(2, 6).double()
    kept = torch.tensor([1.0, 0.5, 1.0, 0.3, 0.9, 1.0] if not all_kept else [1.0] * 6, dtype=torch.float64)

    def weighted(multipliers: torch.Tensor) -> torch.Tensor:
        share = multipliers / multipliers.sum()
        mean = (x * share).sum(-1, keepdim=True)
        variance = ((x - mean) ** 2 * share).sum(-1, keepdim=True)
        return multipliers * (norm.weight * (x - mean) / (variance + norm.eps).sqrt() + norm.bias)

    expected = torch.autograd.functional.jacobian(weighted, kept)
    found = torch.autograd.functional.jacobian(lambda m: layer_norm_of_kept(norm, x, m, norm(x)), kept)
    assert torch.allclose(found, expected, atol=1e-10)
    assert float(expected.abs().max()) > 0.1
