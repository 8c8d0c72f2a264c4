"""Cost: multiply-accumulates and weights against figures worked out by hand and those that papers print."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmark.cost import compacted, measure_cost, measure_latency
from benchmark.network import Network
from benchmark.task import Inputs
from tasks.backbones.convnet import simple_convnet
from tasks.backbones.mlp import mlp
from tasks.backbones.resnet import resnet18, resnet20


def macs(network: nn.Module, size: int) -> int:
    return measure_cost(network, torch.rand(1, 3, size, size)).macs


def millions(count: int) -> float:
    return round(count / 1e6, 1)


def test_an_mlp_takes_one_multiply_accumulate_per_weight() -> None:
    network = mlp(Inputs((3, 28, 28)), 10, [100, 100])
    cost = measure_cost(network, torch.rand(1, 3, 28, 28))
    assert cost.weights == cost.nonzero == cost.macs == 2352 * 100 + 100 * 100 + 100 * 10
    assert cost.parameters == cost.weights + 100 + 100 + 10


def test_the_simple_conv_net_takes_415_million_at_28_pixels() -> None:
    network = simple_convnet(Inputs((3, 28, 28)), 10)
    pixels = 28 * 28
    convolutions = pixels * 49 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128)
    batch_norm = 2 * pixels * (16 + 32 + 64 + 128)
    pooling = pixels * 128
    assert macs(network, 28) == convolutions + batch_norm + pooling + 128 * 10
    assert millions(macs(network, 28)) == 415.4


@pytest.mark.parametrize(("size", "classes", "published"), [(32, 10, 37.1), (224, 2, 1818.6)])
def test_resnet18_takes_what_the_literature_prints(size: int, classes: int, published: float) -> None:
    network = resnet18(Inputs((3, size, size)), classes)
    cells = (size // 32) ** 2  # pixels of the last stage; each stage before has four times as many
    stem = 256 * cells * 64 * 147
    stages = 64 * cells * 4 * 9 * 64 * 64
    for factor, width in ((16, 128), (4, 256), (1, 512)):
        half = width // 2
        stages += factor * cells * (9 * half * width + 3 * 9 * width * width + half * width)
    elements = cells * (256 * 64 + 64 * 64 * 4 + 16 * 128 * 5 + 4 * 256 * 5 + 512 * 5)
    assert macs(network, size) == stem + stages + 2 * elements + cells * 512 + 512 * classes
    assert millions(macs(network, size)) == published


@pytest.mark.parametrize("backbone", [simple_convnet, resnet18, resnet20])
def test_operations_are_those_that_torch_counts(backbone: Callable[..., Network]) -> None:
    network, x = backbone(Inputs((3, 32, 32)), 7).eval(), torch.rand(1, 3, 32, 32)
    elements = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.AdaptiveAvgPool2d):
            times = 2 if isinstance(module, nn.BatchNorm2d) else 1
            module.register_forward_pre_hook(lambda _, inputs, times=times: elements.append(times * inputs[0].numel()))
    with FlopCounterMode(display=False) as reference, torch.no_grad():
        network(x)
    expected = reference.get_total_flops() // 2 + sum(elements)
    assert macs(network, 32) == expected


class Attention(nn.Module):
    """Self-attention with one head and nothing around it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]


def test_the_two_products_of_attention_are_counted() -> None:
    cost = measure_cost(Attention(8), torch.rand(1, 5, 8))
    assert cost.macs == 5 * 8 * 24 + 2 * 5 * 5 * 8


def test_sparsity_counts_exact_zeros_of_weights_alone() -> None:
    network = mlp(Inputs((1, 2, 5)), 4, [6])
    dense = measure_cost(network, torch.rand(1, 1, 2, 5))
    assert dense.sparsity(dense) == 0
    with torch.no_grad():
        network.encoder.linear1.weight[:3] = 0
        network.encoder.linear1.bias.zero_()
    pruned = measure_cost(network, torch.rand(1, 1, 2, 5))
    assert pruned.nonzero == 84 - 30
    assert pruned.sparsity(dense) == pytest.approx(30 / 84)


def test_sparsity_of_a_smaller_network_is_the_share_of_weights_gone() -> None:
    inputs, sample = Inputs((1, 2, 5)), torch.rand(1, 1, 2, 5)
    dense, small = (measure_cost(mlp(inputs, 4, [width]), sample) for width in (6, 2))
    assert small.sparsity(dense) == pytest.approx(1 - 28 / 84)


class Masked(nn.Module):
    """Says that a smaller network computes the same."""

    def __init__(self) -> None:
        super().__init__()
        self.small = mlp(Inputs((1, 2, 5)), 4, [2])

    def compact(self) -> nn.Module:
        return self.small


def test_a_model_with_masked_units_is_shipped_without_them() -> None:
    masked, plain = Masked(), mlp(Inputs((1, 2, 5)), 4, [6])
    assert compacted(masked) is masked.small
    assert compacted(plain) is plain


def test_measuring_leaves_the_model_as_it_was() -> None:
    network = simple_convnet(Inputs((3, 8, 8)), 10).train()
    network.encoder.bn1.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sample = torch.rand(1, 3, 8, 8)
    measure_cost(network, sample)
    measure_latency(network, sample, batch_sizes=(2,), repeats=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.encoder.bn1.training
    assert network.training
    assert network.encoder.bn2.training
    assert not any(module._forward_hooks for module in network.modules())


class Sleeper(nn.Module):
    """Takes longer the first time, and notes the batches that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        import time

        self.shapes.append(tuple(x.shape))
        time.sleep(0.1 if len(self.shapes) == 1 else 0.002)
        return x


def test_latency_is_the_median_after_a_warm_up() -> None:
    model = Sleeper()
    measured = measure_latency(model, torch.rand(1, 3), batch_sizes=(1, 4), repeats=3, warm_up=1)
    assert model.shapes == [(1, 3)] * 4 + [(4, 3)] * 4
    assert set(measured) == {1, 4}
    assert all(0.002 <= seconds < 0.1 for seconds in measured.values())


def test_networks_without_weights_in_the_encoder_can_be_counted() -> None:
    network = Network(nn.Flatten(), nn.Linear(12, 2))
    assert measure_cost(network, torch.rand(1, 3, 2, 2)).macs == 24
