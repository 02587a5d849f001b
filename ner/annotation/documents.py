"""Documents to choose from, each with what the model makes of it: a split, the unlabelled texts, or any file.

    for seen in documents_of("train", Path("data/prepared"), tagger): ...

A document of the corpus has a name that leads back to it (`train-12`), and as text its tokens with a space between.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ner.data.conll import Sentence
from ner.data.entities import unit_numbers
from ner.data.formats import Document, Format, Recognised, Report, read, recognise
from ner.data.prepared import read_manifest, read_split, to_tags
from ner.errors import InputError
from ner.inference.decoding import best_tags
from ner.inference.probability import log_probabilities
from ner.inference.text import BLANK_LINE
from ner.tags import spans_to_tags, tags_to_spans

SPLITS, UNLABELLED = ("train", "validation", "test"), "unlabelled"
BATCH = 5_000  # tokens whose probabilities are in memory at once


@dataclass(frozen=True)
class Seen:
    """A document, annotated or not, and the probability of each tag of its tokens.

    probabilities: a float32 array [n_tokens, n_labels] a sentence, calibrated; labels: what the columns are.
    """

    document: Document
    probabilities: list[np.ndarray]
    labels: Sequence[str]

    def predicted_tags(self) -> list[list[str]]:
        """Return what the model says, in valid IOB2."""
        rows = [log_probabilities(matrix) for matrix in self.probabilities]
        read_tags = [[self.labels[tag] for tag in best_tags(matrix, self.labels)] for matrix in rows]
        return [spans_to_tags(tags_to_spans(tags), len(tags)) for tags in read_tags]

    def predicted(self) -> Document:
        """Return the document with the model's tags."""
        rows = zip(self.document.sentences, self.predicted_tags(), strict=True)
        return replace(self.document, sentences=[sentence._replace(tags=tags) for sentence, tags in rows])


def corpus_documents(prepared: Path, split: str) -> list[Document]:
    """Return the documents of a split, named by their place; one per sentence where the corpus has no boundaries."""
    manifest, rows = read_manifest(prepared), read_split(prepared, split)
    tags = to_tags(rows.tag_ids, manifest["labels"])
    units, _ = unit_numbers(rows.document_ids)
    columns = zip(units, rows.tokens, tags, rows.lines, strict=True)
    sentences = [Sentence(int(unit), tokens, own, line) for unit, tokens, own, line in columns]
    groups = groupby(sentences, key=lambda sentence: sentence.document_id)
    return [Document(f"{split}-{unit}", list(some), labelled=split != UNLABELLED) for unit, some in groups]


def source_documents(source: str, prepared: Path, language: str | None, report: Report) -> Iterator[Document]:
    """Return the documents of `source`: a split, `unlabelled`, or a file or folder in any form that is recognised.

    language: whose rules cut texts into tokens, None for the form's own. Raises InputError, or CorpusError of a file.
    """
    if source in SPLITS:
        return iter(corpus_documents(prepared, source))
    if source == UNLABELLED:
        if UNLABELLED not in read_manifest(prepared):
            raise InputError(
                f"{prepared} has no unlabelled texts: add the split `unlabelled` to the corpus in catalog.yaml, or "
                "name a file, or one of train, validation, test."
            )
        return iter(corpus_documents(prepared, source))
    path = Path(source)
    if not path.exists():
        raise InputError(f"{source!r} is no file here, and none of {', '.join((UNLABELLED, *SPLITS))}.")
    return _of_files(path, language, report)


def _of_files(path: Path, language: str | None, report: Report) -> Iterator[Document]:
    for file, form in forms_of(recognise(path)):
        yield from read(file, replace(form, language=form.language or language), report)


def forms_of(recognised: Recognised) -> Iterator[tuple[Path, Format]]:
    """Yield each file of what was recognised, with its format."""
    for split, files in recognised.files.items():
        form = (recognised.unlabelled or recognised.format) if split == UNLABELLED else recognised.format
        yield from ((file, form) for file in files)


def look(documents: Iterable[Document], tagger: Any) -> Iterator[Seen]:
    """Yield each document that has tokens with the model's probabilities, in order; BATCH tokens at a time."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += sum(len(sentence.tokens) for sentence in document.sentences)
        if size >= BATCH:
            yield from _predicted(batch, tagger)
            batch, size = [], 0
    yield from _predicted(batch, tagger)


def _predicted(batch: Sequence[Document], tagger: Any) -> Iterator[Seen]:
    sentences = [sentence.tokens for document in batch for sentence in document.sentences]
    owners = [index for index, document in enumerate(batch) for _ in document.sentences]
    rows = iter(tagger.predict(sentences, owners))
    for document in batch:
        seen = [next(rows) for _ in document.sentences]
        if seen:
            yield rejoined(Seen(document, seen, tagger.labels))


def rejoined(seen: Seen) -> Seen:
    """Join sentences that an entity crosses: in a text their ends were guessed, as that in "St. Louis".

    A corpus' own sentences stay as they are.
    """
    document = seen.document
    if document.text is None or document.offsets is None:
        return seen
    rows, places, sentences = [seen.probabilities[0]], [document.offsets[0]], [document.sentences[0]]
    for sentence, offsets, here in zip(
        document.sentences[1:], document.offsets[1:], seen.probabilities[1:], strict=True
    ):
        before, after = (seen.labels[row.argmax()] for row in (rows[-1][-1], here[0]))
        gap = document.text[places[-1][-1][1] : offsets[0][0]]
        if after.startswith("I-") and before[2:] == after[2:] and not BLANK_LINE.search(gap):
            last = sentences[-1]
            sentences[-1] = last._replace(tokens=last.tokens + sentence.tokens, tags=last.tags + sentence.tags)
            places[-1], rows[-1] = places[-1] + offsets, np.concatenate([rows[-1], here])
        else:
            sentences.append(sentence)
            places.append(offsets)
            rows.append(here)
    return replace(seen, document=replace(document, sentences=sentences, offsets=places), probabilities=rows)
