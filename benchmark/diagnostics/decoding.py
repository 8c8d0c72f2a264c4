"""What linear probes read from the features: bias and target decodability, mutual information, both against depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from benchmark.diagnostics.features import BOTTLENECK
from benchmark.diagnostics.information import mutual_information
from benchmark.diagnostics.probe import Probe, fit_probe
from benchmark.diagnostics.subject import InapplicableError, Subject
from benchmark.task import columns_of

TARGET = "target"


@dataclass(frozen=True)
class _Attribute:
    """The target, or a bias attribute: its labels (N,) where probes are fitted and where they are scored."""

    name: str
    values: int
    fitting: torch.Tensor
    test: torch.Tensor


def decodability(subject: Subject) -> dict[str, Any]:
    """Accuracy of a fresh probe on z for the target and for every bias attribute, before and after.

    ``chance`` is the share of the attribute's most frequent value on test.
    """
    chance = {a.name: int(torch.bincount(a.test).max()) / len(a.test) for a in _attributes(subject)}
    return {**{model: _decoded(subject, model, BOTTLENECK) for model in subject.networks}, "chance": chance}


def depth(subject: Subject) -> dict[str, Any]:
    """:func:`decodability` at every site: a list from input to output, ended by z.

    Units of feature maps and tokens are averaged over positions first, so that every site is read in the same way; a
    probe with positions would read more.
    """
    return {
        model: [{"site": site, **_decoded(subject, model, site)} for site in fitting]
        for model, (fitting, _) in subject.features.items()
    }


def information(subject: Subject) -> dict[str, Any]:
    """Normalised mutual information of every bias attribute and the soft predictions of its probe on z, on test."""
    biases = [attribute for attribute in _attributes(subject) if attribute.name != TARGET]
    if not biases:
        raise InapplicableError(f"{subject.task.name} has no bias labels")
    result: dict[str, Any] = {}
    for model in subject.networks:
        z = subject.features[model][1][BOTTLENECK]
        logits = {bias.name: _probe(subject, model, BOTTLENECK, bias).logits(z).double() for bias in biases}
        result[model] = {bias.name: float(mutual_information(logits[bias.name], bias.test)) for bias in biases}
    return result


def _decoded(subject: Subject, model: str, site: str) -> dict[str, float]:
    z = subject.features[model][1][site]
    return {a.name: _probe(subject, model, site, a).accuracy(z, a.test) for a in _attributes(subject)}


def _probe(subject: Subject, model: str, site: str, attribute: _Attribute) -> Probe:
    return fit_probe(subject.features[model][0][site], attribute.fitting, attribute.values)


def _attributes(subject: Subject) -> list[_Attribute]:
    fitting, test = subject.fitting, subject.test
    attributes = [_Attribute(TARGET, len(subject.task.classes), fitting.y, test.y)]
    if fitting.b is not None and test.b is not None:
        columns = zip(columns_of(subject.task, "test"), fitting.b.unbind(1), test.b.unbind(1), strict=True)
        attributes += [_Attribute(bias.name, bias.values, *labels) for bias, *labels in columns]
    return attributes
