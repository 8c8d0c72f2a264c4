"""Features of sites and bottleneck: pooled, masked where the network masks, mode and hooks left as they were."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import nn

from benchmark.diagnostics.features import features, pooled
from benchmark.network import Site, build_network
from methods.shared.masks import MaskedNetwork


def test_masked_units_are_zero_also_in_a_model_read_back_from_disk(subject_of: Any) -> None:
    task = subject_of(None).task
    network = build_network(task.backbone(), task.inputs(), 3, "seed")
    kept = torch.tensor([True, False, True, True, False, True])
    file = io.BytesIO()
    torch.save(MaskedNetwork(network, {network.sites[0]: kept}), file)
    file.seek(0)
    model = torch.load(file, weights_only=False).train()
    found = features(model, subject_of(model).test)
    assert found["encoder.relu1"].shape == (300, 6)
    assert (found["encoder.relu1"] != 0).any(0).tolist() == kept.tolist()
    assert torch.equal(found["z"], model.encoder(subject_of(model).test.batch(torch.arange(300)).x))
    assert model.training
    assert not any(hook for name, m in model.named_modules() if name == "encoder.linear1" for hook in m._forward_hooks)


def test_units_of_maps_and_tokens_are_averaged_over_positions() -> None:
    draws = torch.Generator().manual_seed(0)
    maps, tokens, flat = (torch.rand(shape, generator=draws) for shape in [(2, 3, 4, 5), (2, 7, 3), (2, 3)])
    images, sentences = torch.zeros(2, 3, 8, 8), torch.tensor([[5, 6, 7, 8, 1, 2, 3], [5, 6, 7, -1, -1, -1, -1]])
    assert torch.allclose(pooled(maps, Site("a", 3), images), nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1))
    found = pooled(tokens, Site("a", 3, dim=-1), sentences)
    assert torch.allclose(found, torch.stack([tokens[0].mean(0), tokens[1, :3].mean(0)])), "paddings do not count"
    assert torch.equal(pooled(flat, Site("a", 3), images), flat)
