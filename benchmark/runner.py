"""Run one cell: task -> declared splits -> method -> candidates -> evaluation -> record."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark import accelerator
from benchmark.artifacts import Artifact, save_artifact
from benchmark.cell import Cell, method_of, supervision_of, task_of
from benchmark.checkpoint import Checkpoint
from benchmark.cost import Cost, compacted, count_weights, measure_cost
from benchmark.counts import Groups, IntArray, PackedCounts
from benchmark.data import Data
from benchmark.diagnostics.subject import Subject, starting_network
from benchmark.diagnostics.suite import diagnose
from benchmark.environment import environment
from benchmark.errors import DivergedError, PrunedError
from benchmark.evaluate import count, predictions
from benchmark.method import Method
from benchmark.metrics import score
from benchmark.network import Network
from benchmark.randomness import Dimension, isolated
from benchmark.record import Candidate, Record, Resources
from benchmark.run import Judge, Offer, Problem, Run
from benchmark.task import EVALUATED, Inputs, SplitName, Task, groups_of
from benchmark.watch import Watch
from benchmark.worker import Worker

RUSAGE_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes per unit of ``ru_maxrss``."""


def run_cell(
    cell: Cell,
    upstream: Mapping[str, Artifact],
    worker: Worker,
    report: Callable[[str, int, int], None],
    watch: Watch | None = None,
) -> Record:
    """Run a cell and store its artifact; storing the record is the caller's.

    Args:
        cell: What to run.
        upstream: Artifacts of the cells that it starts from, by role.
        worker: Where and how.
        report: Told (phase, epochs done, epochs in all) after every epoch.
        watch: Told the objective of every candidate while the method runs; changes nothing but whether it ends.

    Raises:
        PrunedError: ``watch`` finds the cell hopeless.
        Interrupted: The worker was asked to stop; the cell's checkpoint is saved.
        Exception: Whatever the task or the method raises.
    """
    torch.set_num_threads(worker.threads)
    accelerator.prepare(worker.device)
    task, method = task_of(cell), method_of(cell)
    checkpoint = Checkpoint(worker.store.checkpoint_path(cell.key), worker.checkpoint_seconds, worker.should_stop)
    streams: tuple[Dimension, ...] = (task.name, cell.rho, cell.seed)
    began = time.perf_counter()
    judge = None if watch is None else _judge(watch, cell, task, worker)
    with isolated(*streams, "cell", method.name):
        run = _handle(cell, task, method, upstream, worker, checkpoint, report, judge)
        method.run(run)
        trained = time.perf_counter()
        offers = list(run.offers.values())
        selectable = [offer for offer in offers if offer.selectable]
        if not selectable:
            raise ValueError(f"{method.name} offered no model: call run.offer(model, label) at least once")
        training = {
            phase: {name: tuple(values) for name, values in curves.items()}
            for phase, curves in run.logged.curves.items()
        }
        del run  # the training data; test is built only now
        counts, candidates, model, cost = _evaluate(offers, selectable[-1], cell, task, worker)
        evaluated = time.perf_counter()
        diagnostics = _diagnose(cell, task, model, upstream, worker)
    if method.keeps_artifact:
        backbone = model.backbone if isinstance(model, Network) else None
        artifact = Artifact(cell.key, model.state_dict(), backbone)
        save_artifact(worker.store.artifact_folder(cell.key), artifact)
    return Record(
        cell=cell,
        key=cell.key,
        status="done",
        supervision=supervision_of(cell),
        groups=groups_of(task),
        environment=environment(worker.device, worker.threads, accelerator.model_of(worker.device)),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        candidates=candidates,
        counts={split: PackedCounts.pack(table) for split, table in counts.items()},
        resources=Resources(
            train_seconds=trained - began,
            evaluate_seconds=evaluated - trained,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RUSAGE_UNIT,
            peak_gpu_memory_bytes=accelerator.peak_memory_bytes(worker.device),
            resumed=checkpoint.resumed,
            parameters=cost.parameters,
            weights=cost.weights,
            macs=cost.macs,
        ),
        training=training,
        diagnostics=diagnostics,
    )


