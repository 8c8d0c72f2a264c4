"""Physical pruning: the smaller network computes what the masked one does, and has what the mask leaves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmark.cost import measure_cost
from benchmark.errors import ConfigError
from benchmark.layers import ChannelMap
from benchmark.network import Network, Site, build_network
from benchmark.task import Backbone, Inputs
from methods.shared.physical import compact

INPUTS = Inputs((3, 8, 8))
BACKBONES = {
    "mlp": Backbone("tasks.backbones.mlp:mlp", {"widths": [12, 9, 7]}),
    "convnet": Backbone("tasks.backbones.convnet:simple_convnet"),
    "convnet with bottleneck": Backbone("tasks.backbones.convnet:simple_convnet", {"bottleneck": 5}),
    "resnet18": Backbone("tasks.backbones.resnet:resnet18"),
    "resnet18 3x3": Backbone("tasks.backbones.resnet:resnet18", {"stem": "3x3"}),
    "resnet20": Backbone("tasks.backbones.resnet:resnet20"),
    "efficientnet_lite0": Backbone("tasks.backbones.efficientnet:efficientnet_lite0"),
}
Keep = dict[str, torch.Tensor]


@cache
def network_of(name: str) -> Network:
    """In float64, with batch norm away from its initial state so that a masked unit differs from a constant one."""
    network = build_network(BACKBONES[name], INPUTS, 4, "physical", name).double().eval()
    draws = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, generator=draws)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=draws)
            nn.init.normal_(module.running_mean, generator=draws)
            nn.init.uniform_(module.running_var, 0.5, 2, generator=draws)
    return network


def masked_outputs(network: Network, keep: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Logits with every masked unit's output times its mask."""

    def masking(mask: torch.Tensor) -> Callable[..., torch.Tensor]:
        return lambda _, __, output: output * mask.view(1, -1, *[1] * (output.ndim - 2))

    handles = [network.get_submodule(name).register_forward_hook(masking(mask)) for name, mask in keep.items()]
    try:
        with torch.no_grad():
            return network(x)
    finally:
        for handle in handles:
            handle.remove()


def random_masks(network: Network, seed: int, shares: list[float], sites: list[bool]) -> Keep:
    """A mask for every chosen site, each unit kept with the site's probability."""
    draws = np.random.default_rng(seed)
    return {
        site.module: torch.from_numpy(draws.random(site.units) < share)
        for site, share, chosen in zip(network.sites, shares, sites, strict=True)
        if chosen
    }


@pytest.mark.parametrize("name", BACKBONES)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_smaller_network_computes_what_the_masked_one_does(name: str, data: st.DataObject) -> None:
    network = network_of(name)
    count = len(network.sites)
    shares = data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=count, max_size=count))
    chosen = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    keep = random_masks(network, data.draw(st.integers(0, 1000)), shares, chosen)
    x = torch.rand(3, *INPUTS.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = masked_outputs(network, keep, x)
    smaller = compact(network, keep)
    assert not any(module.training for module in smaller.modules())
    units: dict[str, int] = {}
    for site in smaller.sites:
        smaller.get_submodule(site.module).register_forward_hook(
            lambda _, __, output, name=site.module: units.update({name: output.shape[1]})
        )
    torch.testing.assert_close(smaller(x), expected, rtol=1e-9, atol=1e-9)
    for site, dense in zip(smaller.sites, network.sites, strict=True):
        left = dense.units if site.module not in keep else max(1, int(keep[site.module].sum()))
        assert site.units == units[site.module] == left


def prefix(units: int, kept: int) -> torch.Tensor:
    return torch.arange(units) < kept


def weights(network: nn.Module) -> int:
    return sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))


def test_an_mlp_keeps_the_weights_between_kept_units() -> None:
    network = network_of("mlp")
    keep = {"encoder.relu1": prefix(12, 5), "encoder.relu3": prefix(7, 2)}
    smaller = compact(network, keep)
    assert weights(smaller) == 192 * 5 + 5 * 9 + 9 * 2 + 2 * 4
    assert smaller.feature_dim == 2


def test_the_simple_conv_net_keeps_the_filters_of_kept_units_on_kept_inputs() -> None:
    network = network_of("convnet")
    kept = (4, 16, 33, 1)
    keep = {site.module: prefix(site.units, k) for site, k in zip(network.sites, kept, strict=True)}
    smaller = compact(network, keep)
    assert weights(smaller) == 49 * (3 * 4 + 4 * 16 + 16 * 33 + 33 * 1) + 1 * 4
    macs = 64 * 49 * (3 * 4 + 4 * 16 + 16 * 33 + 33 * 1) + 2 * 64 * sum(kept) + 64 * 1 + 1 * 4
    assert measure_cost(smaller.float(), torch.rand(1, 3, 8, 8)).macs == macs


