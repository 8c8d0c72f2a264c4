"""Backbones: shapes, sites, and counts against figures worked out by hand or taken from torchvision."""

from __future__ import annotations

from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision import models

from benchmark.errors import ConfigError, DataMissingError
from benchmark.layers import ChannelMap
from benchmark.network import Network, build_network
from benchmark.task import Backbone, Inputs
from tasks.backbones.convnet import simple_convnet
from tasks.backbones.efficientnet import efficientnet_lite0
from tasks.backbones.mlp import mlp
from tasks.backbones.resnet import resnet18, resnet20

DIGITS = Inputs((3, 28, 28))
PHOTOS = Inputs((3, 32, 32))
ALL = {
    "mlp": (Backbone("tasks.backbones.mlp:mlp", {"widths": [100, 100, 100]}), DIGITS, 100, 3, 300),
    "simple_convnet": (Backbone("tasks.backbones.convnet:simple_convnet"), DIGITS, 128, 4, 240),
    "resnet18": (Backbone("tasks.backbones.resnet:resnet18"), PHOTOS, 512, 16, 3840),
    "resnet18 3x3": (Backbone("tasks.backbones.resnet:resnet18", {"stem": "3x3"}), PHOTOS, 512, 16, 3840),
    "resnet20": (Backbone("tasks.backbones.resnet:resnet20"), PHOTOS, 64, 18, 6 * (16 + 32 + 64)),
}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def weights(network: nn.Module) -> int:
    return sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))


@pytest.mark.parametrize("name", ALL)
def test_a_backbone_maps_images_to_features_and_logits(name: str) -> None:
    backbone, inputs, features, _, _ = ALL[name]
    network = build_network(backbone, inputs, 10, "seed", 0)
    x = torch.rand(4, *inputs.shape)
    assert network.feature_dim == features
    assert network.encoder(x).shape == (4, features)
    assert network(x).shape == (4, 10)


@pytest.mark.parametrize("name", ALL)
def test_sites_are_the_activations_that_carry_the_named_units(name: str) -> None:
    backbone, inputs, _, sites, units = ALL[name]
    network = build_network(backbone, inputs, 10, "seed", 0)
    assert len(network.sites) == sites
    assert sum(site.units for site in network.sites) == units
    calls: list[str] = []
    shapes = {}
    for site in network.sites:
        module = network.get_submodule(site.module)
        assert isinstance(module, nn.ReLU | nn.Tanh)

        def note(_: nn.Module, __: object, output: torch.Tensor, name: str = site.module) -> None:
            calls.append(name)
            shapes[name] = output.shape

        module.register_forward_hook(note)
    network.eval()(torch.rand(2, *inputs.shape))
    assert calls == [site.module for site in network.sites], "each site is called once, from input to output"
    assert all(shapes[site.module][site.dim] == site.units for site in network.sites)


@pytest.mark.parametrize("name", ALL)
def test_initial_weights_depend_on_the_stream_alone(name: str) -> None:
    backbone, inputs, *_ = ALL[name]
    before = torch.get_rng_state()
    first, again, other = (build_network(backbone, inputs, 10, "seed", seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key])
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_the_multi_color_mlp_has_the_parameters_of_2352_100_100_100_10() -> None:
    network = mlp(DIGITS, 10, [100, 100, 100])
    by_hand = (2352 * 100 + 100) + 2 * (100 * 100 + 100) + (100 * 10 + 10)
    assert parameters(network) == by_hand


def test_the_features_of_the_mlp_are_its_last_activation() -> None:
    network = mlp(DIGITS, 10, [20, 15])
    x = torch.rand(3, 3, 28, 28)
    first, second = network.encoder.linear1, network.encoder.linear2
    expected = second(first(x.reshape(3, -1)).clamp(min=0)).clamp(min=0)
    torch.testing.assert_close(network.encoder(x), expected)


def test_the_simple_conv_net_has_530480_weights_and_further_parameters_that_are_not_counted() -> None:
    network = simple_convnet(DIGITS, 10)
    convolutions = 49 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128)
    assert convolutions + 128 * 10 == 530_480
    assert weights(network) == 530_480
    biases, batch_norm = 240 + 10, 2 * 240
    assert parameters(network) == 530_480 + biases + batch_norm


