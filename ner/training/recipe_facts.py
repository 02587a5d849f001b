"""What the recipe of a training is chosen by: facts of the prepared corpus and of the encoder, and the recipe itself.

recipe, choices = choose(params, Path("models/base"), labels, split, validation)

All of it lies in what stage `train` depends on: the two splits, and models/base with the `recipe.json` of the encoder's
entry in the catalogue.
"""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ner.data.prepared import Split, read_manifest, read_split
from ner.encoding.tokenizer import load_tokenizer, special_tokens, subwords
from ner.params import EncodingParams, Params, Recipe
from ner.training.encoder_limits import LAYERS, read_settings
from ner.training.recipe import Choice, CorpusFacts, EncoderFacts, notes, problems, resolve

RECIPE = "recipe.json"  # in models/base: what the encoder's entry in catalog.yaml says of its training
SAMPLE = 2000  # sentences whose subwords are counted
WIDTHS = ("hidden_size", "dim", "d_model", "n_embd")  # what encoders call it in their config.json


def choose(
    params: Params, base: Path, labels: Sequence[str], split: Split, validation: Split
) -> tuple[Recipe, list[Choice]]:
    """Return the recipe of a training on these splits with the encoder in `base`, and why each key has its value.

    What no recipe mends is told on the terminal. Parameters with a Recipe keep it.
    """
    if isinstance(params.train, Recipe):
        return params.train, []
    tokenizer = load_tokenizer(base)
    corpus = corpus_facts(split, validation, labels, tokenizer, params.encoding)
    for sentence in problems(corpus):
        print(f"warning: {sentence}", file=sys.stderr, flush=True)
    for sentence in notes(corpus, params.encoding.max_length):
        print(f"note: {sentence}", flush=True)
    return resolve(params.train, corpus, encoder_facts(base))


def resolved(params: Params, prepared: Path, base: Path) -> Params:
    """Return the parameters with a Recipe as their block `train`."""
    splits = (read_split(prepared, name) for name in ("train", "validation"))
    recipe, _ = choose(params, base, read_manifest(prepared)["labels"], *splits)
    return params.model_copy(update={"train": recipe})


def corpus_facts(
    split: Split, validation: Split, labels: Sequence[str], tokenizer: Any, encoding: EncodingParams
) -> CorpusFacts:
    """Return the facts of training and validation. labels: what the tag ids stand for.

    Subwords are those of SAMPLE sentences spread over the split, scaled by words where it has more.
    """
    sample = split.tokens[:: -(-len(split.tokens) // SAMPLE) or 1]
    lengths = [sum(map(len, pieces)) for pieces in subwords(tokenizer, sample)]
    words, counted = sum(map(len, split.tokens)), sum(map(len, sample))
    begins = {index: label[2:] for index, label in enumerate(labels) if label.startswith("B-")}
    counts = Counter(begins[tag] for tags in split.tag_ids for tag in tags if tag in begins)
    alone = encoding.context == "sentence"
    too_long, longest = long_sentences(split.tokens, tokenizer, encoding.max_length)
    return CorpusFacts(
        documents=len(split.tokens) if alone else len(set(split.document_ids)),
        sentences=len(split.tokens),
        subwords=round(sum(lengths) * words / max(1, counted)),
        entities={name: counts[name] for name in begins.values()},
        validation_entities=sum(tag in begins for tags in validation.tag_ids for tag in tags),
        too_long=too_long,
        longest=longest,
    )


def long_sentences(sentences: Sequence[Sequence[str]], tokenizer: Any, max_length: int) -> tuple[int, int]:
    """Return how many sentences a window does not hold, and the subwords of the longest of them; 0 and 0 without any.

    Only those are encoded that have more bytes than a window has subwords.
    """
    room = max_length - sum(map(len, special_tokens(tokenizer)))
    candidates = [tokens for tokens in sentences if sum(len(token.encode()) + 1 for token in tokens) > room]
    lengths = [sum(map(len, pieces)) for pieces in subwords(tokenizer, candidates)] if candidates else []
    too_long = [length for length in lengths if length > room]
    return len(too_long), max(too_long, default=0)


def encoder_facts(base: Path) -> EncoderFacts:
    """Return the facts of the encoder in the folder `base`, by its files alone."""
    config = read_settings(base / "config.json")
    return EncoderFacts(
        architecture=str(config.get("model_type")),
        layers=first_number(config, LAYERS),
        hidden_size=first_number(config, WIDTHS),
        parameters=parameters_of(base / "model.safetensors"),
        known=read_settings(base / RECIPE),
    )


def first_number(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)


def parameters_of(weights: Path) -> int:
    """Return how many numbers a safetensors file holds, by its header."""
    with safe_open(weights, framework="numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())