def test_resnet18_loses_what_is_inside_a_block_and_what_leaves_it() -> None:
    network = network_of("resnet18")
    inside = {"encoder.layer3.1.body.relu1": prefix(256, 100)}
    assert weights(network) - weights(compact(network, inside)) == 2 * 156 * 256 * 9
    leaving = {"encoder.layer1.0.activation": prefix(64, 24)}
    smaller = compact(network, leaving)
    made, read = 40 * 64 * 9, 40 * 64 * 9  # the first block's second convolution, the second block's first one
    assert weights(network) - weights(smaller) == made + read
    shortcut = smaller.encoder.layer1[1].shortcut
    assert isinstance(shortcut, ChannelMap), "the second block adds 24 channels to its 64"
    assert shortcut.sources == (*range(24), *[-1] * 40)


def test_a_stream_that_loses_the_same_channels_everywhere_keeps_plain_shortcuts() -> None:
    network = network_of("resnet18")
    keep = {f"encoder.layer2.{block}.activation": prefix(128, 30) for block in (0, 1)}
    smaller = compact(network, keep)
    assert isinstance(smaller.encoder.layer2[1].shortcut, nn.Identity)


def test_where_every_unit_is_masked_one_is_left_without_weight() -> None:
    network = network_of("mlp")
    smaller = compact(network, {"encoder.relu2": prefix(9, 0)})
    assert smaller.encoder.linear2.weight.shape == (1, 12)
    cost = measure_cost(smaller.float(), torch.rand(1, 3, 8, 8))
    assert cost.weights - cost.nonzero == 12 + 7


def test_masked_outputs_of_the_classifier_stay_as_zeros() -> None:
    network = copy.deepcopy(network_of("mlp"))
    network.sites = (*network.sites, Site("classifier", 4))
    keep = {"classifier": torch.tensor([True, False, True, False])}
    x = torch.rand(5, 3, 8, 8, dtype=torch.float64)
    smaller = compact(network, keep)
    assert smaller.sites == network.sites
    logits = smaller(x)
    torch.testing.assert_close(logits, masked_outputs(network, keep, x))
    assert (logits[:, [1, 3]] == 0).all()


def test_the_dense_network_is_left_as_it_is() -> None:
    network = network_of("resnet18")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    compact(network, {"encoder.layer1.0.activation": prefix(64, 3)})
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert isinstance(network.encoder.layer1[1].shortcut, nn.Identity)


def test_the_smaller_network_can_be_trained() -> None:
    network = copy.deepcopy(network_of("resnet18")).train()
    smaller = compact(network, {"encoder.layer1.0.activation": prefix(64, 3)})
    assert all(module.training for module in smaller.modules())
    smaller(torch.rand(4, 3, 8, 8, dtype=torch.float64)).sum().backward()
    assert all(parameter.grad is not None for parameter in smaller.parameters())


def test_channels_flattened_with_several_pixels_go_with_all_their_pixels() -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 5), nn.Tanh())
    network = Network(encoder, nn.Linear(5, 2), (Site("encoder.1", 6),)).double()
    keep = {"encoder.1": torch.tensor([True, False, False, True, True, False])}
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    smaller = compact(network, keep)
    assert smaller.encoder[3].in_features == 3 * 36
    torch.testing.assert_close(smaller(x), masked_outputs(network, keep, x))


class Scale(nn.Module):
    """A layer that nobody knows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 + 1


@pytest.mark.parametrize(
    ("layers", "site"),
    [
        ([nn.Linear(192, 6), nn.ReLU(), Scale(), nn.Linear(6, 4)], "encoder.2"),
        ([nn.Linear(192, 6), Scale(), nn.Linear(6, 4)], "encoder.2"),
        ([nn.Linear(192, 6), nn.BatchNorm1d(6), nn.Linear(6, 4)], "encoder.1"),
        ([nn.ReLU(), nn.Linear(192, 6), nn.Linear(6, 4)], "encoder.1"),
        ([nn.Linear(192, 4)], "encoder.9"),
    ],
)
def test_units_that_cannot_be_removed_are_refused(layers: list[nn.Module], site: str) -> None:
    """Before an unknown layer, out of one, before batch norm (where 0 is no fixed point), of the input, of nothing."""
    network = Network(nn.Sequential(nn.Flatten(), *layers), nn.Linear(4, 2))
    units = 192 if isinstance(layers[0], nn.ReLU) else 6
    with pytest.raises(ConfigError, match=r"cannot be (shrunk|removed)"):
        compact(network, {site: prefix(units, 3)})


def test_layers_that_nobody_knows_do_no_harm_elsewhere() -> None:
    layers: list[Any] = [nn.Flatten(), Scale(), nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 4), Scale()]
    network = Network(nn.Sequential(*layers), nn.Linear(4, 2)).double()
    keep = {"encoder.3": prefix(6, 2)}
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(compact(network, keep)(x), masked_outputs(network, keep, x))