@pytest.mark.parametrize(("last", "activation"), [("tanh", torch.tanh), ("relu", functional.relu)])
def test_only_the_last_activation_of_the_simple_conv_net_varies(last: str, activation: object) -> None:
    network = simple_convnet(DIGITS, 10, last).eval()
    seen = {}
    for name, module in network.encoder.named_children():
        module.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)}))
    z = network.encoder(torch.rand(2, 3, 28, 28))
    for depth in (1, 2, 3):
        torch.testing.assert_close(seen[f"act{depth}"][1], seen[f"bn{depth}"][1].clamp(min=0))
    torch.testing.assert_close(seen["act4"][1], activation(seen["bn4"][1]))
    torch.testing.assert_close(z, seen["act4"][1].mean((2, 3)))


def test_resnet18_computes_what_torchvision_computes(tmp_path: Path) -> None:
    torchvision = models.resnet18().eval()
    for module in torchvision.modules():  # batch norm away from its initial state
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)
            nn.init.uniform_(module.running_var, 0.5, 2)
    torch.save(torchvision.state_dict(), tmp_path / "weights.pth")
    network = resnet18(Inputs((3, 64, 64)), 7, weights=str(tmp_path / "weights.pth")).eval()
    torchvision.fc = nn.Identity()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.encoder(x), torchvision(x))
    assert parameters(network.encoder) == parameters(torchvision)
    assert network.classifier.out_features == 7


def test_resnet18_reads_safetensors_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = models.resnet18().state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    network = resnet18(PHOTOS, 10, weights=str(tmp_path / "weights.safetensors"))
    assert torch.equal(network.encoder.layer4[1].body.conv2.weight, state["layer4.1.conv2.weight"])


def test_resnet18_says_where_weights_are_missing_and_which_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"no weights at .*nowhere\.pth"):
        resnet18(PHOTOS, 10, weights=str(tmp_path / "nowhere.pth"))
    with pytest.raises(ConfigError, match="7x7 stem"):
        resnet18(PHOTOS, 10, stem="3x3", weights="imagenet")
    with pytest.raises(ConfigError, match="3 channels"):
        resnet18(Inputs((1, 28, 28)), 10)


class Answer(BytesIO):
    """What a server sends for the weights."""

    def info(self) -> Message:
        return Message()


@pytest.mark.parametrize("failure", ["no network", "other file"])
def test_a_failed_download_of_weights_says_what_to_do(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def urlopen(*_: object, **__: object) -> Answer:
        if failure == "no network":
            raise URLError("Name or service not known")
        return Answer(b"not the weights")

    monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    complaint = {"no network": "Name or service not known", "other file": "invalid hash value"}[failure]
    with pytest.raises(DataMissingError, match=rf"{complaint}.*put https://.*resnet18-f37072fd.pth into .*checkpoints"):
        resnet18(PHOTOS, 10, weights="imagenet")
    assert not list(tmp_path.rglob("*.pth")), "a broken file takes no weights' place"


def test_the_stems_of_resnet18_differ_in_resolution() -> None:
    x = torch.rand(2, 3, 32, 32)
    sizes = {}
    for stem in ("7x7", "3x3"):
        network = resnet18(PHOTOS, 10, stem=stem)
        network.encoder.layer4.register_forward_hook(lambda *args, stem=stem: sizes.update({stem: args[2].shape}))
        network(x)
    assert sizes == {"7x7": (2, 512, 1, 1), "3x3": (2, 512, 4, 4)}


@pytest.mark.parametrize("factory", [resnet18, resnet20, simple_convnet, efficientnet_lite0])
def test_a_bottleneck_ends_the_encoder_with_a_linear_layer(factory: object) -> None:
    network: Network = factory(PHOTOS, 10, bottleneck=64)
    plain: Network = factory(PHOTOS, 10)
    assert network.feature_dim == 64
    assert parameters(network.encoder) - parameters(plain.encoder) == plain.feature_dim * 64 + 64
    assert (network.encoder(torch.rand(8, 3, 32, 32)) < 0).any(), "linear: no activation follows"


def test_resnet20_has_the_parameters_of_the_paper() -> None:
    convolutions = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    batch_norm = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert convolutions + batch_norm + 650 == 269_722  # "0.27M" in table 6 of He et al.
    assert parameters(resnet20(PHOTOS, 10)) == 269_722


def test_a_channel_map_is_subsampling_and_zero_padding() -> None:
    x = torch.rand(2, 4, 6, 6)
    padded = ChannelMap([-1, -1, 0, 1, 2, 3, -1, -1], stride=2)(x)
    torch.testing.assert_close(padded, functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
    torch.testing.assert_close(ChannelMap([3, 0])(x), x[:, [3, 0]])


def test_the_simple_conv_net_refuses_other_activations() -> None:
    with pytest.raises(ConfigError, match="'sigmoid'"):
        simple_convnet(DIGITS, 10, "sigmoid")
