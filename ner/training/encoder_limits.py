"""Whether parameters suit the encoder, by what its files say of it: asked before anything is computed with them.

check_parameters(Path("models/base"), params)       # raises ParamsError
"""

import json
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

from ner.errors import ParamsError
from ner.params import Params, TrainParams

LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")  # what encoders call it in their config.json
# count positions from behind the padding piece
FROM_PADDING = {"camembert", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"}
BEYOND_REASON = 1e9  # subwords in a window


def check_parameters(base: Path, params: Params) -> None:
    """Raise ParamsError for more layers, or a longer window, than the encoder in the folder `base` has.

    What its files do not say is left to training, which finds it before it opens an MLflow run.
    """
    config = read_settings(base / "config.json")
    layers = next((config[name] for name in LAYERS if isinstance(config.get(name), int)), None)
    if layers is not None:
        check_layers(params.train, layers)
    longest = longest_window(config, read_settings(base / "tokenizer_config.json"))
    if params.encoding.max_length > longest:
        raise ParamsError(
            f"params.yaml, encoding.max_length: {params.encoding.max_length} does not suit this encoder, which takes "
            f"windows of up to {longest:g} subwords: lower it."
        )


def check_fetched(base: Path, params: Params) -> None:
    """Raise ParamsError as check_parameters does, where the encoder in `base` is the one that model.base names."""
    if read_settings(base.with_suffix(".json")).get("name") == params.model.base:
        check_parameters(base, params)


def check_layers(params: TrainParams, layers: int) -> None:
    """Raise ParamsError unless some layer is left to be trained."""
    dropped = 0 if params.dropped_layers == "auto" else params.dropped_layers
    if dropped + params.frozen_layers >= layers:
        raise ParamsError(
            f"params.yaml, train: the encoder has {layers} layers; dropped_layers {dropped} and "
            f"frozen_layers {params.frozen_layers} leave none to train: lower them, or set them to 0."
        )


def longest_window(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> float:
    """Return the longest window in subwords: as the tokenizer says, else the encoder's positions; infinite without
    either.

    config: of config.json; tokenizer: of tokenizer_config.json, where a number beyond all reason stands for none.
    """
    limit = tokenizer.get("model_max_length") or inf
    if limit < BEYOND_REASON:
        return limit
    positions = config.get("max_position_embeddings") or config.get("n_positions") or inf
    if not config.get("position_biased_input", True):  # DeBERTa, which counts distances alone
        return inf
    return positions - config.get("pad_token_id", 1) - 1 if config.get("model_type") in FROM_PADDING else positions


def read_settings(path: Path) -> dict[str, Any]:
    """Return a JSON file of the encoder; empty where it is not there or holds no keys."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
