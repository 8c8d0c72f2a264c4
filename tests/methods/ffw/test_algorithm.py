"""FFW as a whole on the toy task: temperature, what it may look at, interruption, and that it removes the shortcut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from benchmark.artifacts import Artifact
from benchmark.checkpoint import Interrupted
from benchmark.data import Data
from benchmark.diagnostics.information import mutual_information
from benchmark.diagnostics.probe import decodability
from benchmark.evaluate import predictions
from benchmark.network import Network
from benchmark.protocol import Protocol
from benchmark.run import Run
from methods.ffw import FfwParams, FfwStructured, FfwUnstructured
from methods.ffw.algorithm import Temperature, halves, held_out_information, information_penalty
from methods.shared.bias_head import BiasHead, HeadSettings
from methods.shared.gated import GatedUnits
from methods.shared.gates import saturated
from methods.shared.masks import MaskedNetwork, read_masks

ToyRun = Callable[..., Run]
ToyVanilla = Callable[..., Artifact]
PAPER = Protocol("paper", 1.0, None, None, None, candidates=20)
SHORT = FfwParams(gamma=0.3, epochs=14, tau_stop=1e-3, patience=1, head_epochs=8)
METHODS = [FfwUnstructured, FfwStructured]


def states(run: Run) -> dict[str, dict[str, torch.Tensor]]:
    return {label: offer.load("cpu").state_dict() for label, offer in run.offers.items()}


def same(first: Run, second: Run) -> bool:
    infos = [[(offer.label, offer.info) for offer in run.offers.values()] for run in (first, second)]
    if infos[0] != infos[1]:
        return False
    a, b = states(first), states(second)
    return all(torch.equal(a[label][name], b[label][name]) for label in a for name in a[label])


def executed(method: FfwUnstructured | FfwStructured, run: Run) -> Run:
    method.run(run)
    return run


def drops(params: FfwParams, information: list[float], protocol: Protocol = PAPER) -> list[int]:
    """The epochs after which the temperature falls, until it is finished."""
    temperature, found = Temperature(params, protocol), []
    for epoch, value in enumerate(information, start=1):
        if temperature.step(epoch, value):
            found.append(epoch)
        if temperature.finished:
            break
    return found


def test_the_temperature_falls_by_ten_whenever_information_has_not_fallen_for_more_than_five_epochs() -> None:
    temperature = Temperature(FfwParams(), PAPER)
    taus = []
    for epoch in range(1, 100):
        taus.append(temperature.tau)
        temperature.step(epoch, 0.5)
        if temperature.finished:
            break
    # the first epoch sets the best value; then every 6 epochs without improvement
    expected = [1.0] * 7 + [10.0**-level for level in range(1, 9) for _ in range(6)]
    assert taus == pytest.approx(expected, rel=1e-9)
    assert temperature.tau == pytest.approx(1e-8, rel=1e-9)


def test_falls_of_less_than_five_percent_do_not_keep_the_temperature_up() -> None:
    slow = [1 - 0.004 * epoch for epoch in range(60)]  # below .95 after 13 epochs, far more than the patience
    fast = [0.9**epoch for epoch in range(60)]
    assert drops(FfwParams(), slow)[:2] == [7, 13]
    assert drops(FfwParams(), fast) == []


def test_the_periodic_policy_looks_at_epochs_alone() -> None:
    params = FfwParams(policy="periodic", period=4, tau_stop=1e-2)
    assert drops(params, [0.9**epoch for epoch in range(40)]) == [4, 8, 12]
    assert drops(params, [1.0] * 40, Protocol("half", 0.5, None, None, None, 1)) == [2, 4, 6]


def test_a_restored_temperature_goes_on_where_it_was() -> None:
    first, second = Temperature(FfwParams(), PAPER), Temperature(FfwParams(), PAPER)
    for epoch in range(1, 12):
        first.step(epoch, 0.5)
    second.load_state_dict(first.state_dict())
    assert first.tau == second.tau == pytest.approx(0.1)
    assert [first.step(epoch, 0.5) for epoch in (12, 13)] == [second.step(epoch, 0.5) for epoch in (12, 13)]
    assert first.drops == second.drops == 2


def test_masks_are_learned_on_one_half_of_the_unbiased_split_and_judged_on_the_other(toy_run: ToyRun) -> None:
    run = toy_run(FfwStructured.supervision, unbiased=301)
    training, held_out = halves(run)
    assert (len(training), len(held_out)) == (151, 150)
    rows = [torch.cat([part.x.flatten(1).long(), part.y[:, None], part.b], 1) for part in (training, held_out)]
    whole = torch.cat([run.unbiased.x.flatten(1).long(), run.unbiased.y[:, None], run.unbiased.b], 1)
    assert sorted(torch.cat(rows).tolist()) == sorted(whole.tolist())
    assert torch.equal(halves(run)[0].x, training.x)
    order = halves(toy_run(FfwStructured.supervision, unbiased=301, seed=1))[0]
    assert not torch.equal(order.y, training.y)


@pytest.mark.parametrize("kind", METHODS)
def test_it_offers_a_pruned_network_at_every_drop_and_at_the_end(
    kind: type[FfwUnstructured | FfwStructured], toy_run: ToyRun, toy_vanilla: ToyVanilla
) -> None:
    params = replace(SHORT, policy="periodic", period=2)
    run = executed(kind(params), toy_run(kind.supervision, upstream={"vanilla": toy_vanilla()}))
    assert list(run.offers) == ["tau 1", "tau 0.1", "tau 0.01", "final"]
    assert run.offers["final"].info["tau"] == pytest.approx(1e-3)
    _, held_out = halves(run)
    for offer in run.offers.values():
        model = offer.load("cpu")
        accuracy = (predictions(model, held_out) == held_out.y).double().mean().item()
        assert offer.info["task_accuracy"] == pytest.approx(accuracy)
        assert 0 <= offer.info["mutual_information"] <= 1
        assert 0.1 < offer.info["pruned_share"] < 0.9
        pruned_share = pruned_of(model)
        assert offer.info["pruned_share"] == pytest.approx(pruned_share, abs=1e-9)


def pruned_of(model: Network) -> float:
    """Share of removed units, or of removed encoder weights."""
    if isinstance(model, MaskedNetwork):
        masks = list(read_masks(model.state_dict()).values())
        return 1 - sum(int(kept.sum()) for kept in masks) / sum(len(kept) for kept in masks)
    weights = [parameter for parameter in model.encoder.parameters() if parameter.ndim == 2]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def test_the_reported_bias_accuracy_is_that_of_a_probe_for_the_bias(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    run = toy_run(FfwStructured.supervision, upstream={"vanilla": toy_vanilla()})
    executed(FfwStructured(replace(SHORT, gamma=3.0)), run)
    offer = run.offers["final"]
    training, held_out = halves(run)
    encoder = offer.load("cpu").eval().encoder
    with torch.no_grad():
        z, test_z = (encoder(part.normalise(part.x)) for part in (training, held_out))
    of_bias = decodability(z, training.b[:, 0], test_z, held_out.b[:, 0], 4)
    of_target = decodability(z, training.y, test_z, held_out.y, 4)
    assert offer.info["bias_accuracy"] == pytest.approx(of_bias, abs=0.005)
    assert abs(of_bias - of_target) > 0.02


@pytest.mark.parametrize("kind", METHODS)
def test_an_interrupted_run_offers_what_an_uninterrupted_one_offers(
    kind: type[FfwUnstructured | FfwStructured], toy_run: ToyRun, toy_vanilla: ToyVanilla
) -> None:
    method, options = kind(SHORT), {"upstream": {"vanilla": toy_vanilla()}, "unbiased": 400}
    whole = executed(method, toy_run(kind.supervision, **options))
    assert len(whole.offers) >= 3
    legs = 0
    while True:  # every leg does one epoch
        try:
            run = executed(method, toy_run(kind.supervision, folder="legs", should_stop=lambda: True, **options))
            break
        except Interrupted:
            legs += 1
    assert legs >= 6
    assert same(run, whole)


@pytest.mark.parametrize("kind", METHODS)
def test_the_same_seed_gives_the_same_masks_and_the_vanilla_network_stays(
    kind: type[FfwUnstructured | FfwStructured], toy_run: ToyRun, toy_vanilla: ToyVanilla
) -> None:
    vanilla, method = toy_vanilla(), kind(SHORT)
    before = {name: tensor.clone() for name, tensor in vanilla.state.items()}
    global_state = torch.get_rng_state()
    runs = [
        executed(method, toy_run(kind.supervision, folder=folder, upstream={"vanilla": vanilla}, unbiased=400))
        for folder in ("a", "b")
    ]
    assert same(*runs)
    assert torch.equal(torch.get_rng_state(), global_state)
    assert all(torch.equal(vanilla.state[name], before[name]) for name in before)
    for name, tensor in states(runs[0])["final"].items():
        if not name.startswith("mask."):
            assert torch.equal(tensor[tensor != 0], before[name][tensor != 0])


def test_neither_the_training_labels_nor_the_training_set_are_used(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    runs = []
    for samples in (100, 200):
        run = toy_run(FfwUnstructured.supervision, folder=str(samples), samples=samples, unbiased=400,
                      upstream={"vanilla": toy_vanilla()})  # fmt: skip
        assert run.train.b is None
        runs.append(executed(FfwUnstructured(replace(SHORT, epochs=3)), run))
    assert same(*runs)


def test_a_budget_that_ends_before_the_last_temperature_still_gives_a_network(
    toy_run: ToyRun, toy_vanilla: ToyVanilla
) -> None:
    smoke = Protocol("smoke", 0.02, 2, None, None, candidates=2)
    run = toy_run(FfwStructured.supervision, upstream={"vanilla": toy_vanilla()}, protocol=smoke)
    executed(FfwStructured(FfwParams()), run)
    assert "final" in run.offers


def test_the_penalty_is_gamma_times_the_mean_information_over_attributes(toy_run: ToyRun) -> None:
    run = toy_run(FfwStructured.supervision, biases=2, unbiased=60)
    head = BiasHead(6, (4, 4), HeadSettings(0.1, 0.9, 0.0), torch.Generator().manual_seed(0), run.device)
    z = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    batch = run.unbiased.batch(torch.arange(30, 50))
    each = [
        mutual_information(logits, b) for logits, b in zip(head.linear(z).split(4, 1), batch.b.unbind(1), strict=True)
    ]
    found = information_penalty(head, run.unbiased.b, 7.0)(z, batch)
    assert found.item() == pytest.approx(7.0 * (each[0] + each[1]).item() / 2, rel=1e-5)


def test_the_temperature_is_driven_by_the_information_on_the_bias_of_held_out_samples(
    toy_run: ToyRun, toy_vanilla: ToyVanilla
) -> None:
    run = toy_run(FfwStructured.supervision, biases=2, unbiased=100)
    gated = GatedUnits(run.network(start=toy_vanilla(biases=2)), saturated)
    with torch.no_grad():
        gated.m[0].fill_(-0.3)
    head = BiasHead(24, (4, 4), HeadSettings(0.1, 0.9, 0.0), torch.Generator().manual_seed(0), run.device)
    _, held_out = halves(run)
    z, _ = gated(held_out.normalise(held_out.x), 0.5)
    expected = [
        mutual_information(logits, b).item()
        for logits, b in zip(head.linear(z).split(4, 1), held_out.b.unbind(1), strict=True)
    ]
    assert held_out_information(run, gated, head, held_out, 0.5) == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_several_biases_are_all_looked_at(toy_run: ToyRun, toy_vanilla: ToyVanilla) -> None:
    run = toy_run(FfwStructured.supervision, biases=2, upstream={"vanilla": toy_vanilla(biases=2)}, unbiased=400)
    executed(FfwStructured(SHORT), run)
    training, held_out = halves(run)
    encoder = run.offers["final"].load("cpu").eval().encoder
    with torch.no_grad():
        z, test_z = (encoder(part.normalise(part.x)) for part in (training, held_out))
    each = [decodability(z, training.b[:, i], test_z, held_out.b[:, i], 4) for i in range(2)]
    assert run.offers["final"].info["bias_accuracy"] == pytest.approx(sum(each) / 2, abs=0.01)


@pytest.mark.parametrize(("kind", "gamma"), [(FfwUnstructured, 0.3), (FfwStructured, 0.1)])
def test_it_makes_conflicting_samples_right_and_the_bias_harder_to_read(
    kind: type[FfwUnstructured | FfwStructured],
    gamma: float,
    toy_run: ToyRun,
    toy_vanilla: ToyVanilla,
    toy_test: Callable[..., Data],
) -> None:
    test, vanilla = toy_test(), toy_vanilla()
    conflicting, b = test.b[:, 0] != test.y, test.b[:, 0]
    run = executed(
        kind(FfwParams(gamma=gamma, head_epochs=15, epochs=100)),
        toy_run(kind.supervision, upstream={"vanilla": vanilla}),
    )
    scores = []
    for model in (run.network(start=vanilla), run.offers["final"].load("cpu")):
        accuracy = (predictions(model, test) == test.y)[conflicting].double().mean().item()
        with torch.no_grad():
            z = model.eval().encoder(test.normalise(test.x))
        scores.append((accuracy, decodability(z[:1000], b[:1000], z[1000:], b[1000:], 4)))
    assert scores[1][0] > scores[0][0] + 0.05
    assert scores[1][1] < scores[0][1] - 0.02
