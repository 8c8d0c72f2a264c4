"""Roles of methods."""

from __future__ import annotations

from leaderboard.roles import role


def test_methods_are_told_from_controls_by_their_names() -> None:
    assert role("vanilla") == "baseline"
    assert {role(name) for name in ("random_pruning", "magnitude_structured", "magnitude")} == {"control"}
    assert {role(name) for name in ("bise", "randomised_smoothing", "ffw_structured")} == {"method"}
