"""Vanilla: empirical risk minimisation with the task's reference recipe. See card.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from benchmark.method import Card, Method
from benchmark.registry import METHODS
from benchmark.task import Backbone, Recipe, Task

if TYPE_CHECKING:
    from benchmark.run import Run


@dataclass(frozen=True)
class VanillaParams:
    """Where the recipe departs from the task's reference; ``None`` keeps the reference.

    Attributes:
        learning_rate: Initial learning rate.
        weight_decay: L2 penalty.
        batch_size: Samples per step.
        epochs: Passes over the training set, before the protocol scales them.
        hidden_layers: Of an MLP backbone, each as wide as the task's first.
    """

    learning_rate: Annotated[float, Meta(gt=0)] | None = None
    weight_decay: Annotated[float, Meta(ge=0)] | None = None
    batch_size: Annotated[int, Meta(ge=1)] | None = None
    epochs: Annotated[int, Meta(ge=1)] | None = None
    hidden_layers: Annotated[int, Meta(ge=1)] | None = None


@METHODS.register
class Vanilla(Method):
    """Cross-entropy on the biased training set."""

    name = "vanilla"
    version = 1
    card = Card(
        title="Vanilla",
        summary="Plain training on the biased data: what every debiasing method must beat.",
    )
    Params = VanillaParams
    keeps_artifact = True

    def not_applicable(self, task: Task) -> str | None:
        """``hidden_layers`` needs an MLP backbone."""
        if self.params.hidden_layers is not None and "widths" not in task.backbone().options:
            return f"hidden_layers is for MLP backbones, and {task.name} uses {task.backbone().factory}"
        return super().not_applicable(task)

    def run(self, run: Run) -> None:
        """Train, offering states at the protocol's cadence."""
        from benchmark.training import fit

        network = run.network(self._backbone(run.problem.backbone))
        recipe = self._recipe(run)

        def offer(epoch: int) -> None:
            if run.is_candidate(epoch, recipe.epochs):
                run.offer(network, f"epoch {epoch}", epoch=epoch)

        fit(run, network, run.train, recipe, on_epoch=offer)

    def _backbone(self, reference: Backbone) -> Backbone:
        if self.params.hidden_layers is None:
            return reference
        widths = [reference.options["widths"][0]] * self.params.hidden_layers
        return replace(reference, options={**reference.options, "widths": widths})

    def _recipe(self, run: Run) -> Recipe:
        """The task's recipe with this cell's departures, scaled to the protocol."""
        names = ("learning_rate", "weight_decay", "batch_size", "epochs")
        chosen = {name: getattr(self.params, name) for name in names if getattr(self.params, name) is not None}
        return replace(run.problem.reference, **chosen).under(run.problem.protocol)
