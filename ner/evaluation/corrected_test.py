"""Scores of the test predictions against a corrected annotation of the same text (CoNLL++, CleanCoNLL).

corrected_scores(predictions, params.evaluation)      # None unless evaluation.corrected_test names a file

The file has CoNLL columns with the tag last. Its tokens must be those of the test split, in order; where its sentences
end does not matter for what was predicted, and the corrected ones are used.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ner.common.files import sha256_file
from ner.data.entities import count, entity_table, mark_correct, unit_numbers
from ner.data.formats.columns import read_strict
from ner.data.predictions import Predictions
from ner.errors import CorpusError, ParamsError
from ner.evaluation.bootstrap import intervals, resampled
from ner.evaluation.scoring import score
from ner.params import EvaluationParams

KEPT = ("precision", "recall", "f1", "f1_strict", "accuracy", "support")


def corrected_scores(predictions: Predictions, params: EvaluationParams) -> dict[str, Any] | None:
    """Return scores with intervals, and how many words have another tag than in the test split.

    Raises ParamsError where the file is not there, CorpusError where it cannot be read or has other tokens.
    """
    if params.corrected_test is None:
        return None
    path = Path(params.corrected_test)
    if not path.is_file():
        raise ParamsError(
            f"params.yaml, evaluation.corrected_test: there is no file {path}; put it in local/ and name it with its "
            "path from the root of the repository, or write null."
        )
    sentences = list(read_strict(path))
    check_tokens(predictions, sentences, path)
    ends = np.cumsum([len(sentence.tokens) for sentence in sentences])[:-1]
    flat = [tag for tags in predictions.tags(predictions.logits) for tag in tags]
    predicted = [part.tolist() for part in np.split(np.array(flat, dtype=object), ends)]
    gold = [sentence.tags for sentence in sentences]
    before = [tag for tags in predictions.gold for tag in tags]
    scores = score(gold, predicted)
    ours, theirs = entity_table(gold), entity_table(predicted)
    mark_correct(ours, theirs)
    documents = [
        document for document, tokens in zip(predictions.document_ids, predictions.tokens, strict=True) for _ in tokens
    ]
    starts = [0, *ends.tolist()]
    units, unit = unit_numbers([documents[start] for start in starts])
    counts = count(ours.assign(type="any"), theirs.assign(type="any"), units, ["any"])[:, 0]
    return {
        "file": str(path),
        "sha256": sha256_file(path),
        "changed_words": sum(a != b for a, b in zip(before, (tag for tags in gold for tag in tags), strict=True)),
        **{name: scores[name] for name in KEPT},
        "interval": intervals(resampled(counts, params.resamples, params.seed), params.confidence),
        "unit": unit,
    }


def check_tokens(predictions: Predictions, sentences: list[Any], path: Path) -> None:
    """Raise CorpusError at the first token that differs from the test split's."""
    ours = (token for tokens in predictions.tokens for token in tokens)
    where = ((sentence.line + index, token) for sentence in sentences for index, token in enumerate(sentence.tokens))
    for line, token in where:
        expected = next(ours, None)
        if token != expected:
            wanted = "no more tokens" if expected is None else f"{expected!r}"
            raise CorpusError(
                f"{path}, line {line}: the token is {token!r}, the test split has {wanted} there; a corrected test set "
                "(evaluation.corrected_test) must have the tokens of the test split, in order."
            )
    if (missing := next(ours, None)) is not None:
        raise CorpusError(
            f"{path} ends before the test split does, whose next token is {missing!r}: get the file again."
        )
