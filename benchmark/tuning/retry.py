"""Let studies that came to nothing begin anew."""

from __future__ import annotations

from collections.abc import Container

from benchmark.store import Store
from benchmark.tuning.decision import forget_decision, hopeless
from benchmark.tuning.journal import Journal


def forget_hopeless_studies(store: Store, names: Container[str] | None = None) -> list[str]:
    """Remove studies (of these names) of which no trial ran through, and the failures of their cells; returns which.

    Nothing was learnt from them that a new budget could profit by.
    """
    forgotten = []
    for decision in hopeless(store.root):
        if names is None or decision.study in names:
            for key in Journal(store.root).forget(decision.study):
                store.forget_failure(key)
            forget_decision(store.root, decision)
            forgotten.append(decision.study)
    return forgotten
