"""A run that is interrupted after any epoch and resumed ends as one that ran through, bit for bit."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.checkpoint import LAYOUT, Checkpoint, Interrupted, pickled
from benchmark.randomness import isolated, torch_stream

EPOCHS = 5


class Trainer:
    """Two phases that use all that a checkpoint must keep: momentum, schedules, batch norm, dropout, an order, and
    the global generators of torch, NumPy and Python."""

    def __init__(self, folder: Path, stop_after: int | None = None) -> None:
        self.left = 10**9 if stop_after is None else stop_after
        self.checkpoint = Checkpoint(folder / "checkpoint.pt", every=1e9, should_stop=self._should_stop)
        self.trained: list[tuple[str, int]] = []
        self.reported: list[tuple[str, int, int]] = []

    def _should_stop(self) -> bool:
        self.left -= 1
        return self.left == 0

    def run(self) -> dict[str, Any]:
        with isolated("a cell"):
            network = nn.Sequential(
                nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)
            )
            first = self._phase("first", network, torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9))
            between = copy.deepcopy(network.state_dict())  # what a method may look at, also when it resumes later
            second = self._phase("second", network, torch.optim.Adam(network.parameters(), lr=0.01))
            states = {"between": between, "network": network.state_dict()}
            return {**states, "first": first, "second": second, "next": float(torch.rand(()))}

    def _phase(self, name: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
        order = torch_stream("order", name)
        x = torch.rand(24, 1, 2, 2, generator=torch_stream("x"))
        state: dict[str, Any] = {"network": network, "optimizer": optimizer, "schedule": schedule, "order": order}
        for epoch in self.checkpoint.epochs(name, EPOCHS, state, lambda *report: self.reported.append(report)):
            self.trained.append((name, epoch))
            for index in torch.split(torch.randperm(24, generator=order), 8):
                noise = float(np.random.standard_normal()) + random.gauss(0, 1)  # noqa: NPY002
                loss = network(x[index] + noise).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
        return {"optimizer": optimizer.state_dict(), "order": order.get_state(), "rate": schedule.get_last_lr()}


def assert_equal(found: Any, expected: Any) -> None:
    """Deep equality, of tensors bit for bit."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        assert found == expected


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of a run that was never interrupted."""
    return Trainer(tmp_path_factory.mktemp("through")).run()


@pytest.mark.parametrize("stop_after", range(1, 2 * EPOCHS + 1))
def test_interrupted_once(tmp_path: Path, through: dict[str, Any], stop_after: int) -> None:
    stopped = Trainer(tmp_path, stop_after)
    with pytest.raises(Interrupted, match=r"checkpoint\.pt holds the progress"):
        stopped.run()
    resumed = Trainer(tmp_path)
    assert resumed.checkpoint.resumed
    assert_equal(resumed.run(), through)
    assert len(stopped.trained) == stop_after
    assert len(stopped.trained) + len(resumed.trained) == 2 * EPOCHS


def test_interrupted_after_every_single_epoch(tmp_path: Path, through: dict[str, Any]) -> None:
    trained = []
    for _ in range(2 * EPOCHS):
        trainer = Trainer(tmp_path, stop_after=1)
        with pytest.raises(Interrupted):
            trainer.run()
        trained += trainer.trained
    assert trained == [(name, epoch) for name in ("first", "second") for epoch in range(1, EPOCHS + 1)]
    assert_equal(Trainer(tmp_path).run(), through)


def test_a_run_that_dies_goes_on_from_the_last_save(tmp_path: Path, through: dict[str, Any]) -> None:
    """Saved after every epoch; it dies inside one, where no stop was asked for."""

    class Dies(Trainer):
        def _phase(self, name: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
            if name == "second":
                handle = network.register_forward_hook(self._die)
                try:
                    return super()._phase(name, network, optimizer)
                finally:
                    handle.remove()
            return super()._phase(name, network, optimizer)

        def _die(self, *_: object) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    dies = Dies(tmp_path)
    dies.checkpoint.every = 0
    dies.checkpoint.should_stop = lambda: False
    dies.left = 8  # three batches an epoch: in the third epoch of the second phase
    with pytest.raises(KeyboardInterrupt):
        dies.run()
    resumed = Trainer(tmp_path)
    assert_equal(resumed.run(), through)
    assert resumed.trained == [("second", 3), ("second", 4), ("second", 5)]


def test_nothing_is_written_before_a_save_is_due(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path)
    trainer.run()
    assert not trainer.checkpoint.path.exists()
    assert not trainer.checkpoint.resumed
    assert trainer.reported == [(name, epoch, EPOCHS) for name in ("first", "second") for epoch in range(1, EPOCHS + 1)]


@pytest.mark.parametrize("kept", [slice(0), slice(500), slice(-30), slice(100, None)])
def test_a_damaged_checkpoint_means_to_start_over(tmp_path: Path, through: dict[str, Any], kept: slice) -> None:
    with pytest.raises(Interrupted):
        Trainer(tmp_path, 3).run()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[kept])
    again = Trainer(tmp_path)
    assert not again.checkpoint.resumed
    assert_equal(again.run(), through)
    assert len(again.trained) == 2 * EPOCHS


def test_a_checkpoint_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harm",))

    (tmp_path / "checkpoint.pt").write_bytes(pickled({"layout": LAYOUT, "phases": {"first": Harm()}}))
    assert not Checkpoint(tmp_path / "checkpoint.pt").resumed
    assert not (tmp_path / "harm").exists()


def test_a_phase_that_stops_early_stays_stopped(tmp_path: Path) -> None:
    def run(stop_after: int | None) -> list[tuple[str, int]]:
        left = [stop_after]

        def should_stop() -> bool:
            left[0] = None if left[0] is None else left[0] - 1
            return left[0] == 0

        checkpoint, done = Checkpoint(tmp_path / "checkpoint.pt", should_stop=should_stop), []
        for phase in ("first", "second"):
            epochs = checkpoint.epochs(phase, 10, {}, lambda *_: None)
            for epoch in epochs:
                done.append((phase, epoch))
                if epoch == 2:
                    epochs.stop()
        return done

    with pytest.raises(Interrupted):
        run(3)  # in the second phase
    assert run(None) == [("second", 2)]


@pytest.mark.parametrize("nested", [True, False])
def test_a_phase_that_begins_inside_another_one_is_an_error(tmp_path: Path, nested: bool) -> None:
    """Its saves would hold a state of the outer one that is neither that of the last epoch nor of this one."""
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")

    def run() -> None:
        for epoch in checkpoint.epochs("outer", 3, {}, lambda *_: None):
            if epoch == 2:
                if not nested:
                    break
                list(checkpoint.epochs("inner", 2, {}, lambda *_: None))
        list(checkpoint.epochs("after", 2, {}, lambda *_: None))

    with pytest.raises(RuntimeError, match=r"runs before 'outer' has ended: .*left early by Epochs.stop\(\), not"):
        run()


def test_a_full_disk_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        Trainer(tmp_path, 1).run()
