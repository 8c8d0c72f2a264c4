"""Every method on a tiny BERT: equal to vanilla at the start, masked as BISE says, and as small as its masks allow."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Checkpoint
from benchmark.cost import compacted, measure_cost
from benchmark.data import Data
from benchmark.evaluate import predictions
from benchmark.layers import ChannelMap, TransformerBlock
from benchmark.method import Method
from benchmark.network import Network, build_network
from benchmark.protocol import Protocol
from benchmark.randomness import isolated, numpy_stream
from benchmark.run import Problem, Run
from benchmark.task import Backbone, Bias, Inputs, Recipe, Split
from benchmark.training import fit
from methods.bise import Bise, BiseParams, BiseUnsupervised, BiseUnsupervisedParams
from methods.denetdm import Denetdm, DenetdmParams
from methods.denetdm.branches import plan
from methods.ffw import FfwParams, FfwStructured, FfwUnstructured
from methods.magnitude_pruning import MagnitudePruning
from methods.random_pruning import RandomPruning, RandomPruningParams
from methods.shared.gated import Gated, GatedUnits, GatedWeights
from methods.shared.gates import hard, saturated
from methods.shared.masks import MaskedNetwork
from methods.shared.physical import compact
from methods.shared.pruning_baseline import PruningParams

INPUTS = Inputs((12,))
CPU = torch.device("cpu")
KINDS: dict[str, Callable[[Network], Gated]] = {
    "weights": lambda network: GatedWeights(network, saturated, "network"),
    "soft units": lambda network: GatedUnits(network, saturated, "network"),
    "hard units": lambda network: GatedUnits(network, hard),
}


def network_of(folder: Path) -> Network:
    backbone = Backbone("tasks.backbones.bert:bert", {"model": str(folder)})
    return build_network(backbone, INPUTS, 2, "test bert").eval()


def sentences(count: int, seed: int = 0) -> torch.Tensor:
    draws = np.random.default_rng(seed)
    tokens = draws.integers(5, 30, (count, 12))
    tokens[:, 0] = 2
    lengths = draws.integers(2, 13, count)
    return torch.from_numpy(np.where(np.arange(12) < lengths[:, None], tokens, -1).astype(np.int32))


@pytest.mark.parametrize("kind", KINDS)
def test_gates_at_their_start_are_the_vanilla_network_bit_for_bit(kind: str, tiny_bert: Path) -> None:
    network, x = network_of(tiny_bert), sentences(40)
    z, logits = network.encoder(x), network(x)
    gated_z, gated_logits = KINDS[kind](network)(x, 1.0)
    assert torch.equal(gated_z, z)
    assert torch.equal(gated_logits, logits)
    pruned = KINDS[kind](network).pruned()
    assert torch.equal(pruned(x), logits), "a mask that keeps everything changes nothing either"


@pytest.mark.parametrize("kind", KINDS)
def test_learning_reaches_every_gate_and_nothing_of_the_network(kind: str, tiny_bert: Path) -> None:
    network, x = network_of(tiny_bert), sentences(40)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    gated = KINDS[kind](network)
    optimizer = torch.optim.SGD(gated.m.parameters(), lr=1.0)
    gated(x, 0.5)[1].square().sum().backward()
    optimizer.step()
    assert all(bool((m != 0).any()) for m in gated.m)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_weights_are_gated_in_attention_too_and_embeddings_never(tiny_bert: Path) -> None:
    shapes = [tuple(m.shape) for m in GatedWeights(network_of(tiny_bert), saturated, "encoder").m]
    attention, feed_forward = [(16, 16)] * 4, [(24, 16), (16, 24)]
    assert shapes == [*attention, *feed_forward] * 2 + [(16, 16)]


Masks = dict[str, torch.Tensor]


def by_hand(network: Network, keep: Masks, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of the masked network from its weights, and what leaves every block, in the layers' published order."""
    encoder, there = network.encoder, x >= 0
    h = encoder.embeddings(x.long().clamp(min=0))
    left = []
    for number, block in enumerate(encoder.blocks):
        attention, heads = block.attention, []
        q, k, v = (layer(h) for layer in (attention.query, attention.key, attention.value))
        for head in (slice(0, 8), slice(8, 16)):
            scores = q[..., head] @ k[..., head].mT / 8**0.5
            heads.append(scores.masked_fill(~there[:, None, :], -torch.inf).softmax(-1) @ v[..., head])
        h = block.attention_norm(attention.output(torch.cat(heads, -1)) + h)
        inner, outer = (keep[f"encoder.blocks.{number}.{part}"] for part in ("activation", "narrow"))
        made = block.narrow(functional.gelu(block.widen(h)) * inner) * outer + h
        normed = functional.layer_norm(
            made[..., outer], (int(outer.sum()),), block.norm.weight[outer], block.norm.bias[outer], block.norm.eps
        )
        h = torch.zeros_like(made)
        h[..., outer] = normed
        left.append(h)
    pooled = torch.tanh(encoder.pooler.dense(h[:, 0])) * keep["encoder.pooler.tanh"]
    return network.classifier(pooled), left


