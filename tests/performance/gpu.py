"""Training steps on a GPU, in every way that could make them faster: ``make bench-gpu``.

For each network: the harness's step (data on the device, an index gather, fused normalisation, a fused optimiser, no
host synchronisation inside an epoch) in fp32, with TF32, in bf16, and the last of these compiled by ``torch.compile``
and replayed as a CUDA graph. Prints milliseconds a step and images a second.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import click
import torch
from torch import nn
from torch.nn import functional

from benchmark import accelerator
from benchmark.data import Data
from benchmark.task import Backbone, Inputs
from benchmark.training import make_optimizer
from tests.performance.measure import WALL
from tests.performance.steps import ADAM, CONVNET, MLP, RESNET, images, make_run

CASES: tuple[tuple[str, Backbone, int, int], ...] = (
    ("MLP, batch 64", MLP, 28, 64),
    ("MLP, batch 256", MLP, 28, 256),
    ("simple conv net, batch 256", CONVNET, 28, 256),
    ("ResNet-18, batch 256", RESNET, 32, 256),
)


@dataclass(frozen=True)
class Variant:
    """How a step is taken.

    Attributes:
        name: In the table.
        tf32: Whether fp32 products may be rounded to TF32.
        bf16: Whether the forward pass runs in bf16.
        compiled: Whether the network goes through ``torch.compile``.
        graphed: Whether the whole step is replayed as a CUDA graph.
    """

    name: str
    tf32: bool = False
    bf16: bool = False
    compiled: bool = False
    graphed: bool = False


EAGER = (Variant("fp32"), Variant("bf16", tf32=True, bf16=True))
"""Those that a CPU can do too."""
VARIANTS = (
    EAGER[0],
    Variant("fp32, TF32 products", tf32=True),
    EAGER[1],
    Variant("bf16, compiled", tf32=True, bf16=True, compiled=True),
    Variant("bf16, CUDA graph", tf32=True, bf16=True, graphed=True),
)


@contextmanager
def _products(tf32: bool) -> Iterator[None]:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def stepper(
    data: Data, backbone: Backbone, batch: int, variant: Variant
) -> tuple[nn.Module, Callable[[torch.Tensor], None]]:
    """A network and a function that takes one of its training steps on the samples at an index (batch,)."""
    run = make_run(data, backbone, replace(ADAM, batch_size=batch), precision="bf16" if variant.bf16 else "fp32")
    network = run.network().train()
    forward: Callable[[torch.Tensor], torch.Tensor] = torch.compile(network) if variant.compiled else network
    optimizer = make_optimizer(network.parameters(), ADAM)
    if variant.graphed:
        for group in optimizer.param_groups:
            group["capturable"] = True

    def step(index: torch.Tensor) -> None:
        one = data.batch(index)
        with run.autocast():
            loss = functional.cross_entropy(forward(one.x), one.y)
        optimizer.zero_grad(set_to_none=not variant.graphed)
        loss.backward()
        optimizer.step()

    return network, _graphed(step, batch, data.device) if variant.graphed else step


def _graphed(step: Callable[[torch.Tensor], None], batch: int, device: torch.device) -> Callable[[torch.Tensor], None]:
    """The step as a CUDA graph that reads its index from a fixed place."""
    index = torch.arange(batch, device=device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(index)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(index)

    def replay(wanted: torch.Tensor) -> None:
        index.copy_(wanted)
        graph.replay()

    return replay


def seconds_a_step(
    case: tuple[str, Backbone, int, int], variant: Variant, device: torch.device, *, steps: int = 200, repeats: int = 5
) -> float:
    """Median over ``repeats`` of the time of ``steps`` steps; the host waits for the device after the last one only."""
    _, backbone, size, batch = case
    inputs = Inputs((3, size, size))
    data = Data(images(batch * 8, inputs), inputs, device, backbone.layout, with_bias=False)
    with _products(variant.tf32):
        _, step = stepper(data, backbone, batch, variant)
        order = [torch.randperm(len(data)).to(device)[:batch] for _ in range(steps)]
        times = []
        for _ in range(1 + repeats):
            began = WALL()
            for index in order:
                step(index)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append((WALL() - began) / steps)
    return statistics.median(times[1:])


def rows(device: torch.device, variants: Sequence[Variant], **options: int) -> Iterator[list[str]]:
    """The table, a row as soon as it is measured: name, variant, milliseconds a step, images a second, of the first."""
    for case in CASES:
        first: float | None = None
        for variant in variants:
            seconds = seconds_a_step(case, variant, device, **options)
            first = first or seconds
            speed = f"{case[3] / seconds:,.0f}"
            yield [case[0], variant.name, f"{1e3 * seconds:.3g}", speed, f"{first / seconds:.2f}x"]


def main() -> None:
    """Measure on the first GPU."""
    if not torch.cuda.is_available():
        sys.exit("no CUDA device is here; `debias-bench doctor` lists the devices")
    accelerator.prepare("cuda")
    click.echo(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}")
    line = "{:<28} {:<22} {:>10} {:>16} {:>8}".format
    click.echo(line("network", "variant", "ms a step", "images a second", "of fp32"))
    for row in rows(torch.device("cuda"), VARIANTS):
        click.echo(line(*row))


if __name__ == "__main__":
    main()
