"""Which documents are worth a person's time: the model is not sure of them, or sure that their annotation is wrong.

chosen = most_varied(map(uncertain, look(documents, tagger)), 100)     # in the order of their choice, each with why
chosen = most_contradicted(look(documents, tagger), 100)               # best first

Of documents by score none is chosen that nearly equals one before it. Two texts are as similar as the share of their
runs of RUN characters that both have. A document counts less the more it resembles one that is chosen, and by half for
each time that its entities are in documents chosen already.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import Any
from zlib import crc32

import numpy as np
from pydantic import TypeAdapter
from scipy.sparse import csr_matrix

from ner.annotation.documents import Seen
from ner.common.progress import watched
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


CHOICE = TypeAdapter(Chosen)
NEARLY_EQUAL = 0.5  # similarity; of ten words one or two differ
RUN = 4  # characters
SKETCH = 128  # runs of a text that are compared: those whose hashes are the smallest, the same ones in equal texts


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


# ---- documents that differ from each other


def most_varied(candidates: Iterable[Chosen], number: int) -> list[Chosen]:
    """Return up to `number` documents, best first, each with how many others nearly equal it (`alike`).

    What is not chosen lies in a temporary file meanwhile; in memory are the scores, and hashes of text and entities.
    """
    scores, texts, names, places = [], [], [], []
    with TemporaryFile() as store:
        for choice in (candidate for candidate in candidates if candidate.tokens):
            places.append(store.tell())
            store.write(CHOICE.dump_json(choice) + b"\n")
            scores.append(choice.score)
            texts.append(_hashes(_runs(choice.document.with_text()[0]))[:SKETCH])
            names.append(_hashes(shown_names(choice)))
        chosen = []
        for index, alike in watched(_varied(np.array(scores), texts, names, number), "choosing documents"):
            store.seek(places[index])
            chosen.append(replace(CHOICE.validate_json(store.readline()), alike=alike))
    return chosen


def _varied(
    scores: np.ndarray, texts: Sequence[np.ndarray], names: Sequence[np.ndarray], number: int
) -> Iterator[tuple[int, int]]:
    """Yield the index of each document chosen, and how many of those left are nearly equal to it."""
    runs, entities = _rows(texts), _rows(names)
    by_run, sizes, counts = runs.T.tocsr(), runs.getnnz(axis=1), entities.getnnz(axis=1)
    nearest, weights = np.zeros(len(scores)), np.ones(entities.shape[1])  # to any chosen; of each entity
    for _ in range(min(number, len(scores))):
        novelty = np.where(counts > 0, entities @ weights / np.maximum(counts, 1), 1.0)
        best = int(np.where(nearest < NEARLY_EQUAL, scores * novelty * (1 - nearest), -1.0).argmax())
        if nearest[best] >= NEARLY_EQUAL:
            return
        shared = (runs[best] @ by_run).toarray()[0]
        before = np.count_nonzero(nearest >= NEARLY_EQUAL)
        nearest = np.maximum(nearest, shared / (sizes + sizes[best] - shared))
        weights[entities[best].indices] /= 2
        yield best, int(np.count_nonzero(nearest >= NEARLY_EQUAL) - before - 1)


def _runs(text: str) -> set[str]:
    text = " ".join(text.casefold().split())
    return {text[at : at + RUN] for at in range(max(1, len(text) - RUN + 1))}


def _hashes(strings: Iterable[str]) -> np.ndarray:
    return np.unique(np.array([crc32(string.encode("utf-8", "replace")) for string in strings], np.uint32))


def _rows(hashes: Sequence[np.ndarray]) -> csr_matrix:
    """Return a matrix with a row for each document and a 1 for each of its hashes."""
    ends = np.cumsum([0, *map(len, hashes)])
    values, columns = np.unique(np.concatenate(hashes or [np.empty(0, np.uint32)]), return_inverse=True)
    return csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(hashes), max(1, len(values))))
