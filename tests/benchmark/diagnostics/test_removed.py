"""Units and weights counted by hand, and which variants of a model are timed."""

from __future__ import annotations

import copy
from typing import Any

import torch

from benchmark.diagnostics.removed import latency, pruned
from benchmark.network import Network, build_network
from methods.shared.masks import MaskedNetwork


def dense(subject_of: Any) -> Network:
    task = subject_of(None).task
    return build_network(task.backbone(), task.inputs(), 3, "seed").eval()


def masked(network: Network) -> MaskedNetwork:
    """Two of six and one of five units gone."""
    first, second = network.sites
    kept = {
        first: torch.tensor([True, False, True, True, False, True]),
        second: torch.tensor([True, True, True, True, False]),
    }
    return MaskedNetwork(copy.deepcopy(network), kept).eval()


def test_units_and_the_weights_that_go_with_them(subject_of: Any) -> None:
    found = pruned(subject_of(masked(dense(subject_of))))
    assert found["units"] == {
        "encoder.relu1": {"total": 6, "removed": 2, "share": 2 / 6},
        "encoder.relu2": {"total": 5, "removed": 1, "share": 1 / 5},
    }
    assert found["weights"] == {
        "encoder.linear1": {"total": 24, "removed": 24 - 4 * 4, "share": 8 / 24},
        "encoder.linear2": {"total": 30, "removed": 30 - 4 * 4, "share": 14 / 30},
        "classifier": {"total": 15, "removed": 15 - 4 * 3, "share": 3 / 15},
    }


def test_single_weights(subject_of: Any) -> None:
    network = dense(subject_of)
    with torch.no_grad():
        network.get_parameter("encoder.linear2.weight")[2, :3] = 0
    found = pruned(subject_of(network))
    assert found["units"] == {}
    assert found["weights"]["encoder.linear2"] == {"total": 30, "removed": 3, "share": 0.1}
    assert found["weights"]["encoder.linear1"]["removed"] == found["weights"]["classifier"]["removed"] == 0


def test_a_masked_model_is_timed_dense_masked_and_compact(subject_of: Any) -> None:
    network = dense(subject_of)
    for found in (
        latency(subject_of(masked(network), network)),
        latency(subject_of(masked(network))),
    ):
        assert list(found) == ["dense", "masked", "compact"]
        assert all(list(times) == ["1", "128"] and min(times.values()) > 0 for times in found.values())


def test_a_model_without_masks_is_timed_as_it_is(subject_of: Any) -> None:
    network = dense(subject_of)
    assert list(latency(subject_of(network, network))) == ["dense"]
