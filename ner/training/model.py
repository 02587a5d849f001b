"""The encoder with a new classification head, as `train` starts with it, and the learning rate of each of its parts.

tokenizer, twins = load_reader(Path("models/base"), params.encoding)
model = new_model(Path("models/base"), labels, params.encoding, params.train, twins)
groups = parameter_groups(model, params.train)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForTokenClassification

from ner.encoding.tokenizer import MAX_LENGTH, load_tokenizer
from ner.errors import ModelError, ParamsError
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
    them. Raises ParamsError where train.dropped_layers or train.frozen_layers leave no layer, and ModelError where the
    files are not of an encoder that can be loaded whole.
    """
    with _loading(base):
        config = AutoConfig.from_pretrained(base, local_files_only=True)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    setattr(config, MAX_LENGTH, encoding.max_length)
    if train:
        leave_out(config, train)
        for name in DROPOUTS if train.dropout != "encoder" else ():
            if getattr(config, name, None) is not None:
                setattr(config, name, train.dropout)
    with _loading(base):
        model, report = AutoModelForTokenClassification.from_pretrained(
            base,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    if lost := sorted(name for name in report["missing_keys"] if name.startswith(model.base_model_prefix + ".")):
        raise ModelError(
            f"{base}: model.safetensors lacks {len(lost)} of the encoder's weights ({lost[0]} for one), which would be "
            "random: it was saved from another architecture than config.json names."
        )
    if twins:
        add_twins(model, twins)
    if train:
        freeze(model, train)
    return model


@contextmanager
def _loading(base: Path) -> Iterator[None]:
    """Raise ModelError, in one sentence, for what Transformers cannot load."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{base} cannot be loaded for token classification ({reason}): choose another encoder."
        ) from None


def check_reads(model: Any, tokenizer: Any, max_length: int) -> None:
    """Raise ModelError where the encoder has no vectors for all pieces, and ParamsError where it has no positions for a
    window.
    """
    highest, embedding = max(tokenizer.get_vocab().values()), model.get_input_embeddings()
    is_cased = isinstance(embedding, CaseEmbedding)
    rows = (embedding.words if is_cased else embedding).num_embeddings
    wanted = 1 + (int(embedding.plain.max()) if is_cased else highest)
    if wanted > rows:
        raise ModelError(
            f"the tokenizer of this encoder has {wanted} pieces, the encoder vectors for {rows}: call "
            "`resize_token_embeddings(len(tokenizer))` on a copy, save that in local/, and name it as model.base."
        )
    ids = torch.full((1, max_length), highest)
    try:
        with torch.inference_mode():
            model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    except (IndexError, RuntimeError) as error:
        raise ParamsError(
            f"params.yaml, encoding.max_length: this encoder cannot read a window of {max_length} subwords "
            f"({' '.join(str(error).split())[:100]}): lower it."
        ) from None


def leave_out(config: Any, params: Recipe) -> None:
    """Take the top layers out of a configuration, and out of what it says of each layer.

    Raises ParamsError where no layer would be left, or the encoder cannot do without some.
    """
    count = getattr(config, "num_hidden_layers", 0)
    check_layers(params, count)
    if not params.dropped_layers:
        return
    kept = count - params.dropped_layers
    try:
        if getattr(config, "num_hidden_groups", 1) > 1:  # ALBERT: which layer has which weights goes by their number
            raise NotImplementedError
        config.num_hidden_layers = kept
    except NotImplementedError:
        raise ParamsError(
            f"params.yaml, train.dropped_layers: the layers of this encoder ({config.model_type}) belong together in "
            "groups, so that none can be left out: set it to 0."
        ) from None
    for name, value in vars(config).items():
        if "layer" in name and isinstance(value, list) and len(value) == count:
            setattr(config, name, value[:kept])


def freeze(model: Any, params: Recipe) -> None:
    """Freeze the parameters that are not to be trained; the vectors of upper case and the head always train."""
    parts: list[nn.Module] = list(layers(model)[: params.frozen_layers]) if params.frozen_layers else []
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
