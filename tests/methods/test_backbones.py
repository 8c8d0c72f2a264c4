"""Every method on every network for images: its masks, and the smaller network that they leave. BERT: test_bert.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmark.artifacts import Artifact
from benchmark.cost import compacted, measure_cost
from benchmark.method import Method, Supervision
from benchmark.network import build_network
from benchmark.protocol import Protocol
from benchmark.randomness import isolated
from benchmark.run import Run
from benchmark.task import Backbone, Inputs, Recipe
from benchmark.training import fit
from methods.bise import Bise, BiseParams, BiseUnsupervised, BiseUnsupervisedParams
from methods.denetdm import Denetdm, DenetdmParams
from methods.ffw import FfwParams, FfwStructured, FfwUnstructured
from methods.magnitude_pruning import MagnitudePruning
from methods.random_pruning import RandomPruning, RandomPruningParams
from methods.shared.masks import read_masks
from methods.shared.pruning_baseline import PruningParams

ToyRun = Callable[..., Run]
ToyTest = Callable[..., Any]
BACKBONES = {
    "mlp": Backbone("tasks.backbones.mlp:mlp", {"widths": [24, 24]}),
    "simple_convnet": Backbone("tasks.backbones.convnet:simple_convnet"),
    "resnet18": Backbone("tasks.backbones.resnet:resnet18", layout="channels_last"),
    "resnet20": Backbone("tasks.backbones.resnet:resnet20", layout="channels_last"),
    "efficientnet_lite0": Backbone("tasks.backbones.efficientnet:efficientnet_lite0", layout="channels_last"),
}
FFW = FfwParams(gamma=0.3, tau_start=1e-2, gate_learning_rate=0.3, epochs=4, head_epochs=2)
BISE = BiseParams(tau_start=2e-3, gate_learning_rate=0.3)
METHODS: dict[str, Method] = {
    "ffw_structured": FfwStructured(FFW),
    "ffw_unstructured": FfwUnstructured(FFW),
    "bise": Bise(BISE),
    "bise_unsupervised": BiseUnsupervised(BiseUnsupervisedParams(tau_start=2e-3)),
    "random_structured": RandomPruning(RandomPruningParams(draws=1)),
    "random_unstructured": RandomPruning(RandomPruningParams(draws=1, structured=False)),
    "magnitude_structured": MagnitudePruning(PruningParams()),
    "magnitude_unstructured": MagnitudePruning(PruningParams(structured=False)),
    "denetdm": Denetdm(DenetdmParams()),
}
INPUTS = Inputs((3, 8, 8))
RECIPE = Recipe("adam", learning_rate=1e-3, batch_size=50, epochs=2)
BRIEF = Protocol("brief", 0.02, 1, None, None, candidates=1)
SIZES: dict[str, Any] = {"samples": 100, "unbiased": 100, "recipe": RECIPE, "protocol": BRIEF}


def run_of(toy_run: ToyRun, name: str, supervision: Supervision, folder: str, **options: Any) -> Run:
    return toy_run(supervision, folder=folder, backbone=BACKBONES[name], **SIZES, **options)


_vanilla: dict[str, Artifact] = {}


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest, toy_run: ToyRun) -> tuple[str, Artifact]:
    """A network's name, and its vanilla state, trained once."""
    name = request.param
    if name not in _vanilla:
        run = run_of(toy_run, name, Supervision(), "vanilla")
        network = run.network()
        with isolated("vanilla", name):
            fit(run, network, run.train, RECIPE)
        state = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
        _vanilla[name] = Artifact("vanilla", state)
    return name, _vanilla[name]


@pytest.mark.parametrize("kind", METHODS)
def test_every_method_runs_on_every_network(
    kind: str, backbone: tuple[str, Artifact], toy_run: ToyRun, toy_test: ToyTest
) -> None:
    (name, vanilla), method = backbone, METHODS[kind]
    before = {key: tensor.clone() for key, tensor in vanilla.state.items()}
    run = run_of(toy_run, name, method.supervision, kind, upstream={"vanilla": vanilla})
    with isolated("method"):
        method.run(run)
    assert all(torch.equal(tensor, before[key]) for key, tensor in vanilla.state.items()), "vanilla stays as it was"
    found: Any = list(run.offers.values())[-1].load("cpu").eval()
    test = toy_test(samples=64)
    x = test.normalise(test.x)
    with torch.no_grad():
        logits, smaller = found(x), compacted(found).eval()
        assert bool(torch.isfinite(logits).all())
        torch.testing.assert_close(smaller(x), logits, atol=1e-4, rtol=1e-3)
    if kind.startswith(("denetdm", "bise_unsupervised")):
        return
    dense = measure_cost(build_network(BACKBONES[name], INPUTS, 4, "dense").eval(), x[:1])
    cost = measure_cost(smaller, x[:1])
    assert cost.nonzero < dense.nonzero, "weights are gone"
    masks = read_masks(found.state_dict())
    assert bool(masks) == (kind in ("ffw_structured", "bise", "random_structured", "magnitude_structured"))
    if masks:
        assert any(not mask.all() for mask in masks.values())
        assert cost.parameters < dense.parameters, "units are gone for good"
        assert cost.macs < dense.macs
