"""BISE as a whole on the toy task: schedule, honesty, interruption, and that it removes the shortcut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Interrupted
from benchmark.data import Batch, Data
from benchmark.diagnostics.information import mutual_information
from benchmark.diagnostics.probe import decodability
from benchmark.evaluate import predictions
from benchmark.protocol import Protocol
from benchmark.run import Run
from benchmark.training import fit
from methods.bise import Bise, BiseParams, BiseUnsupervised, BiseUnsupervisedParams
from methods.bise.algorithm import information_penalty
from methods.bise.labels import given_labels
from methods.shared.bias_head import BiasHead, HeadSettings
from methods.shared.masks import MaskedNetwork, read_masks
from methods.shared.recipes import vanilla_recipe

ToyRun = Callable[..., Run]
ToyVanilla = Callable[..., Artifact]
TENTH = Protocol("tenth", 0.1, None, None, None, candidates=2)
QUICK = {"pretrain_epochs": 15, "refine_epochs": 10, "period": 6}
TAUS = ["tau 1", "tau 0.5", "tau 0.25", "tau 0.125", "tau 0.0625", "tau 0.03125", "tau 0.015625", "tau 0.0078125",
        "tau 0.00390625"]  # fmt: skip


def states(run: Run) -> dict[str, dict[str, torch.Tensor]]:
    return {label: offer.load("cpu").state_dict() for label, offer in run.offers.items()}


def same(first: Run, second: Run) -> bool:
    """Whether two runs offered the same models under the same labels with the same numbers."""
    infos = [[(offer.label, offer.info) for offer in run.offers.values()] for run in (first, second)]
    if infos[0] != infos[1]:
        return False
    a, b = states(first), states(second)
    return all(torch.equal(a[label][name], b[label][name]) for label in a for name in a[label])


def executed(method: Bise | BiseUnsupervised, run: Run) -> Run:
    method.run(run)
    return run


def test_it_offers_a_pruned_network_at_each_of_ten_temperatures(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    run = executed(Bise(BiseParams()), toy_run(Bise.supervision, upstream={"vanilla": toy_vanilla()}, protocol=TENTH))
    assert list(run.offers) == [*TAUS, "final"]
    for label, offer in list(run.offers.items())[:-1]:
        assert f"tau {offer.info['tau']:g}" == label
    model = run.offers["final"].load("cpu")
    assert isinstance(model, MaskedNetwork)
    masks = read_masks(model.state_dict())
    removed = sum(int((~kept).sum()) for kept in masks.values())
    assert run.offers["final"].info["pruned_share"] == pytest.approx(removed / 48, abs=1e-12)


def test_epochs_are_scaled_and_the_head_is_refined_between_temperatures(
    toy_run: ToyRun, toy_vanilla: ToyVanilla
) -> None:
    done: list[tuple[str, int, int]] = []
    for protocol in (TENTH, replace(TENTH, epoch_share=0.2)):
        run = toy_run(
            Bise.supervision, upstream={"vanilla": toy_vanilla()}, protocol=protocol, samples=200,
            folder=str(protocol.epoch_share), report=lambda *progress: done.append(progress),
        )  # fmt: skip
        executed(Bise(BiseParams()), run)
    phases = [(phase, total) for phase, epoch, total in done if epoch == total]
    assert phases == [("bias head", 5), ("masks", 10), ("bias head", 10), ("masks", 20)]


@pytest.mark.parametrize("params", [{}, {"finetune": True}, {"no_mi": True, "label_noise": 0.1}])
def test_an_interrupted_run_offers_what_an_uninterrupted_one_offers(
    toy_run: ToyRun, toy_vanilla: ToyVanilla, params: dict[str, object]
) -> None:
    method, options = Bise(BiseParams(**params)), {"upstream": {"vanilla": toy_vanilla()}, "protocol": TENTH}
    whole = executed(method, toy_run(method.supervision, samples=300, **options))
    legs = 0
    while True:  # every leg does one epoch of one phase
        run = toy_run(method.supervision, samples=300, folder="legs", should_stop=lambda: True, **options)
        try:
            method.run(run)
            break
        except Interrupted:
            legs += 1
    assert legs >= 10
    assert same(run, whole)


def test_an_interrupted_run_without_labels_guesses_the_same_bias(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    method = BiseUnsupervised(BiseUnsupervisedParams(bias_epochs=20))
    options = {"upstream": {"vanilla": toy_vanilla()}, "protocol": TENTH, "samples": 300}
    whole = executed(method, toy_run(method.supervision, **options))
    for stop_at in (1, 2, 5, 13):
        left = [stop_at]

        def should_stop() -> bool:
            left[0] -= 1  # noqa: B023
            return left[0] == 0  # noqa: B023

        folder = f"stopped at {stop_at}"
        with pytest.raises(Interrupted):
            method.run(toy_run(method.supervision, folder=folder, should_stop=should_stop, **options))
        assert same(executed(method, toy_run(method.supervision, folder=folder, **options)), whole)


def test_the_same_seed_gives_the_same_masks_and_another_seed_others(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    method = Bise(BiseParams())
    options = {"upstream": {"vanilla": toy_vanilla()}, "protocol": TENTH, "samples": 300}
    state = torch.get_rng_state()
    first, second, other = (
        executed(method, toy_run(method.supervision, folder=folder, seed=seed, **options))
        for folder, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert same(first, second)
    assert not same(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("params", "changed"),
    [
        ({"no_mi": True}, True),
        ({"no_reweight": True}, True),
        ({"label_noise": 0.3}, True),
        ({"label_noise": 0.0}, False),
    ],
)
def test_variants_change_what_is_learned(
    toy_run: ToyRun, toy_vanilla: ToyVanilla, params: dict[str, object], changed: bool
) -> None:
    options = {"upstream": {"vanilla": toy_vanilla()}, "protocol": TENTH}
    plain = executed(Bise(BiseParams()), toy_run(Bise.supervision, **options))
    variant = executed(Bise(BiseParams(**params)), toy_run(Bise.supervision, folder="variant", **options))
    assert same(plain, variant) != changed


def test_the_penalty_is_gamma_times_the_summed_information_of_conflicting_samples(toy_run: ToyRun) -> None:
    run = toy_run(Bise.supervision, biases=2, level=0.5)
    labels = given_labels(run, 0.0)
    head = BiasHead(6, (4, 4), HeadSettings(0.1, 0.9, 0.0), torch.Generator().manual_seed(0), run.device)
    z = torch.randn(100, 6, generator=torch.Generator().manual_seed(1))
    batch = run.train.batch(torch.arange(100, 200))
    expected = 0.0
    for logits, b in zip(head.linear(z).split(4, 1), batch.b.unbind(1), strict=True):
        conflicting = b != batch.y
        assert 20 < int(conflicting.sum()) < 80
        expected += 7.0 * mutual_information(logits[conflicting], b[conflicting]).item()
    assert information_penalty(head, labels, 7.0)(z, batch).item() == pytest.approx(expected, rel=1e-5)


def test_without_the_information_no_bias_head_is_trained(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    phases: list[str] = []
    run = toy_run(
        Bise.supervision, upstream={"vanilla": toy_vanilla()}, protocol=TENTH, samples=200,
        report=lambda phase, done, total: phases.append(phase),
    )  # fmt: skip
    executed(Bise(BiseParams(no_mi=True)), run)
    assert set(phases) == {"masks"}


def test_fine_tuning_trains_the_kept_units_and_leaves_the_masks(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    options = {"upstream": {"vanilla": toy_vanilla()}, "protocol": replace(TENTH, epoch_share=0.3), "samples": 300}
    plain = executed(Bise(BiseParams()), toy_run(Bise.supervision, **options))
    tuned = executed(Bise(BiseParams(finetune=True)), toy_run(Bise.supervision, folder="tuned", **options))
    assert list(tuned.offers) == ["epoch 1", "epoch 2", "final"]
    before, after = states(plain)["final"], states(tuned)["final"]
    masks = {name for name in after if name.startswith("mask.")}
    assert all(torch.equal(after[name], before[name]) for name in masks)
    assert all(not torch.equal(after[name], before[name]) for name in after.keys() - masks)
    weights = [after[name] for name in after if name.endswith("weight")]
    assert all(bool(torch.isfinite(weight).all()) for weight in weights)


def test_fine_tuning_descends_the_reweighted_loss(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    options = {"upstream": {"vanilla": toy_vanilla()}, "protocol": TENTH, "samples": 300}
    tuned = executed(Bise(BiseParams(finetune=True)), toy_run(Bise.supervision, folder="tuned", **options))
    run = executed(Bise(BiseParams()), toy_run(Bise.supervision, **options))
    network = run.offers["final"].load("cpu")
    weights = given_labels(run, 0.0).weights

    def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        chosen = torch.log_softmax(logits, 1)[torch.arange(len(batch.y)), batch.y]
        return -(weights[batch.index] * chosen).sum() / len(batch.y)

    fit(run, network, run.train, run.problem.recipe, phase="fine-tuning", loss=loss)
    expected = states(tuned)["final"]
    assert all(torch.allclose(tensor, expected[name], atol=1e-5) for name, tensor in network.state_dict().items())


def test_masks_are_those_of_a_vanilla_network_whose_weights_stay(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    vanilla = toy_vanilla()
    before = {name: tensor.clone() for name, tensor in vanilla.state.items()}
    run = executed(Bise(BiseParams()), toy_run(Bise.supervision, upstream={"vanilla": vanilla}, protocol=TENTH))
    for state in (vanilla.state, states(run)["tau 1"], states(run)["final"]):
        assert all(torch.equal(state[name], before[name]) for name in before)


def test_fine_tuning_takes_the_recipe_of_the_vanilla_it_starts_from(toy_run: ToyRun) -> None:
    run = toy_run(Bise.supervision)
    assert vanilla_recipe(run, {}) == run.problem.recipe
    found = vanilla_recipe(run, {"weight_decay": 0.5, "hidden_layers": 3})
    assert found == replace(run.problem.recipe, weight_decay=0.5)
    assert Bise(BiseParams(vanilla={"weight_decay": 0.5})).upstream()["vanilla"].params == {"weight_decay": 0.5}


def test_half_precision_gives_finite_networks(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    run = toy_run(Bise.supervision, upstream={"vanilla": toy_vanilla()}, protocol=TENTH, samples=300, precision="bf16")
    masks = read_masks(states(executed(Bise(BiseParams()), run))["final"])
    assert all(mask.dtype == torch.bool for mask in masks.values())


def conflicting_accuracy(model: torch.nn.Module, test: Data) -> float:
    return (predictions(model, test) == test.y)[test.b[:, 0] != test.y].double().mean().item()


def bias_accuracy(model: torch.nn.Module, test: Data) -> float:
    with torch.no_grad():
        z = model.eval().encoder(test.normalise(test.x))
    b = test.b[:, 0]
    return decodability(z[:1000], b[:1000], z[1000:], b[1000:], 4)


def test_it_makes_conflicting_samples_right_and_the_bias_harder_to_read(
    toy_run: ToyRun, toy_vanilla: ToyVanilla, toy_test: Callable[..., Data]
) -> None:
    gains, falls = [], []
    for seed in range(4):
        test, vanilla = toy_test(seed=seed), toy_vanilla(seed=seed)
        run = toy_run(Bise.supervision, folder=str(seed), seed=seed, upstream={"vanilla": vanilla})
        pruned = executed(Bise(BiseParams(**QUICK)), run).offers["final"].load("cpu")
        before = run.network(start=vanilla)
        gains.append(conflicting_accuracy(pruned, test) - conflicting_accuracy(before, test))
        falls.append(bias_accuracy(before, test) - bias_accuracy(pruned, test))
    assert sum(gain > 0 for gain in gains) >= 3
    assert sum(gains) / 4 > 0.015
    assert sum(falls) / 4 > 0.001


def test_fine_tuning_makes_far_more_conflicting_samples_right(
    toy_run: ToyRun, toy_vanilla: ToyVanilla, toy_test: Callable[..., Data]
) -> None:
    test, vanilla = toy_test(), toy_vanilla()
    run = toy_run(Bise.supervision, upstream={"vanilla": vanilla})
    tuned = executed(Bise(BiseParams(finetune=True, **QUICK)), run).offers["final"].load("cpu")
    assert conflicting_accuracy(tuned, test) > conflicting_accuracy(run.network(start=vanilla), test) + 0.1


def test_without_bias_labels_it_still_helps(
    toy_run: ToyRun, toy_vanilla: ToyVanilla, toy_test: Callable[..., Data]
) -> None:
    test = toy_test()
    method = BiseUnsupervised(BiseUnsupervisedParams(bias_epochs=2, finetune=True, **QUICK))
    run = toy_run(method.supervision, upstream={"vanilla": toy_vanilla()})
    assert run.train.b is None
    assert run.problem.biases == ()
    vanilla = run.network(start=toy_vanilla())
    executed(method, run)
    assert conflicting_accuracy(run.offers["final"].load("cpu"), test) > conflicting_accuracy(vanilla, test) + 0.1
