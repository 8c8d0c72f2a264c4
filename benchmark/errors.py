"""Errors that a user can act on: each says what was given, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DebiasBenchError(Exception):
    """Base of all errors that the command line prints without a traceback."""


class ConfigError(DebiasBenchError):
    """A sweep, profile or option is not valid."""


class UnknownNameError(ConfigError):
    """A name that is in no registry, with the nearest known ones."""

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown {kind} {given!r}; {hint}")


class PluginError(DebiasBenchError):
    """A task, method or source plugin cannot be loaded or contradicts another one."""


class DataMissingError(DebiasBenchError):
    """Files of a data set are not where they should be; says where, and how to get them."""


class DataCorruptError(DebiasBenchError):
    """Files of a data set are there but not what they should be."""


class ResultCorruptError(DebiasBenchError):
    """A stored record or artifact cannot be read back."""


class DivergedError(DebiasBenchError):
    """A loss or a weight became NaN or infinite."""


class PrunedError(DebiasBenchError):
    """A trial of a tuning was ended early, since its candidates are worse than those of other trials."""


class NotApplicableError(DebiasBenchError):
    """A method cannot run on a task, for a reason that is shown wherever the pair is listed."""

    def __init__(self, task: str, method: str, reason: str) -> None:
        """Keep the three apart, for tables."""
        super().__init__(f"{method} on {task}: {reason}")
        self.task, self.method, self.reason = task, method, reason


class UpstreamError(DebiasBenchError):
    """A cell that this one starts from has no artifact and cannot get one."""