def _handle(
    cell: Cell,
    task: Task,
    method: Method,
    upstream: Mapping[str, Artifact],
    worker: Worker,
    checkpoint: Checkpoint,
    report: Callable[[str, int, int], None],
    judge: Judge | None,
) -> Run:
    """The method's view of the cell: the splits that it declared, and no others, are built here."""
    needs = method.supervision
    inputs, backbone, device = task.inputs(), task.backbone(), torch.device(worker.device)
    setting = cell.setting(worker.data_root)
    problem = Problem(
        classes=len(task.classes),
        biases=task.biases if needs.bias_labels or needs.unbiased_split else (),
        rho=cell.rho if needs.bias_labels else None,
        inputs=inputs,
        backbone=backbone,
        reference=task.recipe(cell.rho),
        protocol=cell.protocol,
    )
    layout = backbone.layout
    train = Data(task.split("train", setting), inputs, device, layout, with_bias=needs.bias_labels)
    unbiased = None
    if needs.unbiased_split:
        unbiased = Data(task.split("unbiased", setting), inputs, device, layout, with_bias=True)
    return Run(
        problem=problem,
        train=train,
        unbiased=unbiased,
        upstream=upstream,
        checkpoint=checkpoint,
        spool=worker.store.work_folder(cell.key) / "candidates",
        streams=(task.name, cell.rho, cell.seed),
        device=device,
        precision=cell.precision,
        report=report,
        judge=judge,
    )


def _judge(watch: Watch, cell: Cell, task: Task, worker: Worker) -> Judge:
    """Scores what the method offers on the validation split of the objective, which is built at the first offer."""
    objective, groups = watch.objective, groups_of(task)
    built: list[Data] = []

    def judge(offer: Offer, step: int, left: int) -> None:
        with isolated("judge"):
            if not built:
                built.append(_data(objective.split, cell, task, worker))
            value = float(
                score(objective.metric, _table(offer.label, offer.load(worker.device), built[0], groups), groups)
            )
        if math.isnan(value):
            return
        if left == 0:
            watch.report(step, value)  # nothing would be saved
        elif watch.hopeless(step, value):
            raise PrunedError(
                f"{objective.name} is {value:.4g} at candidate {offer.label!r}, below the median of other trials"
            )

    return judge


def _data(split: SplitName, cell: Cell, task: Task, worker: Worker) -> Data:
    """A split with its bias labels, for scoring."""
    device, layout = torch.device(worker.device), task.backbone().layout
    return Data(task.split(split, cell.setting(worker.data_root)), task.inputs(), device, layout, with_bias=True)


def _evaluate(
    offers: Sequence[Offer], last: Offer, cell: Cell, task: Task, worker: Worker
) -> tuple[dict[SplitName, IntArray], tuple[Candidate, ...], nn.Module, Cost]:
    """Score all candidates on every evaluated split that the task has; each is loaded once.

    Returns:
        Count tables (candidates, C, B, C) by split, the candidates, and the ``last`` one with its cost.
    """
    inputs, groups, device = task.inputs(), groups_of(task), torch.device(worker.device)
    splits = {name: _data(name, cell, task, worker) for name in EVALUATED if name in task.splits}
    sample = _sample(inputs, device)
    tables: dict[SplitName, list[IntArray]] = {name: [] for name in splits}
    candidates = []
    for offer in offers:
        model = offer.load(device)
        for name, data in splits.items():
            tables[name].append(_table(offer.label, model, data, groups))
        dense, _ = count_weights(model)
        smaller = compacted(model)
        cost = measure_cost(smaller, sample)
        candidates.append(_candidate(offer, cost, dense))
        if offer is last:
            final, dense_cost = model, cost if smaller is model else measure_cost(model, sample)
    return {name: np.stack(rows) for name, rows in tables.items()}, tuple(candidates), final, dense_cost


def _diagnose(
    cell: Cell, task: Task, model: nn.Module, upstream: Mapping[str, Artifact], worker: Worker
) -> dict[str, Any]:
    """What the cell asks for beside its predictions."""
    if not cell.diagnostics:
        return {}
    device = torch.device(worker.device)
    subject = Subject(
        task=task,
        setting=cell.setting(worker.data_root),
        groups=groups_of(task),
        after=model,
        before=starting_network(task, upstream, device),
        device=device,
    )
    return diagnose(cell.diagnostics, subject)


def _table(label: str, model: nn.Module, data: Data, groups: Groups) -> IntArray:
    """Counts (C, B, C) of a candidate.

    Raises:
        DivergedError: It gives logits that are NaN or infinite.
        ValueError: It does not give a logit per class.
    """
    try:
        return count(predictions(model, data, groups.classes), data, groups)
    except DivergedError as error:
        raise DivergedError(f"candidate {label!r}: {error}") from error


def _sample(inputs: Inputs, device: torch.device) -> torch.Tensor:
    """An input of the right shape; what is in it does not matter where only operations are counted."""
    dtype = torch.float32 if len(inputs.shape) == 3 else torch.int64
    return torch.zeros((1, *inputs.shape), dtype=dtype, device=device)


def _candidate(offer: Offer, cost: Cost, dense: int) -> Candidate:
    """What the record keeps of a candidate beside its counts; ``dense`` counts the weights of masked units too."""
    return Candidate(
        label=offer.label,
        info={name: value if math.isfinite(value) else None for name, value in offer.info.items()},
        selectable=offer.selectable,
        sparsity=1 - cost.nonzero / dense if dense else 0.0,
        macs=cost.macs,
    )
