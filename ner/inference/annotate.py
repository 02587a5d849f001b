"""Texts, or tokens, to the entities that a model predicts in them, each with its place in the caller's string.

for entity in annotate(tagger, ["Smith's firm is in the U.S."])[0]:
    assert text[entity["start"]:entity["end"]] == entity["text"]
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ner.errors import InputError
from ner.inference.decoding import best_tags
from ner.inference.probability import log_probabilities, span_score
from ner.inference.text import LANGUAGE, Token, paragraphs, sentences, without_surrogates
from ner.tags import tags_to_spans


class Probabilities(Protocol):
    """The part of ner.inference.tagger.Tagger that `annotate` needs; `language`, default LANGUAGE, splits texts."""

    labels: list[str]

    def predict(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]: ...


def annotate(
    tagger: Probabilities,
    inputs: Sequence[str | Sequence[str]],
    min_score: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[dict[str, Any]]]:
    """Return the entities of each input, in order: type, start, end, text, score.

    inputs: a text (str), or the tokens of one (list of str), of any length. Offsets of tokens are those of
    `" ".join(tokens)`, and their entities also have token_start and token_end, half-open. An input is a document: its
    sentences share windows as they did in training, and never with another input. min_score: entities under it are
    left out. progress: called with (windows done, windows in all). Raises InputError for anything else than texts and
    tokens.
    """
    language = getattr(tagger, "language", LANGUAGE)
    documents = [_read(index, item, language) for index, item in enumerate(inputs)]
    rows = [
        (i, tokens, sentences(tokens, language))
        for i, (_, paragraphs_of_one) in enumerate(documents)
        for tokens in paragraphs_of_one
    ]
    flat = [[token.text for token in cut] for _, _, cuts in rows for cut in cuts]
    document_ids = [index for index, _, cuts in rows for _ in cuts]
    probabilities = iter(tagger.predict(flat, document_ids, progress))
    answers: list[list[dict[str, Any]]] = [[] for _ in documents]
    for index, tokens, cuts in rows:
        whole = np.concatenate([next(probabilities) for _ in cuts])
        text = documents[index][0]
        some = entities(text, tokens, whole, tagger.labels, with_tokens=not isinstance(inputs[index], str))
        answers[index] += [entity for entity in some if entity["score"] >= min_score]
    return answers


def entities(
    text: str, tokens: Sequence[Token], probabilities: np.ndarray, labels: Sequence[str], with_tokens: bool = False
) -> list[dict[str, Any]]:
    """Return the entities of the best valid tags of `tokens` (ner.inference.decoding).

    probabilities: [n_tokens, n_labels]. score: ner.inference.probability.span_score. with_tokens: add token_start,
    token_end.
    """
    best = best_tags(log_probabilities(probabilities), labels)
    answers = []
    for span in tags_to_spans([labels[tag] for tag in best]):
        start, end = tokens[span.start].start, tokens[span.end - 1].end
        score = span_score(probabilities, *span, labels)
        entity = {"type": span.type, "start": start, "end": end, "text": text[start:end], "score": score}
        if with_tokens:
            entity |= {"token_start": span.start, "token_end": span.end}
        answers.append(entity)
    return answers


def _read(index: int, item: Any, language: str) -> tuple[str, list[list[Token]]]:
    """Return an input's text and the tokens of its paragraphs; tokens are one paragraph."""
    if isinstance(item, str):
        return item, paragraphs(item, language)
    if not isinstance(item, Sequence) or isinstance(item, bytes):
        raise InputError(f"input {index}: need a text or a list of tokens, got {type(item).__name__}.")
    tokens, start = [], 0
    for place, word in enumerate(item):
        if not isinstance(word, str) or not word.strip():
            raise InputError(f"input {index}, token {place}: need a string that is not blank, got {word!r:.60}.")
        tokens.append(Token(without_surrogates(word), start, start + len(word)))
        start += len(word) + 1
    return " ".join(item), [tokens] if tokens else []
