"""Grad-CAM (Selvaraju et al., ICCV 2017): which places of an image speak for the predicted class."""

from __future__ import annotations

import base64
from typing import Any

import torch

from benchmark.diagnostics.features import evaluating, outputs_of
from benchmark.diagnostics.subject import InapplicableError, Subject
from benchmark.network import Network, Site
from benchmark.task import columns_of

IMAGES = 8


def gradcam(subject: Subject) -> dict[str, Any]:
    """Maps of the first bias-conflicting test images at the last site with feature maps, before and after.

    Maps are stored at the site's resolution, uint8, each scaled to its maximum: base64 of row-major bytes with the
    shape beside it (:func:`unpack`).
    """
    index = _conflicting(subject)[:IMAGES]
    batch = subject.test.batch(index)
    result: dict[str, Any] = {"images": index.tolist(), "y": batch.y.tolist()}
    for name, network in subject.networks.items():
        site = _last_maps(network, batch.x)
        maps, predicted = cam(network, site, batch.x)
        data = base64.b64encode(maps.cpu().numpy().tobytes()).decode()
        result[name] = {"site": site.module, "predicted": predicted.tolist(), "shape": list(maps.shape), "maps": data}
    return result


def unpack(entry: dict[str, Any]) -> torch.Tensor:
    """The maps (images, height, width), uint8, of one model's entry in a record."""
    raw = bytearray(base64.b64decode(entry["maps"]))
    return torch.frombuffer(raw, dtype=torch.uint8).view(entry["shape"])


def cam(network: Network, site: Site, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Grad-CAM of the predicted class, uint8 (N, height, width), and that class (N,).

    A map is relu(sum over units of (mean over places of d logit / d unit) * unit), divided by its maximum; a map
    without positive places is 0 everywhere.
    """
    with torch.enable_grad(), evaluating(network), outputs_of(network, (site,)) as outputs:
        logits = network(x.detach().requires_grad_())  # so that there is a graph where all weights are frozen
        predicted = logits.argmax(1)
        maps = outputs[site.module]
        (gradient,) = torch.autograd.grad(logits.gather(1, predicted[:, None]).sum(), maps)
    weighted = (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1).clamp(min=0)
    peak = weighted.amax((1, 2), keepdim=True)
    scaled = torch.where(peak > 0, weighted / peak.clamp(min=torch.finfo(peak.dtype).tiny), 0.0)
    return (scaled * 255).round().to(torch.uint8), predicted


def _conflicting(subject: Subject) -> torch.Tensor:
    """Positions of the test samples that conflict in every bias attribute."""
    y, b = subject.test.y, subject.test.b
    if b is None or not subject.task.biases:
        raise InapplicableError(f"{subject.task.name} has no bias labels")
    aligned = torch.tensor([bias.aligned for bias in columns_of(subject.task, "test")], device=subject.device).t()
    index = (aligned[y] != b).all(1).nonzero().flatten()
    if len(index) == 0:
        raise InapplicableError("no test sample is bias-conflicting")
    return index


def _last_maps(network: Network, x: torch.Tensor) -> Site:
    with torch.no_grad(), evaluating(network), outputs_of(network, network.sites) as outputs:
        network(x[:1])
    maps = [site for site in network.sites if outputs[site.module].ndim == 4]
    if not maps:
        raise InapplicableError("no site of the network has feature maps")
    return maps[-1]
