"""Tokens against transformers' own, and a cache that is complete, checked and made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import ConfigError, DataMissingError
from tasks import token_cache
from tasks.token_cache import tokenised

TEXTS = ["you are a good group!", "they are not", "zebra", "ugly ugly ugly ugly ugly ugly ugly ugly ugly"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.suffix != ".lock"]


def test_tokens_are_those_of_the_tokenizer_cut_and_filled_up(tiny_bert: Path) -> None:
    from transformers import AutoTokenizer

    expected = AutoTokenizer.from_pretrained(tiny_bert)(TEXTS, truncation=True, max_length=8)["input_ids"]
    found = tokenised("toy", TEXTS, tiny_bert, 8)
    assert found.lengths.tolist() == [len(tokens) for tokens in expected] == [8, 5, 3, 8]
    rows = np.array([2, 0, 0, 3])
    padded = found.padded(rows, 8)
    assert padded.dtype == np.int32
    assert padded.tolist() == [expected[row] + [-1] * (8 - len(expected[row])) for row in rows]


def test_texts_are_tokenised_once(tiny_bert: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tokenised("toy", TEXTS, tiny_bert, 8)
    monkeypatch.setattr(token_cache, "_tokenise", None)
    second = tokenised("toy", TEXTS, tiny_bert, 8)
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(first.lengths, second.lengths)
    assert len(files(cache)) == 1
    for change in ((TEXTS[::-1], 8), (TEXTS[:3], 8), (TEXTS, 9)):
        with pytest.raises(TypeError):  # other texts or lengths are not in the file: the missing tokeniser is called
            tokenised("toy", change[0], tiny_bert, change[1])


@pytest.mark.parametrize("damage", [lambda content: content[:-3], lambda content: content[:40] + b"x" + content[41:]])
def test_a_damaged_file_is_made_anew(damage: object, tiny_bert: Path, cache: Path) -> None:
    first = tokenised("toy", TEXTS, tiny_bert, 8)
    (path,) = files(cache)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))  # type: ignore[operator]
    assert np.array_equal(tokenised("toy", TEXTS, tiny_bert, 8).values, first.values)
    assert path.read_bytes() == whole


def test_another_tokenizer_is_another_file(tiny_bert: Path, tmp_path: Path, cache: Path) -> None:
    from transformers import BertTokenizer

    BertTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path / "other")
    tokens = tmp_path / "other" / "tokenizer.json"
    tokens.write_text(tokens.read_text().replace('"ugly"', '"pretty"'))
    assert tokenised("toy", TEXTS, tiny_bert, 8).values[-3] != tokenised("toy", TEXTS, tmp_path / "other", 8).values[-3]
    assert len(files(cache)) == 2


def test_no_tokenizer_and_no_space_are_errors(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataMissingError, match="has no tokenizer"):
        tokenised("toy", TEXTS, tmp_path / "empty", 8)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigError, match="set DEBIAS_BENCH_CACHE"):
        tokenised("toy", TEXTS, tiny_bert, 8)
