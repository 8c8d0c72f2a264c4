"""Runs of a method that differ in gamma alone: the trials of a tuning, and results."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from leaderboard.board import Entry, Section
from leaderboard.page.diagnostics import diagnostics_of
from leaderboard.page.values import mean, parsed

FEWEST = 3
"""Gammas that make a curve."""


@dataclass
class Sweep:
    """Everything of a method that differs in gamma alone.

    Attributes:
        method: Its name.
        variant: Its other parameters, where they differ from the defaults.
        trials: Of a tuning, one seed each.
        results: What counts, over all seeds.
        pruned: Gammas of trials that were ended early.
    """

    method: str
    variant: str
    trials: list[tuple[float, Entry]] = field(default_factory=list)
    results: list[tuple[float, Entry]] = field(default_factory=list)
    pruned: list[float] = field(default_factory=list)

    @property
    def curve(self) -> list[tuple[float, Entry]]:
        """What is joined by lines: the trials, or the results where there are none."""
        return sorted(self.trials or self.results, key=lambda run: run[0])


def sweeps(section: Section, rule: str) -> list[Sweep]:
    """Methods that were tried at three or more positive gammas, by name; scores by the rule."""
    found: dict[str, Sweep] = {}
    results = [entry for entry in section.current.values() if entry.has(section.headline, rule)]
    is_result = {id(entry) for entry in results}
    for entry in (*section.trials, *results):
        value = entry.params.get("gamma")
        if not isinstance(value, int | float) or value <= 0:
            continue
        others = {name: other for name, other in entry.params.items() if name != "gamma"}
        identity = json.dumps([entry.method, entry.version, others], sort_keys=True)
        variant = ", ".join(part for part in entry.variant.split(", ") if part and not part.startswith("gamma="))
        sweep = found.setdefault(identity, Sweep(entry.method, variant))
        if id(entry) in is_result:
            sweep.results.append((float(value), entry))
        elif entry.has(section.headline, rule):
            sweep.trials.append((float(value), entry))
        elif any(reason.startswith("pruned") for reason in entry.failures.values()):
            sweep.pruned.append(float(value))
    curves = [sweep for sweep in found.values() if len({value for value, _ in sweep.curve}) >= FEWEST]
    return sorted(curves, key=lambda sweep: (sweep.method, sweep.variant))


def bias_accuracy(entry: Entry, rule: str) -> float | None:
    """Of fresh probes for the biases on the final features if that was measured; else what the method reports."""
    decoded = [m["after"] for m in diagnostics_of(entry).get("measures", ()) if _is_of_a_bias(m)]
    reported = mean(parsed(row["info"]).get("bias_accuracy") for row in entry.by_rule.get(rule, {}).values())
    return mean(decoded) if decoded else reported


def _is_of_a_bias(measure: dict[str, object]) -> bool:
    return measure["name"] == "decodability" and measure["attribute"] != "target"
