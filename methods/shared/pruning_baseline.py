"""What the pruning baselines declare: how much of which network is removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from benchmark.method import Method, Upstream


@dataclass(frozen=True)
class PruningParams:
    """Parameters of the pruning baselines.

    Attributes:
        sparsity: Share of the units, or of the weights, that is removed; at least one is left everywhere.
        structured: Remove whole filters and neurons where the backbone lists them; else single weights.
        scope: What may be removed: parts of the ``encoder``, or of the whole ``network``.
        allocation: ``layer`` removes the same share in every layer, ``global`` lets all layers compete.
        match: Name of a method that prunes; as much is removed as it removed (in every layer, or in all of them,
            see ``allocation``), whatever ``sparsity`` says.
        match_params: Parameters of that method where they differ from its defaults.
        finetune: Train what is left, with the recipe of the vanilla network.
        vanilla: Parameters of the vanilla network that it starts from, where they differ from the task's reference;
            a matched method starts from the same.
    """

    sparsity: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    structured: bool = True
    scope: Literal["encoder", "network"] = "encoder"
    allocation: Literal["layer", "global"] = "layer"
    match: str | None = None
    match_params: dict[str, Any] = field(default_factory=dict)
    finetune: bool = False
    vanilla: dict[str, Any] = field(default_factory=dict)


class PruningBaseline(Method):
    """Starts from the vanilla network and, where its sparsity is to be matched, from what another method left."""

    def effort(self) -> float:
        """Nothing is trained but for fine-tuning."""
        return float(self.params.finetune)

    def upstream(self) -> dict[str, Upstream]:
        """The vanilla network, and the one to match."""
        params: PruningParams = self.params
        start = {"vanilla": Upstream("vanilla", params.vanilla)}
        if params.match is not None:
            vanilla = {"vanilla": params.vanilla} if params.vanilla else {}
            start["mask"] = Upstream(params.match, {**vanilla, **params.match_params})
        return start
