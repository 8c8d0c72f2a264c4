"""What a raw data source is: files of a data set in the layout in which their owner publishes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from benchmark.errors import DataMissingError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and out of how much."""


class Source(ABC):
    """A raw data set. Subclass, fill the class variables, implement the abstract methods, register.

    Sources know nothing of biases: tasks read them. The module that declares one must not import torch at its top.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    url: ClassVar[str]
    """Where its owner publishes it."""
    files: ClassVar[tuple[str, ...]]
    """What lies under the data root when it is complete: relative paths, or a pattern with its count."""
    obtain: ClassVar[str]
    """How a person gets it and puts it in place: shown wherever files are missing."""

    @abstractmethod
    def missing(self, root: Path) -> tuple[str, ...]:
        """Which of ``files`` are not under ``root``; cheap, contents are not read."""

    @abstractmethod
    def fetch(self, root: Path, report: Progress) -> None:
        """Download what is missing into ``root``; a file takes its place only when its checksum is right.

        Running it again after an interruption fetches only what is still missing.

        Raises:
            DataMissingError: There is no network, or a person has to act; says what to put where.
            DataCorruptError: What was downloaded is not the published data.
        """

    @abstractmethod
    def verify(self, root: Path) -> tuple[str, ...]:
        """Compare what is under ``root`` with the published data: one sentence per problem, none if it is whole."""

    def require(self, root: Path) -> None:
        """Make sure that all files are there.

        Raises:
            DataMissingError: Some are not; names them, and says how to get them.
        """
        if missing := self.missing(root):
            raise self.missing_error(root, missing)

    def missing_error(self, root: Path, missing: tuple[str, ...], reason: str = "") -> DataMissingError:
        """The error that names ``missing`` files and how to get them; ``reason`` says why fetching failed."""
        return DataMissingError(
            f"{self.title} is not complete under {root}: missing {', '.join(missing)}."
            + (f" {reason.rstrip('.')}." if reason else "")
            + f" {self.obtain}"
        )
