"""Corrupted CIFAR-10 as the authors of DFA distribute it; not to be confused with CIFAR-10-C, the test set."""

from __future__ import annotations

from pathlib import Path

from tasks.sources.folders import ManualSource

FOLDER = "cifar10c"
LEVELS = {0.95: "5pct", 0.98: "2pct", 0.99: "1pct", 0.995: "0.5pct"}
"""The folder of each level."""
PIECES = ("align", "conflict", "valid")


class Cifar10cSource(ManualSource):
    """Corrupted CIFAR-10 at four levels, as PNG files with a test folder in common."""

    name = "cifar10c"
    title = "Corrupted CIFAR-10 (DFA's files)"
    licence = "none stated; CIFAR-10 has none either: cite both"
    citation = (
        "Lee, Kim, Lee, Lee and Choo: Learning debiased representation via disentangled feature augmentation. "
        "NeurIPS 2021; after Nam et al.: Learning from failure. NeurIPS 2020"
    )
    url = "https://github.com/kakaoenterprise/Learning-Debiased-Disentangled"
    files = (*(f"{FOLDER}/{level}/{piece}" for level in LEVELS.values() for piece in PIECES), f"{FOLDER}/test")
    sizes = (*((f"{FOLDER}/{level}", 50_000) for level in LEVELS.values()), (f"{FOLDER}/test", 10_000))
    obtain = (
        "Download cifar10c.zip through the link in the repository kakaoenterprise/Learning-Debiased-Disentangled and "
        "unpack it, so that cifar10c/5pct/align, cifar10c/5pct/conflict, cifar10c/5pct/valid (and 2pct, 1pct, 0.5pct) "
        "and cifar10c/test lie under the data root."
    )

    def require_level(self, root: Path, rho: float) -> tuple[str, ...]:
        """The folders of one level, and the test folder, relative to ``cifar10c``.

        Raises:
            DataMissingError: Some are not there.
        """
        folders = (*(f"{LEVELS[rho]}/{piece}" for piece in PIECES), "test")
        if missing := tuple(f"{FOLDER}/{name}" for name in folders if not (root / FOLDER / name).is_dir()):
            raise self.missing_error(root, missing)
        return folders
