"""The pruning baselines: what is removed, counted and chosen by hand, and what fine-tuning leaves of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Interrupted
from benchmark.cost import compacted, measure_cost
from benchmark.errors import ConfigError
from benchmark.method import Supervision, Upstream
from benchmark.network import Network, build_network
from benchmark.protocol import Protocol
from benchmark.run import Run
from benchmark.task import Backbone, Inputs, Recipe
from methods.magnitude_pruning import MagnitudePruning
from methods.magnitude_pruning.algorithm import prune_by_magnitude
from methods.random_pruning import RandomPruning, RandomPruningParams
from methods.random_pruning.algorithm import prune_at_random
from methods.shared.masks import MaskedNetwork
from methods.shared.physical import compact
from methods.shared.pruning import unit_makers
from methods.shared.pruning_baseline import PruningParams

ToyRun = Callable[..., Run]
NONE = Supervision()
INPUTS = Inputs((3, 8, 8))
MLP = Backbone("tasks.backbones.mlp:mlp", {"widths": [12, 8]})
RESNET = Backbone("tasks.backbones.resnet:resnet20")
BRIEF = Protocol("brief", 1.0, 3, None, None, candidates=3)
SGD = Recipe("sgd", 0.1, batch_size=50, epochs=3, momentum=0.9, weight_decay=1e-2)


def vanilla_of(backbone: Backbone) -> tuple[Network, Artifact]:
    network = build_network(backbone, INPUTS, 4, "pruning")
    return network, Artifact("vanilla", dict(network.state_dict()), backbone)


def prune(
    toy_run: ToyRun,
    params: PruningParams,
    backbone: Backbone = MLP,
    mask: dict[str, torch.Tensor] | None = None,
    **options: Any,
) -> Run:
    upstream = {"vanilla": vanilla_of(backbone)[1]}
    if mask is not None:
        upstream["mask"] = Artifact("mask", mask)
    run = toy_run(NONE, backbone=backbone, protocol=BRIEF, samples=150, upstream=upstream, **options)
    method = prune_at_random if isinstance(params, RandomPruningParams) else prune_by_magnitude
    method(run, params)
    return run


def offered(run: Run, label: str = "pruned") -> Network:
    model = run.offers[label].load("cpu")
    assert isinstance(model, Network)
    return model


def kept_units(model: Network) -> dict[str, np.ndarray]:
    assert isinstance(model, MaskedNetwork)
    return {site.module: model.mask[site.module].numpy() for site in model.sites}


def zeros(model: Network) -> dict[str, int]:
    return {
        name: int((module.weight == 0).sum())
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def test_magnitude_removes_the_units_with_the_smallest_filters_of_every_layer(toy_run: ToyRun) -> None:
    vanilla, _ = vanilla_of(MLP)
    masks = kept_units(offered(prune(toy_run, PruningParams(sparsity=0.25))))
    assert list(masks) == ["encoder.relu1", "encoder.relu2"]
    for layer, site, removed in (("linear1", "encoder.relu1", 3), ("linear2", "encoder.relu2", 2)):
        filters = vanilla.encoder.get_submodule(layer).weight.detach().numpy()
        smallest = np.argsort(np.sqrt((filters**2).sum(1)))[:removed]
        assert set(np.flatnonzero(~masks[site])) == set(smallest)


def test_global_magnitude_lets_all_units_compete(toy_run: ToyRun) -> None:
    vanilla, _ = vanilla_of(MLP)
    masks = kept_units(offered(prune(toy_run, PruningParams(sparsity=0.4, allocation="global"))))
    norms = [
        np.linalg.norm(vanilla.encoder.get_submodule(name).weight.detach().numpy(), axis=1)
        for name in ("linear1", "linear2")
    ]
    threshold = np.sort(np.concatenate(norms))[8]  # 40 % of 20 units
    assert (masks["encoder.relu1"] == (norms[0] >= threshold)).all()
    assert (masks["encoder.relu2"] == (norms[1] >= threshold)).all()


@pytest.mark.parametrize("allocation", ["layer", "global"])
def test_unstructured_magnitude_agrees_with_torchs_pruning(toy_run: ToyRun, allocation: str) -> None:
    from torch.nn.utils import prune as reference

    vanilla, _ = vanilla_of(MLP)
    layers = [(vanilla.encoder.linear1, "weight"), (vanilla.encoder.linear2, "weight")]
    if allocation == "global":
        reference.global_unstructured(layers, pruning_method=reference.L1Unstructured, amount=0.7)
    else:
        for layer, name in layers:
            reference.l1_unstructured(layer, name, amount=0.7)
    params = PruningParams(sparsity=0.7, structured=False, allocation=allocation)
    model = offered(prune(toy_run, params))
    for name in ("linear1", "linear2"):
        assert torch.equal(model.encoder.get_submodule(name).weight, vanilla.encoder.get_submodule(name).weight)
    assert torch.equal(model.classifier.weight, vanilla.classifier.weight)


def test_the_classifier_is_pruned_only_with_the_whole_network(toy_run: ToyRun) -> None:
    options = {"sparsity": 0.5, "structured": False}
    assert zeros(offered(prune(toy_run, PruningParams(**options))))["classifier"] == 0
    whole = offered(prune(toy_run, PruningParams(**options, scope="network"), folder="whole"))
    assert zeros(whole)["classifier"] == 16
    masked = offered(prune(toy_run, PruningParams(sparsity=0.5, scope="network"), folder="masked"))
    assert kept_units(masked)["classifier"].sum() == 2


def test_biases_and_batch_norm_are_never_pruned(toy_run: ToyRun) -> None:
    vanilla, _ = vanilla_of(RESNET)
    params = PruningParams(sparsity=0.9, structured=False, scope="network")
    model = offered(prune(toy_run, params, RESNET))
    weights = {f"{name}.weight" for name in zeros(model)}
    for name, tensor in vanilla.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor) == (name not in weights)


@pytest.mark.parametrize("structured", [True, False])
def test_random_pruning_removes_as_many_as_asked_and_others_in_every_draw(toy_run: ToyRun, structured: bool) -> None:
    params = RandomPruningParams(sparsity=0.5, structured=structured, draws=4)
    run = prune(toy_run, params)
    assert list(run.offers) == ["draw 0", "draw 1", "draw 2", "draw 3"]
    models = [offered(run, label) for label in run.offers]
    if structured:
        removed = [tuple(np.flatnonzero(~kept_units(model)["encoder.relu1"])) for model in models]
        assert {len(units) for units in removed} == {6}
        assert len(set(removed)) > 1
    else:
        counts = [zeros(model) for model in models]
        assert all(count == {"encoder.linear1": 12 * 96, "encoder.linear2": 6 * 8, "classifier": 0} for count in counts)
        assert not torch.equal(models[0].encoder.linear1.weight == 0, models[1].encoder.linear1.weight == 0)


def test_random_pruning_removes_every_unit_equally_often(toy_run: ToyRun) -> None:
    draws = 200
    run = prune(toy_run, RandomPruningParams(sparsity=0.25, draws=draws))
    removed = sum((~kept_units(offered(run, f"draw {i}"))["encoder.relu1"]).astype(int) for i in range(draws))
    expected = draws * 3 / 12
    deviation = np.sqrt(draws * 0.25 * 0.75)
    assert removed.sum() == draws * 3
    assert (np.abs(removed - expected) < 4.5 * deviation).all()


def test_a_draw_does_not_depend_on_how_many_there_are(toy_run: ToyRun) -> None:
    few = prune(toy_run, RandomPruningParams(draws=1), folder="few")
    many = prune(toy_run, RandomPruningParams(draws=3), folder="many")
    first, again = kept_units(offered(few, "draw 0")), kept_units(offered(many, "draw 0"))
    assert all((first[site] == again[site]).all() for site in first)


def test_at_least_one_unit_is_left_of_every_layer(toy_run: ToyRun) -> None:
    masks = kept_units(offered(prune(toy_run, PruningParams(sparsity=0.99))))
    assert {site: mask.sum() for site, mask in masks.items()} == {"encoder.relu1": 1, "encoder.relu2": 1}


def test_nothing_is_removed_at_sparsity_0(toy_run: ToyRun) -> None:
    vanilla, _ = vanilla_of(MLP)
    x = torch.rand(4, *INPUTS.shape)
    for structured in (True, False):
        run = prune(toy_run, PruningParams(sparsity=0.0, structured=structured), folder=str(structured))
        torch.testing.assert_close(offered(run)(x), vanilla(x))
        assert run.offers["pruned"].info == {"pruned_share": 0}


def unit_mask(**kept: int) -> dict[str, torch.Tensor]:
    """The artifact of a method that kept the first so many units."""
    network, _ = vanilla_of(MLP)
    masks = {site: torch.arange(site.units) < kept[site.module.removeprefix("encoder.")] for site in network.sites}
    return MaskedNetwork(network, masks).state_dict()


def test_a_matched_structured_mask_gives_the_number_of_units_per_layer(toy_run: ToyRun) -> None:
    params = PruningParams(match="ffw_structured")
    masks = kept_units(offered(prune(toy_run, params, mask=unit_mask(relu1=10, relu2=3))))
    assert (masks["encoder.relu1"].sum(), masks["encoder.relu2"].sum()) == (10, 3)


def test_a_matched_structured_mask_gives_the_number_of_units_in_all(toy_run: ToyRun) -> None:
    params = PruningParams(match="ffw_structured", allocation="global")
    run = prune(toy_run, params, mask=unit_mask(relu1=10, relu2=3))
    masks = kept_units(offered(run))
    assert masks["encoder.relu1"].sum() + masks["encoder.relu2"].sum() == 13
    assert run.offers["pruned"].info["pruned_share"] == pytest.approx(7 / 20)


def test_single_weights_match_an_unstructured_mask_layer_by_layer(toy_run: ToyRun) -> None:
    network, _ = vanilla_of(MLP)
    with torch.no_grad():
        network.encoder.linear1.weight[:5] = 0
        network.encoder.linear2.weight[:, :2] = 0
    params = RandomPruningParams(match="ffw_unstructured", structured=False, draws=1)
    model = offered(prune(toy_run, params, mask=network.state_dict()), "draw 0")
    assert zeros(model) == {"encoder.linear1": 5 * 192, "encoder.linear2": 2 * 8, "classifier": 0}


def test_single_weights_match_the_weights_that_go_with_masked_units(toy_run: ToyRun) -> None:
    params = RandomPruningParams(match="bise", structured=False, draws=1)
    model = offered(prune(toy_run, params, mask=unit_mask(relu1=10, relu2=3)), "draw 0")
    assert zeros(model) == {"encoder.linear1": 2 * 192, "encoder.linear2": 12 * 8 - 10 * 3, "classifier": 0}


def test_units_cannot_match_a_mask_of_weights(toy_run: ToyRun) -> None:
    network, _ = vanilla_of(MLP)
    with pytest.raises(ConfigError, match=r"'ffw_unstructured' left masks of the units at no sites.*structured: false"):
        prune(toy_run, PruningParams(match="ffw_unstructured"), mask=network.state_dict())


def test_units_need_a_network_that_lists_them(toy_run: ToyRun) -> None:
    shallow = Backbone("methods.denetdm.branches:shallow_cifar")
    with pytest.raises(ConfigError, match="set structured: false"):
        prune(toy_run, PruningParams(), shallow)
    assert zeros(offered(prune(toy_run, PruningParams(structured=False), shallow)))["encoder.conv1"] == 32 * 75 // 2


@pytest.mark.parametrize("recipe", [SGD, Recipe("adam", 0.01, batch_size=50, epochs=3, weight_decay=1e-2)])
def test_fine_tuning_changes_what_is_left_and_nothing_else(toy_run: ToyRun, recipe: Recipe) -> None:
    options = {"sparsity": 0.6, "structured": False}
    before = offered(prune(toy_run, PruningParams(**options), recipe=recipe, folder="before"))
    run = prune(toy_run, PruningParams(**options, finetune=True), recipe=recipe, folder="after")
    assert list(run.offers) == ["pruned, epoch 1", "pruned, epoch 2", "pruned"]
    after = offered(run)
    for name in ("linear1", "linear2"):
        old, new = before.encoder.get_submodule(name).weight, after.encoder.get_submodule(name).weight
        assert torch.equal(old == 0, new == 0)
        assert (old != new)[old != 0].float().mean() > 0.9


def test_fine_tuning_leaves_removed_units_at_0(toy_run: ToyRun) -> None:
    run = prune(toy_run, PruningParams(finetune=True), RESNET, recipe=SGD)
    model = offered(run).eval()
    seen: list[torch.Tensor] = []
    site = model.sites[3]
    model.get_submodule(site.module).register_forward_hook(lambda *args: seen.append(args[2]))
    model(torch.rand(5, *INPUTS.shape))
    mask = model.mask[site.module]
    assert (seen[0][:, ~mask] == 0).all()
    assert (seen[0][:, mask] != 0).any()


def test_a_pruned_residual_network_ships_without_its_units(toy_run: ToyRun) -> None:
    model = offered(prune(toy_run, RandomPruningParams(sparsity=0.5, draws=1), RESNET), "draw 0").eval()
    x = torch.rand(3, *INPUTS.shape)
    smaller = compacted(model)
    torch.testing.assert_close(smaller(x), model(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(model(x), offered_again(model)(x)), "the masked network itself is left as it is"
    assert measure_cost(smaller, x[:1]).macs < 0.4 * measure_cost(model, x[:1]).macs
    assert all(not module._forward_hooks for module in smaller.modules())
    reference = vanilla_of(RESNET)[0].eval()
    torch.testing.assert_close(
        compact(reference, {n: torch.tensor(m) for n, m in kept_units(model).items()})(x), smaller(x)
    )


def offered_again(model: Network) -> Network:
    import io

    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    again = torch.load(stream, weights_only=False)
    assert isinstance(again, Network)
    return again


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("stop_after", [2, 3, 4])
def test_an_interrupted_run_ends_as_one_that_ran_through(toy_run: ToyRun, structured: bool, stop_after: int) -> None:
    params = RandomPruningParams(structured=structured, draws=2, finetune=True)
    through = prune(toy_run, params, folder="through")
    asked = iter(range(1, 100))
    with pytest.raises(Interrupted):
        prune(toy_run, params, folder="cell", should_stop=lambda: next(asked) == stop_after)
    resumed = prune(toy_run, params, folder="cell")
    assert list(resumed.offers) == list(through.offers)
    for label in through.offers:
        found, expected = offered(resumed, label).state_dict(), offered(through, label).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_units_of_a_residual_network_are_made_by_the_layers_of_its_blocks() -> None:
    network = build_network(Backbone("tasks.backbones.resnet:resnet18"), Inputs((3, 32, 32)), 10, "makers")
    makers = unit_makers(network)
    for site in network.sites:
        block = network.get_submodule(site.module.rpartition(".activation")[0] or site.module.rpartition(".body")[0])
        expected = block.body.conv2 if site.module.endswith("activation") else block.body.conv1
        assert makers[site.module] is expected
        assert len(expected.weight) == site.units


def test_what_they_start_from_is_declared() -> None:
    plain = MagnitudePruning(PruningParams(vanilla={"epochs": 3}))
    assert plain.upstream() == {"vanilla": Upstream("vanilla", {"epochs": 3})}
    matched = RandomPruning(RandomPruningParams(match="bise", match_params={"gamma": 2.0}, vanilla={"epochs": 3}))
    assert matched.upstream() == {
        "vanilla": Upstream("vanilla", {"epochs": 3}),
        "mask": Upstream("bise", {"vanilla": {"epochs": 3}, "gamma": 2.0}),
    }
    assert str(plain.supervision) == str(matched.supervision) == "none"


def test_declaring_them_needs_no_torch(tmp_path: Path) -> None:
    code = "import sys, methods.random_pruning, methods.magnitude_pruning; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
