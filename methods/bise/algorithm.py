"""BISE's loop: a bias head on the vanilla network, then masks at falling temperatures, then optional fine-tuning.

Under a protocol every number of epochs n of :class:`methods.bise.MaskParams` (head pre-training and refinement, mask
epochs per temperature) becomes ``protocol.epochs(n)``; the number of temperatures stays.
"""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional

from benchmark.checkpoint import Stateful
from benchmark.data import Batch, Data
from benchmark.run import Run
from benchmark.training import Loss, cross_entropy, fit
from methods.bise import MaskParams
from methods.bise.labels import BiasLabels
from methods.shared.bias_head import BiasHead, HeadSettings, cache
from methods.shared.gated import Gated, GatedUnits, behind_frozen_layers
from methods.shared.gates import hard
from methods.shared.mask_training import Penalty, train_masks
from methods.shared.recipes import vanilla_recipe
from methods.shared.schedules import levels


def extract(run: Run, params: MaskParams, labels: BiasLabels) -> None:
    """Learn which units to keep on the biased training set.

    Offers the pruned network at the end of every temperature ("tau 0.5"), or, with ``finetune``, only the states of
    the fine-tuned one.
    """
    gated = GatedUnits(run.network(start=run.upstream["vanilla"]), hard)
    loss = cross_entropy if params.no_reweight else reweighted(labels.weights)
    learned, (shown,) = behind_frozen_layers(run, gated, run.problem.recipe.batch_size, run.train)
    head = None if params.no_mi else pretrained_head(run, params, learned, shown, labels)
    learn(run, params, gated, learned, shown, labels, loss, head)
    network, share = gated.pruned(), gated.pruned_share()
    if params.finetune:
        recipe = vanilla_recipe(run, params.vanilla)

        def on_epoch(epoch: int) -> None:
            if run.is_candidate(epoch, recipe.epochs) and epoch < recipe.epochs:
                run.offer(network, f"epoch {epoch}", pruned_share=share)

        fit(run, network, run.train, recipe, phase="fine-tuning", loss=loss, on_epoch=on_epoch)
    run.offer(network, "final", pruned_share=share)


def reweighted(weights: torch.Tensor) -> Loss:
    """L_r, the mean of r times the cross-entropy, for weights of the training set (N,)."""

    def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        each = functional.cross_entropy(logits, batch.y, reduction="none")
        return (weights.index_select(0, batch.index) * each).mean()

    return loss


def pretrained_head(run: Run, params: MaskParams, gated: Gated, data: Data, labels: BiasLabels) -> BiasHead:
    """A bias head trained on the features of the vanilla network, which the gates still are at their start."""
    values = tuple(bias.values for bias in labels.biases)
    settings = HeadSettings(params.head_learning_rate, params.head_momentum, params.head_weight_decay)
    head = BiasHead(gated.network.feature_dim, values, settings, run.stream("initialisation", "bias head"), run.device)
    order = run.stream("order", "bias head")
    z: torch.Tensor | None = None
    epochs = run.problem.protocol.epochs(params.pretrain_epochs)
    for _ in run.epochs("bias head", epochs, {"head": head, "order": order}):
        if z is None:
            z, _ = cache(run, partial(gated, tau=params.tau_start), data)
        head.train_epoch(z, labels.b, run.problem.recipe.batch_size, order)
    return head


def information_penalty(head: BiasHead, labels: BiasLabels, gamma: float) -> Penalty:
    """The penalty: gamma times the information of the batch's bias-conflicting samples, summed over attributes."""

    def penalty(z: torch.Tensor, batch: Batch) -> torch.Tensor:
        b, counted = labels.b.index_select(0, batch.index), labels.conflicting.index_select(0, batch.index)
        return gamma * head.information(z, b, counted).sum()

    return penalty


def learn(
    run: Run,
    params: MaskParams,
    gated: Gated,
    learned: Gated,
    data: Data,
    labels: BiasLabels,
    loss: Loss,
    head: BiasHead | None,
) -> None:
    """The mask epochs of all temperatures; after each temperature but the last the head catches up with the mask.

    ``learned`` and ``data`` stand for ``gated`` and the training set, see :func:`behind_frozen_layers`.
    """
    protocol = run.problem.protocol
    period = protocol.epochs(params.period)
    total = period * levels(params.tau_start, params.tau_factor, params.tau_stop, inclusive=True)
    optimizer = torch.optim.SGD(
        gated.m.parameters(),
        lr=params.gate_learning_rate,
        momentum=params.gate_momentum,
        weight_decay=params.gate_weight_decay,
        fused=True,
    )
    order = run.stream("order", "masks")
    state: dict[str, Stateful | torch.Generator] = {
        "gates": gated.m,
        "optimizer": optimizer,
        "order": order,
    }
    bias = None
    if head is not None:
        state["head"] = head
        bias = (head, labels.b, information_penalty(head, labels, params.gamma))
    for epoch in run.epochs("masks", total, state):
        tau = params.tau_start * params.tau_factor ** ((epoch - 1) // period)
        mean = train_masks(run, learned, optimizer, data, tau, order, loss=loss, bias=bias)
        run.log("masks", loss=mean, tau=tau, pruned_share=gated.pruned_share())
        if epoch % period or epoch == total:
            continue
        if not params.finetune:
            run.offer(gated.pruned(), f"tau {tau:g}", tau=tau, pruned_share=gated.pruned_share())
        if head is not None:
            z, _ = cache(run, partial(learned, tau=tau), data)
            epochs = protocol.epochs(params.refine_epochs)
            head.refine(z, labels.b, run.problem.recipe.batch_size, order, epochs=epochs)
