"""The suite that our own tasks and methods pass, for anyone's plugin: ``debias-bench check-task``, ``check-method``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


class NonConformance(Exception):  # noqa: N818
    """A check found that a plugin does not keep a promise; says which, and what to do."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: What was checked, as a statement that should be true.
        problem: Why it is not, or ``None``.
    """

    check: str
    problem: str | None = None


def run_checks(checks: dict[str, Callable[[], None]]) -> Iterator[Finding]:
    """Run checks in order; one that raises anything is a finding, and the others still run."""
    for name, check in checks.items():
        try:
            check()
        except NonConformance as problem:
            yield Finding(name, str(problem))
        except Exception as error:  # noqa: BLE001  (a stranger's plugin may raise anything)
            yield Finding(name, f"raised {type(error).__name__}: {error}")
        else:
            yield Finding(name)


def require(condition: bool, problem: str) -> None:
    """Raise :class:`NonConformance` with ``problem`` unless ``condition`` holds."""
    if not condition:
        raise NonConformance(problem)
