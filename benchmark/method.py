"""What a method is: what it declares it needs, its parameters, and one function that offers models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.task import NoParams, Task
from benchmark.tuning.space import Space

if TYPE_CHECKING:
    from benchmark.run import Run


@dataclass(frozen=True)
class Supervision:
    """What a method is given beyond the biased training images and their targets; printed beside every number.

    Attributes:
        bias_labels: The bias labels b of the training set.
        unbiased_split: A split of held-out training images in which every (y, b) is equally likely, with y and b.
    """

    bias_labels: bool = False
    unbiased_split: bool = False

    def __str__(self) -> str:
        """For tables: ``b on train + unbiased split``, or ``none``."""
        parts = [("b on train", self.bias_labels), ("unbiased split", self.unbiased_split)]
        return " + ".join(name for name, given in parts if given) or "none"


@dataclass(frozen=True)
class Upstream:
    """A cell whose artifact a method starts from: same task, rho, seed and protocol, another method.

    Attributes:
        method: Name of the method that makes it.
        params: Its parameters where they differ from its defaults.
    """

    method: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """Where a method comes from.

    Attributes:
        title: Name in tables.
        summary: One sentence.
        paper: Reference, or empty where there is none.
        url: Link to it.
    """

    title: str
    summary: str
    paper: str = ""
    url: str = ""


class Method(ABC):
    """A debiasing method. Subclass, fill the class variables, implement :meth:`run`, register.

    The module that declares a method must not import torch at its top: listing and planning load it.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """Raise it whenever the same parameters would give another model: old records become stale, not wrong."""
    card: ClassVar[Card]
    supervision: ClassVar[Supervision] = Supervision()
    Params: ClassVar[type[Any]] = NoParams
    """A frozen dataclass of the method's parameters, each with its default."""
    search_space: ClassVar[Space] = {}
    """Where a sweep that says ``default`` looks for parameters; empty where the method suggests nothing."""
    keeps_artifact: ClassVar[bool] = False
    """Whether the state of its last candidate is kept for methods that start from it."""

    def __init__(self, params: Any) -> None:
        """``params`` is an instance of ``Params``."""
        self.params = params

    def upstream(self) -> dict[str, Upstream]:
        """The cells it starts from, by the role they play; ``run.upstream[role]`` gives their artifacts."""
        return {}

    def not_applicable(self, task: Task) -> str | None:
        """Why it cannot run on this task, or ``None``. By default: it needs what the task does not have."""
        if (self.supervision.bias_labels or self.supervision.unbiased_split) and not task.biases:
            return f"needs bias labels, and {task.name} has none"
        if self.supervision.unbiased_split and "unbiased" not in task.splits:
            return f"needs an unbiased split, and {task.name} has none"
        return None

    def effort(self) -> float:
        """About how much it computes, training of the reference network being 1. Only guesses of time rest on it."""
        return 1.0

    @abstractmethod
    def run(self, run: Run) -> None:
        """Train, and offer every state worth choosing from with :meth:`benchmark.run.Run.offer`, at least one."""
