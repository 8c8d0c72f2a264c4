"""BERT and its family (Devlin et al., 2019), built by transformers and rearranged so that their units can be masked."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

from torch import nn

from benchmark.errors import ConfigError, DataMissingError
from benchmark.layers import SelfAttention, TokenEncoder, TransformerBlock
from benchmark.network import Network, Site
from benchmark.task import Inputs
from tasks.pretrained import model_folder


def bert(
    inputs: Inputs,
    classes: int,
    model: str,
    weights: Literal["pretrained", "none"] = "pretrained",
    layers: int | None = None,
) -> Network:
    """A BERT with its pooler as bottleneck.

    Units can be masked in the feed-forward layers of every block (the wide ones after their activation, the narrow ones
    before they are added and normalised) and after the pooler; attention and embeddings are no sites (BISE).

    Args:
        inputs: Tokens of the model's tokenizer, -1 where there is none.
        classes: Number of logits.
        model: ``minilm``, a folder, or a name on the Hugging Face Hub (:func:`tasks.pretrained.model_folder`).
        weights: ``pretrained``, or ``none`` for random ones in the same architecture; the classifier is always new.
        layers: Blocks that are kept, counted from the input; all by default.

    Raises:
        ConfigError: Inputs are no tokens, or longer than the model takes, or the model is none of BERT's family.
        DataMissingError: The model is not there.
    """
    if len(inputs.shape) != 1:
        raise ConfigError(f"BERT takes tokens, the task has inputs of shape {inputs.shape}")
    source = _transformers_model(model_folder(model), pretrained=weights == "pretrained")
    config, found = source.config, getattr(getattr(source, "encoder", None), "layer", None)
    if found is None or getattr(source, "pooler", None) is None or not hasattr(found[0], "intermediate"):
        raise ConfigError(
            f"{model} is a {type(source).__name__}; expected BERT or a model of the same structure (RoBERTa, XLM-R, "
            "CamemBERT): an encoder whose layers normalise last, and a pooler"
        )
    _check_length(config, inputs.shape[0], model)
    if layers is not None and not 1 <= layers <= len(found):
        raise ConfigError(f"{model} has {len(found)} blocks; cannot keep {layers}")
    blocks = [_block(layer, config) for layer in found[:layers]]
    pooler = nn.Sequential(OrderedDict(dense=source.pooler.dense, tanh=nn.Tanh()))
    encoder = TokenEncoder(source.embeddings, nn.ModuleList(blocks), pooler, config.pad_token_id or 0)
    sites = []
    for number, block in enumerate(blocks):
        name = f"encoder.blocks.{number}"
        sites.append(Site(f"{name}.activation", block.widen.out_features, dim=-1))
        sites.append(Site(f"{name}.narrow", block.narrow.out_features, dim=-1, norm=f"{name}.norm"))
    sites.append(Site("encoder.pooler.tanh", config.hidden_size))
    return Network(encoder, nn.Linear(config.hidden_size, classes), tuple(sites))


def _transformers_model(folder: Path, *, pretrained: bool) -> Any:
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if not pretrained:
            return AutoModel.from_config(config, dtype=torch.float32)
        return AutoModel.from_pretrained(folder, config=config, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise DataMissingError(
            f"{folder} cannot be loaded as a text model: {error}; expected config.json and model.safetensors as "
            "transformers' save_pretrained writes them, or weights: none"
        ) from error
    finally:
        if shown:
            logging.enable_progress_bar()


def _check_length(config: Any, length: int, model: str) -> None:
    """RoBERTa numbers positions from behind its padding token."""
    offset = 0 if config.model_type == "bert" else (config.pad_token_id or 0) + 1
    if length > config.max_position_embeddings - offset:
        raise ConfigError(
            f"{model} takes at most {config.max_position_embeddings - offset} tokens, the task gives {length}; lower "
            "its parameter max_length"
        )


def _block(layer: Any, config: Any) -> TransformerBlock:
    """A layer of transformers' BERT with its activation as a module of its own."""
    attention = SelfAttention(
        layer.attention.self.query,
        layer.attention.self.key,
        layer.attention.self.value,
        layer.attention.output.dense,
        config.num_attention_heads,
        config.attention_probs_dropout_prob,
    )
    activation = layer.intermediate.intermediate_act_fn
    return TransformerBlock(
        attention,
        layer.attention.output.LayerNorm,
        layer.intermediate.dense,
        activation,
        layer.output.dense,
        layer.output.LayerNorm,
        config.hidden_dropout_prob,
    )
