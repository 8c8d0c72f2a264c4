"""Methods that a cluster has to survive, for tests of the launcher."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import PluginError
from benchmark.method import Card, Method
from benchmark.registry import METHODS

if TYPE_CHECKING:
    from benchmark.run import Run

if "SUBMITIT_EXECUTOR" in os.environ and "SICK_PLUGIN_CANNOT_LOAD" in os.environ:
    raise PluginError("libsick.so: cannot open shared object file")


@dataclass(frozen=True)
class Appetite:
    """Where it stops by itself, so that no machine is brought down by a test."""

    megabytes: int = 4000


@METHODS.register
class Hungry(Method):
    """Eats memory until somebody stops it."""

    name = "hungry"
    version = 1
    card = Card("Hungry", "Eats memory.")
    Params = Appetite

    def run(self, run: Run) -> None:
        """About 400 MB a second."""
        eaten: list[bytes] = []
        while len(eaten) * 20 < self.params.megabytes:
            eaten.append(b"x" * (20 << 20))
            time.sleep(0.05)
        run.offer(run.network(), "fed")


@METHODS.register
class Unneeded(Method):
    """A healthy method, if its file can be loaded."""

    name = "unportable"
    version = 1
    card = Card("Unportable", "Cannot be loaded everywhere.")

    def run(self, run: Run) -> None:
        """Offer a fresh network."""
        run.offer(run.network(), "fresh")
