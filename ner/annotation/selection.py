"""Which documents are worth a person's time: where the model is least sure, or most sure that the annotation is wrong.

chosen = most_uncertain(look(documents, tagger), 100)        # best first, each with its score and why
chosen = most_contradicted(look(documents, tagger), 100)
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ner.annotation.documents import Seen
from ner.data.predictions import Predictions
from ner.errors import InputError
from ner.inference.probability import span_score
from ner.report.label_issues import find_label_issues
from ner.tags import tags_to_spans

UNCERTAINTY, CONTRADICTION = "uncertainty", "contradiction"
SHORT = 20  # tokens: a shorter document counts as one of so many, or a single doubtful word would lead the list
REASONS = 3  # places that are named for a document


@dataclass(frozen=True)
class Chosen:
    """A document to annotate. score: expected_errors, or the sum of contradictions; why: the places that count most."""

    seen: Seen
    score: float
    why: str

    def __lt__(self, other: "Chosen") -> bool:
        return self.score < other.score


def most_uncertain(documents: Iterable[Seen], number: int) -> list[Chosen]:
    """Return the `number` documents with the most expected errors for their length; only so many are kept in memory."""
    heap: list[tuple[float, int, Chosen]] = []
    for index, seen in zip(count(), documents):
        errors, why = expected_errors(seen)
        choice = Chosen(seen, 100 * errors / max(seen.tokens, SHORT), why)
        heapq.heappush(heap, (choice.score, -index, choice))
        if len(heap) > number:
            heapq.heappop(heap)
    return [choice for *_, choice in sorted(heap, key=lambda entry: entry[:2], reverse=True)]


def expected_errors(seen: Seen) -> tuple[float, str]:
    """Return how many entities are probably wrong or missed, and the places where most of that comes from.

    By the calibrated probabilities: 1 - score of each entity found, and where none was found the probability that one
    begins there.
    """
    begins = [index for index, label in enumerate(seen.labels) if label.startswith("B-")]
    total, places = 0.0, []
    for sentence, rows, tags in zip(seen.document.sentences, seen.probabilities, seen.predicted_tags(), strict=True):
        starts = rows[:, begins]
        for span in tags_to_spans(tags):
            score = span_score(rows, *span, seen.labels)
            total += 1 - score
            places.append((1 - score, f"{span.type} '{' '.join(sentence.tokens[span.start : span.end])}' {score:.2f}"))
        for token in np.flatnonzero([tag == "O" for tag in tags]):
            missed = float(starts[token].sum())
            total += missed
            guess = seen.labels[begins[int(starts[token].argmax())]][2:] if begins else ""
            places.append((missed, f"O '{sentence.tokens[token]}', {guess} {float(starts[token].max(initial=0)):.2f}"))
    worst = heapq.nlargest(REASONS, places, key=lambda place: place[0])
    return total, "; ".join(text for _, text in worst)


def most_contradicted(documents: Iterable[Seen], number: int) -> list[Chosen]:
    """Return the `number` documents whose annotation the model contradicts most, by cleanlab's confidence.

    Raises InputError for documents that nobody annotated, and for entity types that the model does not know.
    """
    some = list(documents)
    issues = find_label_issues("", as_predictions(some), 1.0) if some else None
    if issues is None or not len(issues):
        return []
    choices = [
        Chosen(some[index], float(rows["confidence"].sum()), "; ".join(_contradictions(rows)))
        for index, rows in issues.groupby("document_id", sort=True)
    ]
    return sorted(choices, reverse=True)[:number]


def _contradictions(rows: Any) -> Iterator[str]:
    for row in rows.head(REASONS).itertuples():
        yield f"'{row.text}': annotated {row.annotated}, model {row.suggested} {row.confidence:.2f}"


def as_predictions(some: list[Seen]) -> Predictions:
    """Return the documents as one split, numbered from 0; temperature 1, as probabilities are calibrated already.

    Temperature 1, since the probabilities are calibrated already.
    """
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
