"""What long preparations say of themselves: how far they are, and what of the data they leave out."""

from __future__ import annotations

import logging

NOTES = logging.getLogger("debias_bench")
"""Tasks write here, plugins too; the command line and its workers print it."""


def print_notes() -> None:
    """Print notes to standard error from now on, whatever else is logged where."""
    if not NOTES.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        NOTES.addHandler(handler)
        NOTES.setLevel(logging.INFO)
