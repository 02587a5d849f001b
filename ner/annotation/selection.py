"""Why a document is worth a person's time: the model is not sure of it, or sure that its annotation is wrong.

candidates = map(uncertain, look(documents, tagger))           # each with its score and why; ner.annotation.diversity
chosen = most_contradicted(look(documents, tagger), 100)       # best first
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ner.annotation.documents import Seen
from ner.data.formats import Document
from ner.data.predictions import Predictions
from ner.errors import InputError
from ner.inference.probability import span_score
from ner.report.label_issues import find_label_issues
from ner.tags import tags_to_spans

UNCERTAINTY, CONTRADICTION = "uncertainty", "contradiction"
SHORT = 20  # tokens: a shorter document counts as one of so many, or a single doubtful word would lead the list
REASONS = 3  # places that are named for a document

Doubt = tuple[float, str]  # how many entities are probably wrong or missed at a place, and what stands there


@dataclass(frozen=True)
class Chosen:
    """A document to annotate, as it came, and with the entities of a model or another tool (guess), if there are any.

    score: expected errors in 100 tokens, or the sum of contradictions; why: the places that count most; alike: how many
    other documents nearly equal it.
    """

    document: Document
    guess: Document | None
    score: float
    why: str
    alike: int = 0

    @property
    def tokens(self) -> int:
        return sum(len(sentence.tokens) for sentence in self.document.sentences)

    def filled_in(self) -> Document:
        """Return the document as a person finds it: its own annotation where it has one, else the guess."""
        return self.document if self.document.labelled or not self.guess else self.guess


def doubtful(document: Document, guess: Document | None, doubts: Sequence[Doubt], unseen: float = 0.0) -> Chosen:
    """Return the document with its expected errors in 100 tokens. unseen: entities missed in a token, beside doubts."""
    tokens = sum(len(sentence.tokens) for sentence in document.sentences)
    errors = sum(doubt for doubt, _ in doubts) + unseen * tokens
    worst = heapq.nlargest(REASONS, doubts, key=lambda doubt: doubt[0])
    return Chosen(document, guess, 100 * errors / max(tokens, SHORT), "; ".join(text for _, text in worst))


def shown_names(choice: Chosen) -> set[str]:
    """Return the entities of a document in lower case; without annotation or guess, its words that may be names."""
    shown = choice.filled_in()
    if shown.labelled or choice.guess:
        return {span.text.casefold() for span in shown.entities() if span.text}
    return {word.casefold() for word in capitalised(shown)}


def capitalised(document: Document) -> Iterator[str]:
    """Yield the words with a capital, of sentences that are not all capitals."""
    for sentence in document.sentences:
        if any(token.islower() for token in sentence.tokens):
            yield from (token for token in sentence.tokens if token[0].isupper())


def uncertain(seen: Seen) -> Chosen:
    """Return the document with what the model makes of it, and the errors that are to be expected in that."""
    return doubtful(seen.document, seen.predicted(), expected_errors(seen))


def expected_errors(seen: Seen) -> list[Doubt]:
    """Return for each place how many entities are probably wrong or missed.

    By the calibrated probabilities: 1 - score of each predicted entity, and where there is none the probability that
    one begins there.
    """
    begins = [index for index, label in enumerate(seen.labels) if label.startswith("B-")]
    places = []
    for sentence, rows, tags in zip(seen.document.sentences, seen.probabilities, seen.predicted_tags(), strict=True):
        starts = rows[:, begins]
        for span in tags_to_spans(tags):
            score = span_score(rows, *span, seen.labels)
            places.append((1 - score, f"{span.type} '{' '.join(sentence.tokens[span.start : span.end])}' {score:.2f}"))
        for token in np.flatnonzero([tag == "O" for tag in tags]):
            guess = seen.labels[begins[int(starts[token].argmax())]][2:] if begins else ""
            text = f"O '{sentence.tokens[token]}', {guess} {float(starts[token].max(initial=0)):.2f}"
            places.append((float(starts[token].sum()), text))
    return places


def most_contradicted(documents: Iterable[Seen], number: int) -> list[Chosen]:
    """Return the `number` documents whose annotation the model contradicts most, by cleanlab's confidence.

    Raises InputError for documents that nobody annotated, and for entity types that the model does not know.
    """
    some = list(documents)
    issues = find_label_issues("", as_predictions(some), 1.0) if some else None
    if issues is None or not len(issues):
        return []
    choices = [
        Chosen(some[i].document, some[i].predicted(), float(rows["confidence"].sum()), "; ".join(_contradictions(rows)))
        for i, rows in issues.groupby("document_id", sort=True)
    ]
    return sorted(choices, key=lambda choice: choice.score, reverse=True)[:number]


def _contradictions(rows: Any) -> Iterator[str]:
    for row in rows.head(REASONS).itertuples():
        yield f"'{row.text}': annotated {row.annotated}, model {row.suggested} {row.confidence:.2f}"


def as_predictions(some: list[Seen]) -> Predictions:
    """Return the documents as one split, numbered from 0; temperature 1, as probabilities are calibrated already."""
    labels = list(some[0].labels)
    sentences = [(i, sentence) for i, seen in enumerate(some) for sentence in seen.document.sentences]
    unlabelled = [seen.document.name for seen in some if not seen.document.labelled]
    if unlabelled:
        raise InputError(
            f"document {unlabelled[0]} has no annotation that could be contradicted: choose by uncertainty, or name "
            "annotated documents (FROM=train)."
        )
    unknown = {tag for _, sentence in sentences for tag in sentence.tags} - set(labels)
    if unknown:
        types = ", ".join(sorted({tag[2:] for tag in unknown}))
        raise InputError(
            f"the annotation has types that the model was not trained on ({types}), so it contradicts all of them: "
            "choose by uncertainty, or train with them first."
        )
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(np.concatenate([rows for seen in some for rows in seen.probabilities])), -100)
    return Predictions(
        document_ids=[index for index, _ in sentences],
        sentence_ids=list(range(len(sentences))),
        lines=[0] * len(sentences),
        tokens=[sentence.tokens for _, sentence in sentences],
        gold=[sentence.tags for _, sentence in sentences],
        logits_document=logits,
        logits_alone=logits,
        labels=labels,
        context="document",
        fingerprint="",
    )
