"""Just Train Twice (Liu et al., ICML 2021): train, then train again on a set in which the first one's errors repeat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from benchmark.method import Card, Method, Supervision
from benchmark.registry import METHODS

if TYPE_CHECKING:
    from benchmark.run import Run


@dataclass(frozen=True)
class JttParams:
    """Parameters of Just Train Twice; the paper tunes both per data set.

    Attributes:
        identification_epochs: T, epochs of the first network, before the protocol scales them.
        upweight: lambda, how often each of its errors is in the second training set.
    """

    identification_epochs: Annotated[int, Meta(ge=1)] = 10
    upweight: Annotated[int, Meta(ge=1)] = 20


@METHODS.register
class Jtt(Method):
    """Two trainings; no bias labels."""

    name = "jtt"
    version = 1
    card = Card(
        title="Just Train Twice",
        summary="Trains a second network on a set in which the errors of a first, short training repeat.",
        paper="Liu et al., Just Train Twice: Improving Group Robustness without Training Group Information, ICML 2021",
        url="https://arxiv.org/abs/2107.09044",
    )
    supervision = Supervision()
    Params = JttParams

    def run(self, run: Run) -> None:
        """Identify the errors, repeat them, train again; offer states of the second network."""
        import torch

        from benchmark.evaluate import predictions
        from benchmark.training import fit

        recipe, protocol = run.problem.recipe, run.problem.protocol
        first = run.network(role="identification")
        few = replace(recipe, epochs=protocol.epochs(self.params.identification_epochs))
        fit(run, first, run.train, few, phase="identification")

        wrong = predictions(first, run.train) != run.train.y
        times = torch.where(wrong, self.params.upweight, 1)
        repeated = run.train.subset(torch.repeat_interleave(torch.arange(len(wrong), device=run.device), times))

        network = run.network()

        def offer(epoch: int) -> None:
            if run.is_candidate(epoch, recipe.epochs):
                run.offer(network, f"epoch {epoch}", error_share=float(wrong.double().mean()))

        fit(run, network, repeated, recipe, on_epoch=offer)
