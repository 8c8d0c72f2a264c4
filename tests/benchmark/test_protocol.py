"""Protocols scale budgets, and with them recipes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import UnknownNameError
from benchmark.protocol import PROTOCOLS, Protocol, protocol_named
from benchmark.task import Recipe


@pytest.mark.parametrize(
    ("name", "reference", "epochs"),
    [
        ("paper", 100, 100), ("paper", 1, 1), ("paper", 0, 0),
        ("short", 100, 25), ("short", 40, 10), ("short", 1, 1), ("short", 0, 0), ("short", 400, 25),
        ("smoke", 100, 2), ("smoke", 30, 1), ("smoke", 1000, 2),
    ],
)  # fmt: skip
def test_epochs(name: str, reference: int, epochs: int) -> None:
    assert PROTOCOLS[name].epochs(reference) == epochs


@given(st.sampled_from(sorted(PROTOCOLS)), st.integers(1, 500))
def test_about_so_many_states_are_offered_the_last_one_among_them(name: str, epochs: int) -> None:
    protocol = PROTOCOLS[name]
    offered = [epoch for epoch in range(1, epochs + 1) if protocol.is_candidate(epoch, epochs)]
    assert offered[-1] == epochs
    assert min(epochs, protocol.candidates) <= len(offered) <= 2 * protocol.candidates
    gaps = {later - earlier for earlier, later in itertools.pairwise(offered)}
    assert len(gaps - {offered[-1] - offered[-2] if len(offered) > 1 else 0}) <= 1  # evenly spaced but for the last


def test_a_recipe_is_scaled_with_its_milestones() -> None:
    published = Recipe("sgd", 0.1, batch_size=128, epochs=160, schedule="step", milestones=(80, 120), decay=0.2)
    assert published.under(PROTOCOLS["paper"]) == published
    short = published.under(PROTOCOLS["short"])
    assert (short.epochs, short.milestones) == (25, (12, 19))  # 25/160 of 80 and 120: 12.5 and 18.75
    assert (short.optimizer, short.learning_rate, short.batch_size, short.decay) == ("sgd", 0.1, 128, 0.2)


def test_a_recipe_that_trains_nothing_stays_so() -> None:
    assert Recipe("adam", 0.1, batch_size=8, epochs=0, milestones=(3,)).under(PROTOCOLS["smoke"]).epochs == 0


def test_only_the_smoke_and_short_protocols_cap_the_data() -> None:
    caps = {name: (p.max_train, p.max_eval) for name, p in PROTOCOLS.items()}
    assert caps == {"paper": (None, None), "short": (6_000, 5_000), "smoke": (500, 500)}


def test_a_protocol_is_found_by_name() -> None:
    assert protocol_named("short") is PROTOCOLS["short"]
    with pytest.raises(UnknownNameError, match="unknown protocol 'papers'; did you mean 'paper'"):
        protocol_named("papers")


@given(st.integers(1, 1000), st.floats(0.001, 1))
def test_at_least_one_epoch_is_trained_and_never_more_than_allowed(reference: int, share: float) -> None:
    protocol = Protocol("any", share, 7, None, None, 3)
    assert 1 <= protocol.epochs(reference) <= min(7, reference)
