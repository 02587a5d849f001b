"""What every reader yields, documents, and its report of what was read, kept and left out."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ner.data.conll import Sentence
from ner.tags import tags_to_spans

Offsets = tuple[int, int]
_PLACE = re.compile(r"(line|row|record|annotation) \d+.*")  # of a record without a name


class CharSpan(NamedTuple):
    """A typed, half-open range of characters; `text` is what the annotation says stands there, None if nothing."""

    start: int
    end: int
    type: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """Annotated sentences that belong together, tags in IOB2.

    text: the text that the tokens were cut from and offsets: [start, end) in it, a list a sentence; both None where
    the format has tokens alone. labelled: False for text that nobody annotated, whose tags are all O.
    """

    name: str
    sentences: list[Sentence]
    text: str | None = None
    offsets: list[list[Offsets]] | None = None
    labelled: bool = True

    def place_in(self, path: Path) -> str:
        """Return the file and the record, which has its place for a name or one of its own."""
        if self.name == path.stem:
            return path.name
        return f"{path.name}, {self.name if _PLACE.fullmatch(self.name) else f'document {self.name}'}"

    def with_text(self) -> tuple[str, list[list[Offsets]]]:
        """Return the text and the character span of each token; of tokens alone, joined by a space, and sentences by a
        line break.
        """
        if self.text is not None and self.offsets is not None:
            return self.text, self.offsets
        offsets, start = [], 0
        for sentence in self.sentences:
            places = []
            for token in sentence.tokens:
                places.append((start, start + len(token)))
                start += len(token) + 1
            offsets.append(places)
        return "\n".join(" ".join(sentence.tokens) for sentence in self.sentences), offsets

    def entities(self) -> list[CharSpan]:
        """Return the document's entities in order, as character spans of the text that `with_text` gives."""
        text, offsets = self.with_text()
        entities = []
        for sentence, places in zip(self.sentences, offsets, strict=True):
            for span in tags_to_spans(sentence.tags):
                start, end = places[span.start][0], places[span.end - 1][1]
                entities.append(CharSpan(start, end, span.type, text[start:end]))
        return entities


class Problem(NamedTuple):
    """Something that was left out or repaired: what, where, why.

    kind: "entity" or "document"; place: "line 12", "row 3"; text and type: the entity's, as far as they are known;
    reason: its cause, which is one of a few, a colon and the details.
    """

    kind: str
    file: str
    place: str
    document: str
    text: str
    type: str
    reason: str

    @property
    def cause(self) -> str:
        """The reason without its details, to count by."""
        return self.reason.partition(":")[0]

    def __str__(self) -> str:
        what = f"{self.type or 'no type'} {self.text!r}" if self.kind == "entity" else "the whole document"
        return f"{self.file}, {self.place}, document {self.document}: {what}: {self.reason}"


@dataclass
class Report:
    """The counts of a reader: entities_in = entities + listed entities, documents_in = documents + listed documents.

    types: kept entities by type. listed: everything that was not kept. repaired: kept, but not as it stands (tag
    sequences that the scheme does not allow, where format.repair asks for that). ignored: what is no entity annotation
    (relations, choices, comments), by kind. notes: what was read in a special way, each with how often.
    """

    documents_in: int = 0
    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    entities_in: int = 0
    entities: int = 0
    types: Counter[str] = field(default_factory=Counter)
    listed: list[Problem] = field(default_factory=list)
    repaired: list[Problem] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def is_balanced(self) -> bool:
        """Whether in = kept + listed. False only while a reading is unfinished, or by a mistake of ours."""
        lost = Counter(problem.kind for problem in self.listed)
        return self.entities_in == self.entities + lost["entity"] and self.documents_in == (
            self.documents + lost["document"]
        )

    def keep(self, document: Document) -> Document:
        """Count a document that is yielded."""
        self.documents += 1
        self.sentences += len(document.sentences)
        for sentence in document.sentences:
            self.tokens += len(sentence.tokens)
            types = [span.type for span in tags_to_spans(sentence.tags)]
            self.entities += len(types)
            self.types.update(types)
        return document

    def causes(self) -> dict[tuple[str, str], int]:
        """Return how much was left out, by kind ("entity", "document") and cause, most frequent first."""
        return dict(Counter((problem.kind, problem.cause) for problem in self.listed).most_common())

    def lines(self) -> Iterator[str]:
        """Yield the report as lines to print, one per fact; the listed problems themselves are left to the caller."""
        yield f"documents: {self.documents_in:,} in, {self.documents:,} kept"
        yield f"sentences: {self.sentences:,}, tokens: {self.tokens:,}"
        yield f"entities: {self.entities_in:,} in, {self.entities:,} kept, {self.entities_in - self.entities:,} listed"
        if self.types:
            yield "types: " + ", ".join(f"{name} {count:,}" for name, count in sorted(self.types.items()))
        for (kind, cause), count in self.causes().items():
            yield f"not kept: {count:,} x {kind}, {cause}"
        if self.repaired:
            yield f"repaired: {len(self.repaired):,} places, the first {self.repaired[0]}"
        yield from (f"ignored: {count:,} x {kind}" for kind, count in sorted(self.ignored.items()))
        yield from (f"note: {count:,} x {note}" for note, count in sorted(self.notes.items()))
