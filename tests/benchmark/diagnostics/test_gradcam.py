"""Grad-CAM against its formula written out for a network of one convolution."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.diagnostics.gradcam import IMAGES, cam, gradcam, unpack
from benchmark.diagnostics.subject import InapplicableError
from benchmark.network import Network, Site


def network(units: int = 4) -> Network:
    draws = torch.Generator().manual_seed(11)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(1, units, 1), act=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()
    )
    made = Network(nn.Sequential(layers), nn.Linear(units, 3), (Site("encoder.act", units),))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws))
    return made


def by_hand(made: Network, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    w, b = (p.detach().numpy().astype(np.float64) for p in made.encoder[0].parameters())  # type: ignore[index]
    v, c = (p.detach().numpy().astype(np.float64) for p in made.classifier.parameters())
    units = np.maximum(np.einsum("kc,nchw->nkhw", w[:, :, 0, 0], x) + b[:, None, None], 0)
    predicted = (units.mean((2, 3)) @ v.T + c).argmax(1)
    maps = np.maximum(np.einsum("nk,nkhw->nhw", v[predicted], units), 0)  # the common factor 1 / places cancels
    peak = maps.max((1, 2), keepdims=True)
    return np.divide(255 * maps, peak, out=np.zeros_like(maps), where=peak > 0), predicted


def test_maps_are_those_of_the_formula() -> None:
    x = np.random.default_rng(0).normal(size=(20, 1, 5, 4))
    made = network()
    maps, predicted = cam(made, made.sites[0], torch.tensor(x, dtype=torch.float32))
    expected, classes = by_hand(made, x)
    assert predicted.tolist() == classes.tolist()
    assert maps.dtype == torch.uint8
    assert np.abs(maps.numpy() - expected).max() <= 0.51
    peaks = expected.max((1, 2))
    assert (peaks == 255).any()
    assert (peaks == 0).any()  # nothing speaks for the class
    assert all(p.grad is None for p in made.parameters())


def test_the_record_holds_the_maps_of_the_same_conflicting_images(subject_of: Any) -> None:
    subject = subject_of(network(), network(3))
    found = gradcam(subject)
    split = subject.task.split("test", subject.setting)
    conflicting = (split.b[:, 0] != split.y) & (split.b[:, 1] != (split.y + 1) % 3)
    assert found["images"] == np.flatnonzero(conflicting)[:IMAGES].tolist()
    expected, classes = by_hand(network(), split.x[found["images"]] / 100)
    assert np.abs(unpack(found["after"]).numpy() - expected).max() <= 0.51
    assert found["after"]["predicted"] == classes.tolist()
    assert found["before"]["shape"] == [IMAGES, 2, 2]


def test_a_network_without_maps_has_none(subject_of: Any, reader: Any) -> None:
    with pytest.raises(InapplicableError, match="no site of the network has feature maps"):
        gradcam(subject_of(reader(0, (0,))))