def random_masks(network: Network, seed: int, share: float) -> Masks:
    draws = np.random.default_rng(seed)
    return {site.module: torch.from_numpy(draws.random(site.units) < share) for site in network.sites}


def masked(network: Network, keep: Masks) -> MaskedNetwork:
    return MaskedNetwork(copy.deepcopy(network), {site: keep[site.module] for site in network.sites}).eval()


def test_masked_units_stay_zero_and_statistics_are_taken_over_the_others(tiny_bert: Path) -> None:
    network, x = network_of(tiny_bert).double(), sentences(20)
    keep = random_masks(network, 1, 0.6)
    model, left = masked(network, keep), []
    for block in model.encoder.blocks:
        block.register_forward_hook(lambda *args: left.append(args[2]))
    with torch.no_grad():
        expected, expected_left = by_hand(network, keep, x)
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-9)
    for number, (found, reference) in enumerate(zip(left, expected_left, strict=True)):
        outer = keep[f"encoder.blocks.{number}.narrow"]
        assert (found[..., ~outer] == 0).all()
        torch.testing.assert_close(found, reference, rtol=1e-9, atol=1e-9)


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def test_the_smaller_network_computes_what_the_masked_one_does(tiny_bert: Path, seed: int, share: float) -> None:
    network, x = network_of(tiny_bert).double(), sentences(10)
    keep = random_masks(network, seed, share)
    model = masked(network, keep)
    smaller = model.compact()
    with torch.no_grad():
        torch.testing.assert_close(smaller(x), model(x), rtol=1e-9, atol=1e-9)
    assert [site.units for site in smaller.sites] == [max(1, int(keep[site.module].sum())) for site in network.sites]


def test_it_has_the_weights_between_kept_units(tiny_bert: Path) -> None:
    network = network_of(tiny_bert)
    kept = dict(zip([site.module for site in network.sites], (10, 5, 24, 16, 3), strict=True))
    keep = {site.module: torch.arange(site.units) < kept[site.module] for site in network.sites}
    smaller = compact(network, keep)
    first, second = 4 * 256 + 16 * 10 + 10 * 5, 3 * 5 * 16 + 256 + 2 * 16 * 24
    assert measure_cost(smaller, sentences(1)).weights == first + second + 16 * 3 + 3 * 2
    blocks = [block for block in smaller.encoder.blocks if isinstance(block, TransformerBlock)]
    assert isinstance(blocks[0].passage, ChannelMap)
    assert isinstance(blocks[1].entry, ChannelMap), "the second block adds 5 features to its attention's 16"
    assert isinstance(blocks[1].passage, nn.Identity)
    assert isinstance(network.encoder.blocks[0].passage, nn.Identity), "the dense network is left as it is"


def toy(name: str, seed: int = 0) -> Split:
    """A word of three tells the class in four sentences of five; another word is there, mostly, in class 1."""
    draws = numpy_stream("toy texts", name, seed)
    y = draws.integers(2, size=200)
    share = 0.9 if name == "train" else 0.5
    b = np.where(draws.random(200) < share, y, 1 - y)
    x = draws.integers(5, 20, (200, 12))
    x[:, 0] = 2
    x[:, 3] = np.where(draws.random(200) < 0.8, 20 + y, 22)
    x[:, 5] = 25 + b
    lengths = draws.integers(7, 13, 200)
    return Split(np.where(np.arange(12) < lengths[:, None], x, -1).astype(np.int32), y, b[:, None])


