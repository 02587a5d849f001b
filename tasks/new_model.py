"""The encoder with a fresh head, as `train` starts with it, and at which rate each of its parts learns.

tokenizer, twins = load_reader(Path("models/base"), params.encoding)
model = new_model(Path("models/base"), labels, params.encoding, params.train, twins)
groups = parameter_groups(model, params.train)
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForTokenClassification

from ner.case import CaseEmbedding, add_twins, is_uncased, read_case
from ner.errors import ParamsError
from ner.params import EncodingParams, TrainParams
from ner.prediction import MAX_LENGTH, load_tokenizer

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
    """The encoder's tokenizer as `encoding.case` says, and the twins of its pieces where it is made to read case."""
    tokenizer = load_tokenizer(base)
    return read_case(tokenizer) if params.case == "read" and is_uncased(tokenizer) else (tokenizer, None)


def new_model(
    base: Path, labels: list[str], encoding: EncodingParams, train: TrainParams | None = None, twins: Any = None
) -> Any:
    """The encoder with a new classification head; its config remembers the tags and the window.

    train: how much of the encoder is kept, and what is trained of it; None: all of it. twins: as load_reader gives
    them. Raises ParamsError where train.dropped_layers or train.frozen_layers leave no layer.
    """
    config = AutoConfig.from_pretrained(base, local_files_only=True)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    setattr(config, MAX_LENGTH, encoding.max_length)
    config.ner_context = encoding.context
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


def check_layers(params: TrainParams, layers: int) -> None:
    """Raise ParamsError unless some layer is left to be trained."""
    if params.dropped_layers + params.frozen_layers >= layers:
        raise ParamsError(
            f"params.yaml, train: the encoder has {layers} layers; dropped_layers {params.dropped_layers} and "
            f"frozen_layers {params.frozen_layers} leave none to train: lower them, or set them to 0."
        )


def freeze(model: Any, params: TrainParams) -> None:
    """Take what is not to be trained out of the training; the vectors of upper case and the head always learn."""
    parts: list[nn.Module] = list(layers(model)[: params.frozen_layers])
    if params.frozen_embeddings:
        parts.append(getattr(model.base_model, "embeddings", model.get_input_embeddings()))
    for part in parts:
        part.requires_grad_(False)
    if isinstance(embedding := model.get_input_embeddings(), CaseEmbedding):
        embedding.case.requires_grad_(True)


def layers(model: Any) -> nn.ModuleList:
    """The layers of the encoder, the lowest first. Raises ParamsError for an encoder that keeps them otherwise."""
    wanted = model.config.num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return module
    raise ParamsError(
        f"params.yaml, train: {type(model.base_model).__name__} does not keep its layers as a list; set frozen_layers "
        "to 0 and layer_decay to 1."
    )


def parameter_groups(model: Any, params: TrainParams) -> list[dict[str, Any]]:
    """Groups for the optimizer: learning rate and weight decay of every parameter that is trained.

    What starts from nothing (the head, the vectors of upper case) learns at new_learning_rate, a layer at learning_rate
    times layer_decay for each layer above it, what lies under the layers as the one under the lowest. Biases, norms and
    the vectors of upper case do not decay.
    """
    depth = _depths(model) if params.layer_decay < 1 else {}
    core = model.base_model_prefix + "."
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_case = name.endswith(".case")
        rate = params.learning_rate * params.layer_decay ** depth.get(parameter, len(set(depth.values())))
        if is_case or not name.startswith(core):
            rate = params.learning_rate if params.new_learning_rate == "same" else params.new_learning_rate
        decay = 0.0 if parameter.ndim < 2 or is_case else params.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


def _depths(model: Any) -> dict[nn.Parameter, int]:
    """How many layers lie above each parameter of a layer."""
    found = layers(model)
    return {parameter: len(found) - 1 - index for index, layer in enumerate(found) for parameter in layer.parameters()}
