"""BISE's sample weights against counts, and noisy and guessed bias labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.evaluate import predictions
from benchmark.method import Supervision
from benchmark.run import Run
from benchmark.task import Bias
from benchmark.training import fit
from methods.bise.labels import conflicts, flipped, given_labels, group_weights, guessed_labels, pair_weights

ToyRun = Callable[..., Run]
WITH_LABELS = Supervision(bias_labels=True)
TEN = (Bias("colour", 10, tuple(range(10))),)
TWO_BY_TWO = (Bias("gender", 2, (1, 0)),)


def test_at_a_known_level_weights_are_the_published_ones() -> None:
    conflicting = torch.tensor([[False], [True], [False]])
    aligned, other = 1 / (10 * 0.99), 9 / (10 * 0.01)
    assert pair_weights(conflicting, TEN, 0.99).tolist() == pytest.approx([aligned, other, aligned], rel=1e-6)


def test_for_several_biases_weights_multiply_over_the_counted_shares() -> None:
    biases = (TEN[0], Bias("right colour", 10, tuple(range(10))))
    conflicting = torch.zeros(100, 2, dtype=torch.bool)
    conflicting[:1, 0] = True  # left .99
    conflicting[:5, 1] = True  # right .95
    weights = pair_weights(conflicting, biases, None)
    expected = [1 / (0.01 * 0.05)] + [1 / (0.99 * 0.05)] * 4 + [1 / (0.99 * 0.95)] * 95
    assert weights.tolist() == pytest.approx(expected, rel=1e-6)


def test_at_a_natural_level_weights_come_from_the_counts_of_groups() -> None:
    y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    b = torch.tensor([1, 1, 1, 0, 0, 0, 1, 1]).unsqueeze(1)
    shares = {(0, 1): 3 / 8, (0, 0): 1 / 8, (1, 0): 2 / 8, (1, 1): 2 / 8}
    expected = [1 / (4 * shares[int(i), int(j)]) for i, j in zip(y, b[:, 0], strict=True)]
    assert group_weights(y, b, TWO_BY_TWO, 2).tolist() == pytest.approx(expected, rel=1e-6)


@settings(deadline=None)
@given(classes=st.integers(2, 5), values=st.lists(st.integers(2, 4), min_size=1, max_size=2), seed=st.integers(0, 99))
def test_group_weights_give_every_group_that_is_there_the_same_total(
    classes: int, values: list[int], seed: int
) -> None:
    draws = np.random.default_rng(seed)
    y = draws.integers(classes, size=200)
    b = np.stack([draws.integers(k, size=200) for k in values], 1)
    biases = tuple(Bias(str(i), k, (0,) * classes) for i, k in enumerate(values))
    weights = group_weights(torch.tensor(y), torch.tensor(b), biases, classes).double().numpy()
    groups = np.unique(np.column_stack([y, b]), axis=0)
    totals = [weights[(np.column_stack([y, b]) == group).all(1)].sum() for group in groups]
    assert totals == pytest.approx([200 / (classes * np.prod(values))] * len(groups), rel=1e-5)


def test_both_rules_agree_where_the_level_is_exact() -> None:
    y = torch.arange(10).repeat_interleave(1000)
    b = y.clone()
    for c in range(10):
        others = [v for v in range(10) if v != c]
        b[c * 1000 : c * 1000 + 90] = torch.tensor(others).repeat(10)  # rho .91, conflicting evenly spread
    b = b.unsqueeze(1)
    by_pairs = pair_weights(conflicts(y, b, TEN), TEN, 0.91)
    assert torch.allclose(by_pairs, group_weights(y, b, TEN, 10), rtol=1e-5)


def test_a_level_without_conflicting_samples_gives_finite_weights_also_to_noisy_labels(toy_run: ToyRun) -> None:
    for noise in (0.0, 0.1):
        labels = given_labels(toy_run(WITH_LABELS, rho=1.0, level=1.0), noise)
        assert int(labels.conflicting.sum()) == round(noise * 1000)
        assert bool(torch.isfinite(labels.weights).all())


def test_conflicting_is_what_differs_from_the_value_paired_with_the_class() -> None:
    y, b = torch.tensor([0, 0, 1, 1]), torch.tensor([[1], [0], [0], [1]])
    assert conflicts(y, b, TWO_BY_TWO)[:, 0].tolist() == [False, True, False, True]


def test_the_run_decides_which_weights_are_taken(toy_run: ToyRun) -> None:
    known = toy_run(WITH_LABELS, rho=0.95)
    conflicting = (known.train.b[:, 0] != known.train.y).tolist()
    expected = [3 / (4 * 0.05) if c else 1 / (4 * 0.95) for c in conflicting]
    assert given_labels(known, 0.0).weights.tolist() == pytest.approx(expected, rel=1e-5)
    natural = toy_run(WITH_LABELS, rho=None)
    counts = np.zeros((4, 4))
    pairs = list(zip(natural.train.y.tolist(), natural.train.b[:, 0].tolist(), strict=True))
    for pair in pairs:
        counts[pair] += 1
    expected = [len(pairs) / (16 * counts[pair]) for pair in pairs]
    assert given_labels(natural, 0.0).weights.tolist() == pytest.approx(expected, rel=1e-5)
    two = toy_run(WITH_LABELS, rho=0.95, biases=2)
    differs = (two.train.b != two.train.y.unsqueeze(1)).double().numpy()
    each = np.where(differs, 1 / differs.mean(0), 1 / (1 - differs.mean(0)))
    assert given_labels(two, 0.0).weights.tolist() == pytest.approx(each.prod(1), rel=1e-5)


@settings(deadline=None)
@given(share=st.floats(0, 1), values=st.integers(2, 6), seed=st.integers(0, 99))
def test_label_noise_changes_exactly_its_share_to_other_values(share: float, values: int, seed: int) -> None:
    bias = Bias("b", values, (0,))
    draws = torch.Generator().manual_seed(seed)
    b = torch.randint(values, (150, 2), generator=draws)
    before = b.clone()
    noisy = flipped(b, (bias, bias), share, draws)
    assert ((noisy != b).sum(0) == round(share * 150)).all()
    assert int(noisy.min()) >= 0
    assert int(noisy.max()) < values
    assert torch.equal(b, before)


def test_noise_is_uniform_over_the_other_values() -> None:
    b = torch.zeros(9000, 1, dtype=torch.int64)
    noisy = flipped(b, (Bias("b", 4, (0,)),), 1.0, torch.Generator().manual_seed(0))
    counts = torch.bincount(noisy[:, 0], minlength=4).tolist()
    assert counts[0] == 0
    assert counts[1:] == pytest.approx([3000] * 3, rel=0.07)


def test_noisy_labels_reach_weights_and_conflicts_and_leave_the_data_alone(toy_run: ToyRun) -> None:
    run = toy_run(WITH_LABELS, rho=None)
    before = run.train.b.clone()
    labels = given_labels(run, 0.3)
    assert int((labels.b != before).sum()) == 300
    assert torch.equal(run.train.b, before)
    assert torch.equal(labels.conflicting[:, 0], labels.b[:, 0] != run.train.y)
    assert torch.equal(labels.weights, group_weights(run.train.y, labels.b, run.problem.biases, 4))
    assert torch.equal(given_labels(toy_run(WITH_LABELS), 0.3).b, labels.b)


def test_guessed_labels_are_the_predictions_of_a_briefly_trained_network(toy_run: ToyRun) -> None:
    run = toy_run(Supervision())
    labels = guessed_labels(run, epochs=2)
    again = toy_run(Supervision(), folder="again")
    network = again.network(role="bias model")
    reference = again.problem.recipe
    fit(again, network, again.train, type(reference)(**{**vars(reference), "epochs": 2}), phase="bias model")
    assert torch.equal(labels.b[:, 0], predictions(network, again.train))
    assert torch.equal(labels.conflicting[:, 0], labels.b[:, 0] != run.train.y)
    assert labels.biases[0].values == 4
    assert 0.3 < float((~labels.conflicting).double().mean()) < 1
    pairs = list(zip(run.train.y.tolist(), labels.b[:, 0].tolist(), strict=True))
    expected = [1000 / (16 * pairs.count(pair)) for pair in pairs[:20]]
    assert labels.weights[:20].tolist() == pytest.approx(expected, rel=1e-5)


def test_labels_that_were_not_declared_are_missed_with_a_message(toy_run: ToyRun) -> None:
    with pytest.raises(ValueError, match="bias_labels"):
        given_labels(toy_run(Supervision()), 0.0)