RECIPE = Recipe("adamw", learning_rate=3e-3, batch_size=25, epochs=4, weight_decay=0.01)
BRIEF = Protocol("brief", 0.02, 2, None, None, candidates=1)


def run_of(folder: Path, bert: Path, method: Method, upstream: dict[str, Artifact] | None = None) -> Run:
    needs = method.supervision
    declared = needs.bias_labels or needs.unbiased_split
    problem = Problem(
        classes=2,
        biases=(Bias("word", 2, (0, 1)),) if declared else (),
        rho=None,
        inputs=INPUTS,
        backbone=Backbone("tasks.backbones.bert:bert", {"model": str(bert)}),
        reference=RECIPE,
        protocol=BRIEF,
    )
    return Run(
        problem=problem,
        train=Data(toy("train"), INPUTS, CPU, with_bias=needs.bias_labels),
        unbiased=Data(toy("unbiased"), INPUTS, CPU, with_bias=True) if needs.unbiased_split else None,
        upstream=upstream or {},
        checkpoint=Checkpoint(folder / "checkpoint.pt"),
        spool=folder / "candidates",
        streams=("toy texts", 0),
        device=CPU,
        precision="fp32",
        report=lambda phase, done, total: None,
    )


@pytest.fixture(scope="module")
def vanilla(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    run = run_of(tmp_path_factory.mktemp("vanilla"), tiny_bert, Denetdm(DenetdmParams()))
    network = run.network()
    with isolated("toy vanilla"):
        fit(run, network, run.train, replace(RECIPE, epochs=40))
    assert float((predictions(network, run.train) == run.train.y).double().mean()) > 0.85
    return Artifact("vanilla", {name: tensor.detach().clone() for name, tensor in network.state_dict().items()})


@pytest.mark.parametrize(
    ("method", "removes"),
    [
        (FfwStructured(FfwParams(gamma=0.1, batch_size=10, epochs=100, tau_start=1e-3)), True),
        (FfwUnstructured(FfwParams(gate_learning_rate=0.05, epochs=100)), True),
        (Bise(BiseParams(tau_start=0.02, gate_learning_rate=0.1)), True),
        (Bise(BiseParams(tau_start=0.002, finetune=True)), False),
        (BiseUnsupervised(BiseUnsupervisedParams(tau_start=0.002)), False),
        (RandomPruning(RandomPruningParams(draws=1)), True),
        (RandomPruning(RandomPruningParams(draws=1, structured=False)), True),
        (MagnitudePruning(PruningParams()), True),
        (MagnitudePruning(PruningParams(structured=False, finetune=True)), True),
        (Denetdm(DenetdmParams()), False),
    ],
    ids=lambda value: value.name if isinstance(value, Method) else "",
)
def test_every_method_runs_on_texts(
    method: Method, removes: bool, tiny_bert: Path, vanilla: Artifact, tmp_path: Path
) -> None:
    run = run_of(tmp_path, tiny_bert, method, {"vanilla": vanilla})
    before = {name: tensor.clone() for name, tensor in vanilla.state.items()}
    with isolated("method"):
        method.run(run)
    assert all(torch.equal(tensor, before[name]) for name, tensor in vanilla.state.items())
    last: Any = list(run.offers.values())[-1].load(CPU).eval()
    x = torch.from_numpy(toy("test").x)
    with torch.no_grad():
        logits = last(x)
    assert logits.shape == (200, 2)
    assert bool(torch.isfinite(logits).all())
    assert float(logits.std(0).min()) > 1e-3, "it still looks at its input"
    if removes:
        dense = measure_cost(network_of(tiny_bert), x[:1])
        assert measure_cost(compacted(last), x[:1]).nonzero < dense.nonzero


def test_denetdm_takes_the_tasks_bert_with_one_block_for_the_shallow_branch(tiny_bert: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path, tiny_bert, Denetdm(DenetdmParams()))
    chosen = plan(run.problem, DenetdmParams())
    depths = [len(run.network(b).encoder.blocks) for b in (chosen.shallow, chosen.deep, chosen.target)]
    assert depths == [1, 2, 2]
    assert chosen.stage1 == chosen.stage2 == RECIPE.under(BRIEF)
    assert plan(run.problem, DenetdmParams(deep_layers=1)).deep.options["layers"] == 1
