"""Import what a person corrected in an annotation tool: a new corpus with those documents in their old places.

Run     ner corrections export.json local/corrected     (then data.source: local/corrected)
Reads   the export of the tool, in any form that ner.data.formats recognises; data/prepared, if there is a corpus
Writes  OUTPUT/{train,valid,test}.txt (two columns, IOB2), OUTPUT.changes.csv: every entity that came, went or was lost

A document named `train-12` takes the place of that one, on the corpus' own tokens; any other one is added to train,
which is the whole corpus where there was none.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.annotation.documents import SPLITS, UNLABELLED, corpus_documents
from ner.common.files import replacing_folder, write_text
from ner.common.tables import to_csv
from ner.data.formats import CharSpan, Document, Problem, Report, read, recognise
from ner.data.formats.alignment import align
from ner.data.formats.writers import write
from ner.data.prepared import MANIFEST, read_manifest
from ner.errors import InputError
from ner.inference.text import Token
from ner.tags import Span, spans_to_tags

PREPARED = Path("data/prepared")
FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
CHANGES = ["document", "change", "type", "text", "start", "end", "reason"]
SHOWN = 10


@dataclass
class Corrections:
    """The corpus with what came back, and its account: entities of report = entities + listed.

    replaced, added: documents; entities: those of them in the corpus now; listed: not kept, beside report.listed.
    """

    splits: dict[str, list[Document]]
    report: Report = field(default_factory=Report)
    replaced: int = 0
    added: int = 0
    entities: int = 0
    listed: list[Problem] = field(default_factory=list)
    changes: list[list[Any]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the summary, one a fact."""
        lost = self.report.listed + self.listed
        documents, entities = Counter(p.kind for p in lost)["document"], Counter(p.kind for p in lost)["entity"]
        kinds = Counter(change for _, change, *_ in self.changes)
        yield (
            f"documents: {self.report.documents_in:,} in, {self.replaced:,} replaced, {self.added:,} added to train, "
            f"{documents:,} listed"
        )
        yield f"entities: {self.report.entities_in:,} in, {self.entities:,} kept, {entities:,} listed"
        yield f"against the corpus: {kinds['new']:,} new, {kinds['gone']:,} gone"


def take_back(export: Path, prepared: Path) -> Corrections:
    """Read an export and put its documents into the corpus of `prepared`; they are the corpus where none is there.

    Raises CorpusError of the export.
    """
    manifest = read_manifest(prepared) if (prepared / MANIFEST).exists() else {}
    names = [split for split in (*SPLITS, UNLABELLED) if split in {*manifest, *manifest.get("splits", ())}]
    known = {document.name: document for split in names for document in corpus_documents(prepared, split)}
    result = Corrections({split: [] for split in SPLITS})
    back: dict[str, Document] = {}
    recognised = recognise(export)
    files = [path for paths in recognised.files.values() for path in paths]
    for document in read(files, recognised.format, result.report):
        if document.name in back:
            _list_document(result, document, export, "twice: the first one of that name is taken")
        elif document.name in known:
            _replace(result, back, known[document.name], document, export)
        else:
            back[document.name] = document
            _add(result, document)
    for name, document in known.items():
        split = name.rpartition("-")[0]
        if split != UNLABELLED:
            result.splits[split].append(back.get(name, document))
        elif name in back:
            _add(result, back[name])
    return result


def _add(result: Corrections, document: Document) -> None:
    result.splits["train"].append(document)
    result.added += 1
    spans = document.entities()
    result.entities += len(spans)
    result.changes += [_row(document.name, "new", span) for span in spans]


def _replace(
    result: Corrections, back: dict[str, Document], original: Document, document: Document, export: Path
) -> None:
    text, offsets = original.with_text()
    if document.with_text()[0] != text:
        _list_document(result, document, export, "other text: the corpus has another one under that name")
        return
    tokens = [
        [Token(word, *place) for word, place in zip(sentence.tokens, places, strict=True)]
        for sentence, places in zip(original.sentences, offsets, strict=True)
    ]
    spans, refused, _ = align(text, document.entities(), tokens)
    for span, reason in refused:
        reason = reason.replace("across a blank line: no predicted entity is", "across sentences: no entity is")
        result.listed.append(_problem("entity", export, document, span, reason))
        result.changes.append(_row(document.name, "lost", span, reason))
    corrected = _with_spans(original, spans)
    back[document.name] = corrected
    if not document.name.startswith(UNLABELLED):
        result.replaced += 1
        result.entities += len(spans)
        before, after = set(original.entities()), set(corrected.entities())
        result.changes += [_row(document.name, "gone", span) for span in sorted(before - after)]
        result.changes += [_row(document.name, "new", span) for span in sorted(after - before)]


def _with_spans(original: Document, spans: list[Span]) -> Document:
    """Return the document with these entities; spans count its tokens through all sentences."""
    tags = spans_to_tags(spans, sum(len(sentence.tokens) for sentence in original.sentences))
    rows, at = [], 0
    for sentence in original.sentences:
        rows.append(sentence._replace(tags=tags[at : at + len(sentence.tokens)]))
        at += len(sentence.tokens)
    return replace(original, sentences=rows, labelled=True)


def _list_document(result: Corrections, document: Document, export: Path, reason: str) -> None:
    nothing = CharSpan(0, 0, "", document.with_text()[0][:80])
    result.listed.append(_problem("document", export, document, nothing, reason))
    for span in document.entities():
        result.listed.append(_problem("entity", export, document, span, reason))
        result.changes.append(_row(document.name, "lost", span, reason))


def _problem(kind: str, export: Path, document: Document, span: CharSpan, reason: str) -> Problem:
    return Problem(kind, export.name, f"document {document.name}", document.name, span.text or "", span.type, reason)


def _row(name: str, change: str, span: CharSpan, reason: str = "") -> list[Any]:
    return [name, change, span.type, span.text, span.start, span.end, reason]


def write_corpus(output: Path, result: Corrections) -> None:
    """Write the splits and beside them what changed. Raises InputError where `output` is there already."""
    if output.exists():
        raise InputError(f"{output} is there already: name another folder, or remove it.")
    with replacing_folder(output) as temporary:
        for split, documents in result.splits.items():
            if documents:
                write(temporary / FILES[split], documents, "conll")
    read_problems = [[p.document, "lost", p.type, p.text, "", "", p.reason] for p in result.report.listed]
    write_text(output.with_name(f"{output.name}.changes.csv"), to_csv(CHANGES, result.changes + read_problems))


def main(
    export: Annotated[Path, typer.Argument(help="What the annotation tool exported.")],
    output: Annotated[Path, typer.Argument(help="A folder in local/, which must not be there yet.")],
) -> None:
    """Write the corpus with what was annotated as a new one, and print what changed."""
    if not export.exists():
        raise InputError(f"{export} is not here: export the annotated tasks from the tool, as JSON or JSONL.")
    result = take_back(export, PREPARED)
    if not result.replaced + result.added:
        first = next((f" ({p.reason})" for p in result.report.listed + result.listed if p.kind == "document"), "")
        raise InputError(f"{export} has no annotated document{first}: nothing is written.")
    write_corpus(output, result)
    print("\n".join(result.lines()))
    lost = [f"not kept: {problem}" for problem in result.report.listed + result.listed]
    print("\n".join([*lost[:SHOWN], f"{output}.changes.csv lists every change"]))
    is_whole = all(result.splits.values())
    print(f"to train with them set data.source: {output}" if is_whole else f"to train with them: ner new-data {output}")
