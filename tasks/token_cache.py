"""Texts as token numbers, tokenised once per tokenizer and length and kept in a checksummed file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.errors import ConfigError
from benchmark.files import write_atomic
from benchmark.notes import NOTES
from tasks.image_cache import ENVIRONMENT, cache_root
from tasks.partition import IntArray
from tasks.pretrained import tokenizer_digest

TOKENISATION = 1
"""Raise it whenever the same texts and tokenizer would give other tokens."""
PADDING = -1
"""What :class:`benchmark.task.Split` fills up short inputs with."""
DIGEST_BYTES = 32
CHUNK = 50_000
"""Texts tokenised at a time."""

Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True)
class TokenisedTexts:
    """The tokens of all texts, one after the other.

    Attributes:
        values: Token numbers.
        lengths: How many each text has (N,).
    """

    values: Tokens
    lengths: Tokens

    def padded(self, rows: IntArray, width: int) -> Tokens:
        """The texts at ``rows`` (M,), each filled up to ``width`` tokens: (M, width)."""
        starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)[:-1]])
        columns = np.arange(width)
        there = columns < self.lengths[rows, None]
        place = np.where(there, starts[rows, None] + columns, 0)
        return np.where(there, self.values[place], np.int32(PADDING))


def tokenised(name: str, texts: Sequence[str], folder: Path, max_length: int) -> TokenisedTexts:
    """The tokens of texts, with the tokenizer's marks of start and end, cut to ``max_length``.

    Several processes may ask for the same: one tokenises, the others wait.

    Args:
        name: Begins the file's name.
        texts: Not empty.
        folder: Of the model whose tokenizer is used.
        max_length: Tokens at most.

    Raises:
        DataMissingError: ``folder`` has no tokenizer.
        ConfigError: The cache cannot be written.
    """
    from filelock import FileLock

    identity = hashlib.sha256(f"{TOKENISATION} {tokenizer_digest(folder)} {max_length} {len(texts)}".encode())
    for text in texts:
        identity.update(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest())
    path = cache_root() / f"{name}-tokens-{identity.hexdigest()[:16]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            known = _read(path, len(texts))
            if known is None:
                known = _tokenise(texts, folder, max_length)
                content = known.lengths.astype("<i4").tobytes() + known.values.astype("<i4").tobytes()
                write_atomic(path, hashlib.sha256(content).digest() + content)
    except OSError as error:
        raise ConfigError(
            f"cannot write the token cache {path}: {error}; set {ENVIRONMENT} to a folder with some space"
        ) from error
    return known


def _read(path: Path, count: int) -> TokenisedTexts | None:
    """What is stored, if it is whole."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
        NOTES.warning("%s is damaged; tokenising again", path)
        return None
    stored = np.frombuffer(content, dtype="<i4", offset=DIGEST_BYTES)
    return TokenisedTexts(stored[count:], stored[:count])


def _tokenise(texts: Sequence[str], folder: Path, max_length: int) -> TokenisedTexts:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    values, lengths = [], []
    for start in range(0, len(texts), CHUNK):
        NOTES.info("tokenising texts %d to %d of %d", start, min(start + CHUNK, len(texts)), len(texts))
        found = tokenizer(list(texts[start : start + CHUNK]), truncation=True, max_length=max_length)["input_ids"]
        lengths += [len(tokens) for tokens in found]
        values.append(np.fromiter((token for tokens in found for token in tokens), dtype=np.int32))
    return TokenisedTexts(np.concatenate(values), np.array(lengths, dtype=np.int32))
