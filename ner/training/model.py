"""The encoder with a new classification head, as `train` starts with it, and the learning rate of each of its parts.

tokenizer, twins = load_reader(Path("models/base"), params.encoding)
model = new_model(Path("models/base"), labels, params.encoding, params.train, twins)
groups = parameter_groups(model, params.train)
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForTokenClassification

from ner.encoding.tokenizer import load_tokenizer
from ner.errors import ParamsError
from ner.inference.tagger import MAX_LENGTH
from ner.params import EncodingParams, Recipe
from ner.training.cased_vocabulary import CaseEmbedding, add_twins, is_uncased, read_case
from ner.training.encoder_limits import check_layers

DROPOUTS = (  # what encoders call it in their config.json
    "activation_dropout",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "dropout",
    "embedding_dropout",
    "hidden_dropout_prob",
    "mlp_dropout",
    "seq_classif_dropout",
)


def load_reader(base: Path, params: EncodingParams) -> tuple[Any, Any]:
    """Return the encoder's tokenizer as `encoding.case` says, and the twins of its pieces where it is made cased."""
    tokenizer = load_tokenizer(base)
    return read_case(tokenizer) if params.case == "read" and is_uncased(tokenizer) else (tokenizer, None)


def new_model(
    base: Path, labels: list[str], encoding: EncodingParams, train: Recipe | None = None, twins: Any = None
) -> Any:
    """Return the encoder with a new classification head; its config remembers the tags and the window.

    train: how much of the encoder is kept, and what is trained of it; None: all of it. twins: as load_reader gives
    them. Raises ParamsError where train.dropped_layers or train.frozen_layers leave no layer.
    """
    config = AutoConfig.from_pretrained(base, local_files_only=True)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    setattr(config, MAX_LENGTH, encoding.max_length)
    if train:
        check_layers(train, config.num_hidden_layers)
        config.num_hidden_layers -= train.dropped_layers
        for name in DROPOUTS if train.dropout != "encoder" else ():
            if getattr(config, name, None) is not None:
                setattr(config, name, train.dropout)
    model = AutoModelForTokenClassification.from_pretrained(
        base, config=config, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    if twins:
        add_twins(model, twins)
    if train:
        freeze(model, train)
    return model


def freeze(model: Any, params: Recipe) -> None:
    """Freeze the parameters that are not to be trained; the vectors of upper case and the head always train."""
    parts: list[nn.Module] = list(layers(model)[: params.frozen_layers])
    if params.frozen_embeddings:
        parts.append(getattr(model.base_model, "embeddings", model.get_input_embeddings()))
    for part in parts:
        part.requires_grad_(False)
    if isinstance(embedding := model.get_input_embeddings(), CaseEmbedding):
        embedding.case.requires_grad_(True)


def layers(model: Any) -> nn.ModuleList:
    """Return the layers of the encoder, the lowest first. Raises ParamsError for an encoder that keeps them
    otherwise.
    """
    wanted = model.config.num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return module
    raise ParamsError(
        f"params.yaml, train: {type(model.base_model).__name__} does not keep its layers as a list; set frozen_layers "
        "to 0 and layer_decay to 1."
    )


def parameter_groups(model: Any, params: Recipe) -> list[dict[str, Any]]:
    """Return the optimizer's groups: learning rate and weight decay of every trained parameter, and the rate's name.

    What starts from nothing (the head, the vectors of upper case) learns at new_learning_rate, a layer at learning_rate
    times layer_decay for each layer above it, what lies under the layers as the one under the lowest. Biases, norms and
    the vectors of upper case do not decay. The name is that of the curve: learning_rate for what follows that parameter
    as it is, learning_rate_new, or learning_rate_below_2 for what has two layers above it.
    """
    depth = _depths(model) if params.layer_decay < 1 else {}
    core = model.base_model_prefix + "."
    names = {params.learning_rate: "learning_rate"}  # by rate: groups that learn at one rate share its curve
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_case = name.endswith(".case")
        above = depth.get(parameter, len(set(depth.values())))
        rate, curve = params.learning_rate * params.layer_decay**above, f"learning_rate_below_{above}"
        if is_case or not name.startswith(core):
            rate = params.learning_rate if params.new_learning_rate == "same" else params.new_learning_rate
            curve = "learning_rate_new"
        names.setdefault(rate, curve)
        decay = 0.0 if parameter.ndim < 2 or is_case else params.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay, "name": names[rate]}
        for (rate, decay), parameters in groups.items()
    ]


def _depths(model: Any) -> dict[nn.Parameter, int]:
    """Return how many layers lie above each parameter of a layer."""
    stack = layers(model)
    return {parameter: len(stack) - 1 - index for index, layer in enumerate(stack) for parameter in layer.parameters()}
