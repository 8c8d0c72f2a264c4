"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a loaded machine is no failure
settings.load_profile("suite")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder that ``DEBIAS_BENCH_DATA`` names: real data sets in their owners' layouts."""
    given = os.environ.get("DEBIAS_BENCH_DATA")
    if not given:
        pytest.skip("needs real data sets: DEBIAS_BENCH_DATA is not set")
    return Path(given)


WORDS = "the a this that people they we you i is are was not very good bad great awful nice stupid ugly group men women"


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it: a BERT of two blocks with random weights, and a tokenizer of thirty words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    from benchmark.randomness import isolated

    folder = tmp_path_factory.mktemp("tiny_bert")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split(), "##s", ".", "!"]
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=40,
    )
    with isolated("tiny bert"):
        model = BertModel(config)
        with torch.no_grad():  # away from the initial state, in which units are nearly 0 and norms do nothing
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(pieces))
    BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder
