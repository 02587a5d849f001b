"""Who runs in the benchmark: each takes sentences, as lists of tokens, and gives their entities.

contenders = load(Path(), ["pipeline", "core fp32"])
contenders["core fp32"]([["Marta", "Okafor", "left", "."]])     # [{(0, 12, "PER")}]
"""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from ner.export.run import write_models
from ner.inference.annotate import annotate
from ner.inference.onnx import FP32, INT8
from ner.inference.tagger import Tagger
from ner.registry.release import RELEASE
from ner.tags import tags_to_spans

Entities = set[tuple[int, int, str]]  # start, end, type; code points of the tokens with a space between
Contender = Callable[[Sequence[list[str]]], list[Entities]]

PIPELINE, PIPELINE_32 = "pipeline", "pipeline, batch_size=32"
OPTIONS: dict[str, dict[str, Any]] = {PIPELINE: {}, PIPELINE_32: {"batch_size": 32}}
CORE, CORE_BF16, CORE_ONNX, CORE_INT8 = "core fp32", "core bf16", "core onnx", "core onnx-int8"
NAMES = (PIPELINE, PIPELINE_32, CORE, CORE_BF16, CORE_ONNX, CORE_INT8)
FORMATS = {CORE_ONNX: FP32, CORE_INT8: INT8}


def load(root: Path, names: Sequence[str]) -> dict[str, Contender]:
    """Return the named contenders, all of models/release; its exported formats are made anew."""
    contenders: dict[str, Contender] = {}
    with tempfile.TemporaryDirectory() as scratch:
        if formats := tuple(FORMATS[name] for name in names if name in FORMATS):
            write_models(root, Path(scratch), formats)
        for name in names:
            if name in OPTIONS:
                contenders[name] = pipeline(Tagger.load(root / RELEASE), **OPTIONS[name])
            elif name in FORMATS:
                contenders[name] = core(Tagger.load(Path(scratch) / FORMATS[name]))
            else:
                contenders[name] = core(Tagger.load(root / RELEASE, precision="bf16" if name == CORE_BF16 else "fp32"))
    return contenders


def core(tagger: Tagger) -> Contender:
    """Return the project's prediction core, as serving and batch use it."""

    def run(sentences: Sequence[list[str]]) -> list[Entities]:
        predictions = annotate(tagger, sentences)
        return [{(entity["start"], entity["end"], entity["type"]) for entity in each} for each in predictions]

    return run


def pipeline(tagger: Tagger, **options: Any) -> Contender:
    """Return transformers.pipeline on the same weights, given words; of its subwords the first of each word counts."""
    import transformers

    annotator: Any = transformers.pipeline(
        "token-classification", model=tagger.model, tokenizer=tagger.tokenizer, **options
    )

    def run(sentences: Sequence[list[str]]) -> list[Entities]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictions = annotator(list(sentences), is_split_into_words=True, delimiter=" ")
        return [by_first_subword(tokens, each) for tokens, each in zip(sentences, predictions, strict=True)]

    return run


def by_first_subword(tokens: Sequence[str], subwords: Sequence[dict[str, Any]]) -> Entities:
    """Return entities of the tags that the first subword of each token has, as the model was trained."""
    tags = {int(subword["start"]): subword["entity"] for subword in subwords}
    return gold(tokens, [tags.get(start, "O") for start, _ in places(tokens)])


def gold(tokens: Sequence[str], tags: Sequence[str]) -> Entities:
    """Return the entities of a sentence's tags."""
    where = places(tokens)
    return {(where[span.start][0], where[span.end - 1][1], span.type) for span in tags_to_spans(tags)}


def places(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Start and end of each token in the tokens with a space between."""
    ends = list(accumulate(len(token) + 1 for token in tokens))
    return [(end - 1 - len(token), end - 1) for token, end in zip(tokens, ends, strict=True)]
