"""The run handle: candidates of any architecture, and an interrupted cell that still has all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.checkpoint import Checkpoint, Interrupted
from benchmark.data import Batch, Data
from benchmark.protocol import PROTOCOLS
from benchmark.run import Problem, Run
from benchmark.task import Backbone, Inputs, Recipe, Split
from benchmark.training import cross_entropy, fit

INPUTS = Inputs((1, 2, 2))
EPOCHS = 3


def make_run(folder: Path, stop_after: int | None = None) -> Run:
    """A cell with 20 random images of 2 classes that is asked to stop after so many epochs."""
    draws = np.random.default_rng(0)
    split = Split(
        draws.integers(0, 256, (20, 1, 2, 2), dtype=np.uint8),
        draws.integers(0, 2, 20),
        np.zeros((20, 0), np.int64),
    )
    epochs_left = [EPOCHS * 10 if stop_after is None else stop_after]

    def should_stop() -> bool:
        epochs_left[0] -= 1
        return epochs_left[0] == 0

    device = torch.device("cpu")
    return Run(
        problem=Problem(
            classes=2,
            biases=(),
            rho=None,
            inputs=INPUTS,
            backbone=Backbone("tasks.backbones.mlp:mlp", {"widths": [3]}),
            reference=Recipe("adam", 0.01, batch_size=8, epochs=EPOCHS),
            protocol=PROTOCOLS["paper"],
        ),
        train=Data(split, INPUTS, device, with_bias=False),
        unbiased=None,
        upstream={},
        checkpoint=Checkpoint(folder / "checkpoint.pt", should_stop=should_stop),
        spool=folder / "candidates",
        streams=("toy", None, 0),
        device=device,
        precision="fp32",
        report=lambda phase, done, total: None,
    )


def train(run: Run) -> None:
    """Offer the network after each epoch, and one of another architecture at the start."""
    run.offer(run.network(Backbone("tasks.backbones.mlp:mlp", {"widths": [5, 4]})), "other", selectable=False, size=5)
    network = run.network()
    fit(run, network, run.train, run.problem.recipe, on_epoch=lambda e: run.offer(network, f"epoch {e}", epoch=e))


def through_and_resumed(folder: Path, stop_after: int) -> tuple[Run, Run]:
    """The cell trained without interruption, and stopped after so many epochs and resumed."""
    through = make_run(folder / "through")
    train(through)
    with pytest.raises(Interrupted):
        train(make_run(folder / "stopped", stop_after))
    resumed = make_run(folder / "stopped")
    train(resumed)
    return through, resumed


def outputs(run: Run) -> dict[str, torch.Tensor]:
    x = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return {label: offer.load("cpu")(x).detach() for label, offer in run.offers.items()}


def test_candidates_may_differ_in_architecture(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    train(run)
    assert list(run.offers) == ["other", "epoch 1", "epoch 2", "epoch 3"]
    assert run.offers["other"].load("cpu").feature_dim == 4
    assert run.offers["epoch 1"].load("cpu").feature_dim == 3
    assert [offer.selectable for offer in run.offers.values()] == [False, True, True, True]
    assert run.offers["other"].info == {"size": 5}


def test_candidates_beyond_what_memory_may_hold_are_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, spooled = make_run(tmp_path / "kept"), make_run(tmp_path / "spooled")
    train(kept)
    one = max(len(offer.model) for offer in kept.offers.values() if isinstance(offer.model, bytes))
    monkeypatch.setattr("benchmark.run.KEPT_BYTES", one)
    train(spooled)
    assert [isinstance(offer.model, bytes) for offer in spooled.offers.values()] == [True, False, False, False]
    assert len(list((tmp_path / "spooled" / "candidates").iterdir())) == 3
    expected, found = outputs(kept), outputs(spooled)
    assert all(torch.equal(found[label], expected[label]) for label in expected)


def test_a_candidate_keeps_the_state_that_it_was_offered_in(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    train(run)
    scores = outputs(run)
    assert not torch.equal(scores["epoch 1"], scores["epoch 2"])


@pytest.mark.parametrize("memory", [0, 1 << 20])
@pytest.mark.parametrize("stop_after", [1, 2, EPOCHS])
def test_an_interrupted_cell_offers_what_one_that_ran_through_offers(
    tmp_path: Path, stop_after: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.run.KEPT_BYTES", memory)
    through, resumed = through_and_resumed(tmp_path, stop_after)
    assert list(resumed.offers) == list(through.offers)
    expected, found = outputs(through), outputs(resumed)
    for label, offer in through.offers.items():
        assert torch.equal(found[label], expected[label])
        assert resumed.offers[label].info == offer.info
        assert resumed.offers[label].selectable == offer.selectable


def test_an_offer_takes_the_place_of_an_earlier_one_with_its_label(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    network = run.network()
    run.offer(network, "final")
    with torch.no_grad():
        network.classifier.bias.fill_(7)
    run.offer(network, "final", again=1)
    (offer,) = run.offers.values()
    assert offer.info == {"again": 1}
    assert (offer.load("cpu").classifier.bias == 7).all()


def test_the_log_has_the_mean_loss_of_every_epoch(tmp_path: Path) -> None:
    run, seen = make_run(tmp_path), []

    def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        value = cross_entropy(logits, batch)
        seen.append(value.item())
        return value

    fit(run, run.network(), run.train, run.problem.recipe, phase="first", loss=loss)
    means = np.array(seen).reshape(EPOCHS, 3).mean(1)  # 20 images in batches of 8
    assert run.logged.curves == {"first": {"loss": pytest.approx(means, rel=1e-4)}}


@pytest.mark.parametrize("stop_after", [1, 2, EPOCHS])
def test_an_interrupted_cell_logs_every_epoch_once(tmp_path: Path, stop_after: int) -> None:
    through, resumed = through_and_resumed(tmp_path, stop_after)
    assert len(through.logged.curves["training"]["loss"]) == EPOCHS
    assert resumed.logged.curves == through.logged.curves


def test_what_json_cannot_hold_is_logged_as_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.log("masks", loss=1 / 3, tau=float("inf"))
    run.log("masks", loss=float("nan"), tau=0.1)
    assert run.logged.curves == {"masks": {"loss": [0.33333, None], "tau": [None, 0.1]}}


def test_epochs_of_a_phase_log_the_same_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.log("masks", loss=1.0)
    with pytest.raises(ValueError, match=r"logs \['tau'\]; earlier ones log \['loss'\]"):
        run.log("masks", tau=1.0)
