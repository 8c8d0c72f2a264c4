"""FFW's loop: gates and bias head together, then the head alone, then the temperature (the paper's section 4).

Under a protocol every number of epochs n of :class:`methods.ffw.FfwParams` (mask epochs, head epochs, patiences,
period) becomes ``protocol.epochs(n)``; a run that its budget ends before the last temperature offers what it has.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from benchmark.checkpoint import State
from benchmark.data import Batch, Data
from benchmark.diagnostics.probe import decodability
from benchmark.network import Network
from benchmark.protocol import Protocol
from benchmark.run import Run
from benchmark.training import cross_entropy, finite
from methods.ffw import FfwParams
from methods.shared.bias_head import BiasHead, HeadSettings, cache
from methods.shared.gated import Gated, behind_frozen_layers
from methods.shared.mask_training import Penalty, train_masks
from methods.shared.schedules import Plateau, levels


class Temperature:
    """The temperature and when it drops.

    Attributes:
        drops: How often it has dropped.
    """

    def __init__(self, params: FfwParams, protocol: Protocol) -> None:
        """Start at ``tau_start``."""
        self._params = params
        self._levels = levels(params.tau_start, params.tau_factor, params.tau_stop, inclusive=False)
        self._period = protocol.epochs(params.period)
        self._plateau = Plateau(protocol.epochs(params.patience), params.threshold)
        self.drops = 0

    @property
    def tau(self) -> float:
        """The temperature now; after the end, the last one."""
        return self._params.tau_start * self._params.tau_factor ** min(self.drops, self._levels - 1)

    @property
    def finished(self) -> bool:
        """Whether it has passed its end."""
        return self.drops >= self._levels

    def step(self, epoch: int, information: float) -> bool:
        """After each epoch (counted from 1), given the held-out mutual information: whether it drops."""
        periodic = self._params.policy == "periodic"
        falls = epoch % self._period == 0 if periodic else self._plateau.reached(information)
        self.drops += falls
        return falls

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"drops": self.drops, "plateau": self._plateau.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of :meth:`state_dict`."""
        self.drops = state["drops"]
        self._plateau.load_state_dict(state["plateau"])


def learn(run: Run, params: FfwParams, gated: Gated) -> None:
    """Learn gates on the unbiased split, half of which is held out to drive the temperature and to report on.

    Offers the pruned network before every drop of the temperature ("tau 0.01") and at the end ("final"), each with
    the held-out mutual information, the accuracy of a fresh probe for the bias and the task accuracy.
    """
    problem = run.problem
    training, held_out = halves(run)
    values = tuple(bias.values for bias in problem.biases)
    settings = HeadSettings(params.head_learning_rate, params.head_momentum, params.head_weight_decay)
    head = BiasHead(gated.network.feature_dim, values, settings, run.stream("initialisation", "bias head"), run.device)
    optimizer = torch.optim.Adam(
        gated.m.parameters(), lr=params.gate_learning_rate, weight_decay=params.gate_weight_decay, fused=True
    )
    temperature, order = Temperature(params, problem.protocol), run.stream("order", "masks")
    training_b = labels_of(training)

    def task_loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return params.alpha * cross_entropy(logits, batch)

    bias = (head, training_b, information_penalty(head, training_b, params.gamma))
    state: State = {
        "gates": gated.m,
        "optimizer": optimizer,
        "head": head,
        "temperature": temperature,
        "order": order,
    }
    learned, (shown, kept_back) = behind_frozen_layers(run, gated, params.batch_size, training, held_out)
    masks = run.epochs("masks", problem.protocol.epochs(params.epochs), state)
    for epoch in masks:
        tau = temperature.tau
        loss = train_masks(
            run,
            learned,
            optimizer,
            shown,
            tau,
            order,
            loss=task_loss,
            bias=bias,
            batch_size=params.batch_size,
        )
        refine(run, params, head, cache(run, partial(learned, tau=tau), shown)[0], training_b, order)
        information = held_out_information(run, learned, head, kept_back, tau)
        run.log("masks", loss=loss, tau=tau, mutual_information=information, pruned_share=gated.pruned_share())
        if temperature.step(epoch, information):
            if temperature.finished:
                masks.stop()
            else:
                offer(run, gated, head, f"tau {tau:g}", tau, (training, held_out))
    offer(run, gated, head, "final", temperature.tau, (training, held_out))


def information_penalty(head: BiasHead, labels: torch.Tensor, gamma: float) -> Penalty:
    """The penalty: gamma times the information of the batch, averaged over the attributes of ``labels`` (N, …)."""

    def penalty(z: torch.Tensor, batch: Batch) -> torch.Tensor:
        return gamma * head.information(z, labels.index_select(0, batch.index)).mean()

    return penalty


def halves(run: Run) -> tuple[Data, Data]:
    """The unbiased split cut at random into what gates are learned on and what is held out."""
    if run.unbiased is None:
        raise ValueError("FFW learns its masks on an unbiased split and was given none; declare `unbiased_split`")
    permutation = torch.randperm(len(run.unbiased), generator=run.stream("unbiased", "halves")).to(run.device)
    first, second = permutation.tensor_split(2)
    return run.unbiased.subset(first), run.unbiased.subset(second)


def labels_of(data: Data) -> torch.Tensor:
    """The bias labels (N, attributes) of a split that has them."""
    if data.b is None:
        raise ValueError("this split came without bias labels; declare the supervision that gives them")
    return data.b


def refine(
    run: Run, params: FfwParams, head: BiasHead, z: torch.Tensor, labels: torch.Tensor, order: torch.Generator
) -> None:
    """Train the head on cached features until its loss stops to fall."""
    protocol = run.problem.protocol
    plateau = Plateau(protocol.epochs(params.head_patience), params.head_threshold)
    epochs = protocol.epochs(params.head_epochs)
    head.refine(z, labels, params.batch_size, order, epochs=epochs, plateau=plateau)


@torch.no_grad()
def held_out_information(run: Run, gated: Gated, head: BiasHead, held_out: Data, tau: float) -> float:
    """What the head tells of b on the held-out half under the gates as they are, averaged over attributes."""
    z, _ = cache(run, partial(gated, tau=tau), held_out)
    information = head.information(z, labels_of(held_out)).mean()
    return finite(information, f"mutual information at temperature {tau:g}")


def offer(run: Run, gated: Gated, head: BiasHead, label: str, tau: float, unbiased: tuple[Data, Data]) -> None:
    """Offer the pruned network, with what the held-out half of the unbiased split says of it.

    The mutual information is that of the learned head. The bias accuracy is that of a fresh probe, and like the former
    measured against b (in the authors' code both are, by mistake, measured against the target).
    """
    training, held_out = unbiased
    network = gated.pruned()
    forward = partial(features_and_logits, network)
    (fit_z, _), (z, predicted) = cache(run, forward, training), cache(run, forward, held_out)
    fit_b, b = labels_of(training), labels_of(held_out)
    accuracies = [
        decodability(fit_z, fit_b[:, i], z, b[:, i], bias.values) for i, bias in enumerate(run.problem.biases)
    ]
    run.offer(
        network,
        label,
        tau=tau,
        pruned_share=gated.pruned_share(),
        mutual_information=float(head.information(z, b).mean()),
        bias_accuracy=sum(accuracies) / len(accuracies),
        task_accuracy=float((predicted == held_out.y).double().mean()),
    )


def features_and_logits(network: Network, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (B, feature_dim) and logits (B, classes) of a plain network."""
    z = network.encoder(x)
    return z, network.classifier(z)
