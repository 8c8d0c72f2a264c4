"""The pruning baselines: score what may be removed, remove the lowest, and offer what is left.

Which are lowest is decided by :mod:`torch.nn.utils.prune`; its masks are used as they are, since removed units have to
be 0 after the activation, where a zeroed filter would leave the constant that batch norm makes of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.utils import prune

from benchmark.artifacts import Artifact
from benchmark.errors import ConfigError
from benchmark.layers import Residual
from benchmark.network import Network, Site
from benchmark.run import Run
from benchmark.training import fit
from methods.shared.masks import PREFIX, MaskedNetwork, read_masks
from methods.shared.physical import compact
from methods.shared.pruning_baseline import PruningParams
from methods.shared.recipes import vanilla_recipe

Parts = dict[str, torch.Tensor]
"""What may be removed: the filters (units, fan-in) of every site, or the weights of every layer, by module."""
Score = Callable[[torch.Tensor], torch.Tensor]
"""Filters to one number per unit, or weights to one per weight; the lowest go first."""


def prune_and_offer(run: Run, params: PruningParams, score: Score, label: str) -> None:
    """Prune a copy of the vanilla network and offer it, fine-tuned if that is asked for.

    Raises:
        ConfigError: The network does not say where units can be removed, or there is no mask to match.
    """
    network = run.network(start=run.upstream["vanilla"])
    parts = removable(network, params)
    removed = removals(parts, params, network, run.upstream.get("mask"))
    kept = lowest_removed({name: score(part) for name, part in parts.items()}, removed, params)
    share = 1 - sum(int(mask.sum()) for mask in kept.values()) / sum(mask.numel() for mask in kept.values())
    pruned = _without_units(network, kept) if params.structured else _without_weights(network, kept)
    if params.finetune:
        recipe = vanilla_recipe(run, params.vanilla)

        def on_epoch(epoch: int) -> None:
            if run.is_candidate(epoch, recipe.epochs) and epoch < recipe.epochs:
                run.offer(pruned, f"{label}, epoch {epoch}", epoch=epoch, pruned_share=share)

        fit(run, pruned, run.train, recipe, phase=f"fine-tuning {label}", on_epoch=on_epoch)
    run.offer(pruned, label, pruned_share=share)


def removable(network: Network, params: PruningParams) -> Parts:
    """The filters of the network's units, or the weights of its convolutions and linear layers."""
    if params.structured:
        makers = unit_makers(network)
        if not network.sites:
            raise ConfigError("units can be pruned in a network that lists where, in `sites`; set structured: false")
        return {site.module: makers[site.module].weight.detach().flatten(1) for site in _sites(network, params.scope)}
    return {
        name: module.weight.detach()
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and (params.scope == "network" or name != "classifier")
    }


def unit_makers(network: Network) -> dict[str, nn.Conv2d | nn.Linear]:
    """For every module the layer whose filters make its units: the last one before it, or in it.

    After a residual block it is the last layer of the block's body, not of its shortcut.
    """
    makers: dict[str, nn.Conv2d | nn.Linear] = {}

    def visit(name: str, module: nn.Module, last: nn.Conv2d | nn.Linear | None) -> nn.Conv2d | nn.Linear | None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            last = module
        for child_name, child in module.named_children():
            if not (isinstance(module, Residual) and child is module.shortcut):
                last = visit(f"{name}.{child_name}", child, last)
        if last is not None:
            makers[name] = last
        return last

    visit("classifier", network.classifier, visit("encoder", network.encoder, None))
    return makers


def removals(parts: Parts, params: PruningParams, network: Network, match: Artifact | None) -> dict[str, int]:
    """How many units or weights are removed of each part; at least one is left."""
    if match is None:
        wanted = {name: round(params.sparsity * len_of(part, params)) for name, part in parts.items()}
    elif params.structured:
        masks = read_masks(match.state)
        if set(masks) != set(parts):
            raise ConfigError(
                f"{params.match!r} left masks of the units at {sorted(masks) or 'no sites'}, needed are those at "
                f"{sorted(parts)}; match a method that prunes units in the same scope, or set structured: false"
            )
        wanted = {name: int((~mask).sum()) for name, mask in masks.items()}
    else:
        wanted = removed_weights(network, match)
    return {name: min(wanted[name], len_of(part, params) - 1) for name, part in parts.items()}


def len_of(part: torch.Tensor, params: PruningParams) -> int:
    """Units or weights of a part."""
    return len(part) if params.structured else part.numel()


def removed_weights(network: Network, match: Artifact) -> dict[str, int]:
    """Weights of every layer that are zero, or gone with masked units, in a pruned network's state."""
    masks = read_masks(match.state)
    pruned = copy.deepcopy(network)
    pruned.load_state_dict({name: value for name, value in match.state.items() if not name.startswith(PREFIX)})
    left = dict(compact(pruned, masks).named_modules())
    removed = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            removed[name] = module.weight.numel() - int(torch.count_nonzero(left[name].get_parameter("weight")))
    return removed


def lowest_removed(scores: Parts, removed: Mapping[str, int], params: PruningParams) -> dict[str, torch.Tensor]:
    """Bool masks of what is kept: in every part, or in all of them together, the lowest scores go."""
    if params.allocation == "layer":
        return {name: _kept(score, removed[name]) for name, score in scores.items()}
    everywhere = _kept(torch.cat([score.flatten() for score in scores.values()]), sum(removed.values()))
    masks = torch.split(everywhere, [score.numel() for score in scores.values()])
    return {name: mask.view_as(scores[name]) for name, mask in zip(scores, masks, strict=True)}


def _kept(scores: torch.Tensor, removed: int) -> torch.Tensor:
    lowest = prune.L1Unstructured(removed)
    flat = scores.flatten()  # weights in the layout channels_last are no contiguous tensors
    mask: torch.Tensor = lowest.compute_mask(flat, torch.ones_like(flat))  # type: ignore[no-untyped-call]
    return mask.bool().view(scores.shape)


def _sites(network: Network, scope: str) -> tuple[Site, ...]:
    outputs = Site("classifier", network.classifier.out_features)
    return network.sites if scope == "encoder" else (*network.sites, outputs)


def _without_units(network: Network, kept: Mapping[str, torch.Tensor]) -> Network:
    sites = {site.module: site for site in _sites(network, "network")}
    return MaskedNetwork(network, {sites[name]: mask for name, mask in kept.items()})


def _without_weights(network: Network, kept: Mapping[str, torch.Tensor]) -> Network:
    """Set weights to 0; a hook keeps their gradients at 0, and so them, under every optimiser with its decay."""
    with torch.no_grad():
        for name, mask in kept.items():
            weight = network.get_submodule(name).get_parameter("weight")
            weight.mul_(mask)
            weight.register_hook(lambda gradient, mask=mask: gradient * mask)  # type: ignore[no-untyped-call]
    return network
