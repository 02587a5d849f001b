"""Who runs in the benchmark: each takes sentences, as lists of tokens, and gives their entities.

contenders = load(Path(), ["pipeline", "core fp32"], Path(".ner/bench"))
contenders["core fp32"]([["Marta", "Okafor", "left", "."]])     # [{(0, 12, "PER")}]
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from ner.common.files import read_json, replacing_folder, sha256_file
from ner.export.run import EXPORTS, REPORT, source_digest, write_models
from ner.inference.annotate import annotate
from ner.inference.onnx import FP32, INT8
from ner.inference.tagger import Tagger
from ner.registry.release import RELEASE
from ner.tags import tags_to_spans

Entities = set[tuple[int, int, str]]  # start, end, type; code points of the tokens with a space between
Contender = Callable[[Sequence[list[str]]], list[Entities]]

PIPELINE, PIPELINE_32, PIPELINE_FIRST = "pipeline", "pipeline, batch_size=32", "pipeline, aggregation first"
OPTIONS: dict[str, dict[str, Any]] = {
    PIPELINE: {},
    PIPELINE_32: {"batch_size": 32},
    PIPELINE_FIRST: {"aggregation_strategy": "first"},
}
CORE, CORE_BF16, CORE_ONNX, CORE_INT8 = "core fp32", "core bf16", "core onnx", "core onnx-int8"
NAMES = (PIPELINE, PIPELINE_32, PIPELINE_FIRST, CORE, CORE_BF16, CORE_ONNX, CORE_INT8)
EXPORTERS = ("ner.export.run", "ner.export.int8", "ner.export.onnx_graph")
FORMATS = {CORE_ONNX: FP32, CORE_INT8: INT8}


def load(root: Path, names: Iterable[str], cache: Path) -> dict[str, Contender]:
    """Return the named contenders, all of models/release; formats that are not in models/export are made in `cache`."""
    names = list(names)
    release = Tagger.load(root / RELEASE)
    contenders: dict[str, Contender] = {}
    for name in names:
        if name in FORMATS:
            contenders[name] = core(Tagger.load(exported(root, FORMATS[name], cache)))
        elif name == CORE_BF16:
            contenders[name] = core(Tagger.load(root / RELEASE, precision="bf16"))
        elif name == CORE:
            contenders[name] = core(release)
        else:
            contenders[name] = pipeline(release, **OPTIONS[name])
    return contenders


def core(tagger: Tagger) -> Contender:
    """Return the project's prediction core, as serving and batch use it."""

    def run(sentences: Sequence[list[str]]) -> list[Entities]:
        predictions = annotate(tagger, sentences)
        return [{(entity["start"], entity["end"], entity["type"]) for entity in each} for each in predictions]

    return run


def pipeline(tagger: Tagger, **options: Any) -> Contender:
    """Return transformers.pipeline on the same weights, given words.

    Without aggregation, its default, it returns subwords.

    An aggregation makes entities of them itself, but takes a mark inside of a token, as in U.S., for a word of its own.
    """
    import transformers

    annotator: Any = transformers.pipeline(
        "token-classification", model=tagger.model, tokenizer=tagger.tokenizer, **options
    )
    decode = aggregated if "aggregation_strategy" in options else by_first_subword

    def run(sentences: Sequence[list[str]]) -> list[Entities]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictions = annotator(list(sentences), is_split_into_words=True, delimiter=" ")
        return [decode(tokens, each) for tokens, each in zip(sentences, predictions, strict=True)]

    return run


def by_first_subword(tokens: Sequence[str], subwords: Sequence[dict[str, Any]]) -> Entities:
    """Return entities of the tags that the first subword of each token has, as the model was trained."""
    tags = {int(subword["start"]): subword["entity"] for subword in subwords}
    return gold(tokens, [tags.get(start, "O") for start, _ in places(tokens)])


def aggregated(tokens: Sequence[str], entities: Sequence[dict[str, Any]]) -> Entities:
    """Return the pipeline's own entities."""
    return {(int(entity["start"]), int(entity["end"]), entity["entity_group"]) for entity in entities}


def exported(root: Path, name: str, cache: Path) -> Path:
    """Return a folder with the release in that format: of stage `export` where it has it, else made once and kept."""
    source = source_digest(root / RELEASE)
    report = read_json(root / REPORT) if (root / REPORT).exists() else {"source": None, "formats": {}}
    if report["source"] == source and (root / EXPORTS / name).is_dir():
        return root / EXPORTS / name
    folder = cache / f"{source[:16]}-{exporters()[:8]}" / name
    if not folder.is_dir():
        print(f"{name}: exporting the release, once", flush=True)
        with replacing_folder(folder) as temporary:
            write_models(root, temporary, (name,))
            for file in list((temporary / name).iterdir()):
                file.rename(temporary / file.name)
            (temporary / name).rmdir()
    return folder


def exporters() -> str:
    """Return Hex sha256 over the code that exports: what other code made is not measured as this one's."""
    files = [Path(cast(Any, find_spec(name)).origin) for name in EXPORTERS]
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()


def gold(tokens: Sequence[str], tags: Sequence[str]) -> Entities:
    """Return the entities of a sentence's tags."""
    where = places(tokens)
    return {(where[span.start][0], where[span.end - 1][1], span.type) for span in tags_to_spans(tags)}


def places(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Start and end of each token in the tokens with a space between."""
    ends = list(accumulate(len(token) + 1 for token in tokens))
    return [(end - 1 - len(token), end - 1) for token, end in zip(tokens, ends, strict=True)]
