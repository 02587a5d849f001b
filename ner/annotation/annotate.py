"""Active learning: the documents to annotate next, as pre-annotated tasks of an annotation tool.

Run     ner annotate tasks.json --to label-studio --number 100 --from unlabelled --by uncertainty
        ner annotate tasks.json --spans spans.jsonl        (no model: the spans of another tool)
Reads   models/release or a version of the registry (--model), data/prepared or any file or folder (--from, --spans)
Writes  OUTPUT, OUTPUT.why.csv, for Label Studio OUTPUT.labels.xml; `ner corrections` takes the export back
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ner.annotation.documents import UNLABELLED, look, source_documents
from ner.annotation.selection import CONTRADICTION, UNCERTAINTY, Chosen, most_contradicted, most_varied, uncertain
from ner.annotation.spans import with_spans, without_model
from ner.annotation.tasks import TABLE, why_rows, write_tasks
from ner.batch.model import choose, fetch, other_code
from ner.common.progress import watched
from ner.common.tables import plain_table
from ner.data.formats import Report
from ner.errors import InputError

PREPARED, RELEASE = Path("data/prepared"), Path("models/release")
SHOWN, LONGEST_REASON = 10, 120


@dataclass
class Request:
    """What to choose from and how. source: as `source_documents` takes it; spans: a file that has texts and spans.

    by: uncertainty or contradiction; model: a folder or a version, None for none; report: takes the account of files.
    """

    number: int
    source: str | None = None
    spans: Path | None = None
    by: str = UNCERTAINTY
    model: str | None = None
    prepared: Path = PREPARED
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        if self.spans and (self.source or self.model):
            raise InputError(
                f"--spans {self.spans} has the texts and the entities itself: leave out --from and --model, or --spans."
            )
        if self.by == CONTRADICTION and not self.model:
            raise InputError("only a model can contradict an annotation: name one (--model), or leave out --by.")


def annotate(output: Path, tool: str, request: Request, types: Sequence[str] = ()) -> list[Chosen]:
    """Choose documents, write them as tasks for `tool`, and return them, best first. Raises NerError.

    types: what a person can choose from; those of the model and of the annotations if there are none.
    """
    if output.exists():
        raise InputError(f"{output} is there already: name another file, or remove it.")
    chosen, model, labels = chosen_documents(request)
    chosen = distinct(chosen)
    if not chosen:
        source = request.spans or request.source or UNLABELLED
        why = next((f" ({problem.reason})" for problem in request.report.listed if problem.kind == "document"), "")
        raise InputError(f"nothing to annotate: {source} has no document that could be chosen by {request.by}{why}.")
    types = types or sorted({label[2:] for label in labels} - {""} | {*request.report.types} | entity_types(chosen))
    write_tasks(output, chosen, tool, model, types)
    return chosen


def chosen_documents(request: Request) -> tuple[list[Chosen], str, Sequence[str]]:
    """Return the documents, best first, the name of the model or the file that pre-annotated them, and its labels.

    By uncertainty, or without a model, none nearly equals another one.
    """
    if request.spans:
        candidates = _looked_at(with_spans(request.spans, request.report))
        return most_varied(candidates, request.number), str(request.spans), []
    source = request.source or UNLABELLED
    if not request.model:
        documents = source_documents(source, request.prepared, None, request.report)
        return most_varied(_looked_at(map(without_model, documents)), request.number), "", []
    with tempfile.TemporaryDirectory() as scratch:
        version, tagger = load(request.model, Path(scratch) / "model")
        documents = source_documents(source, request.prepared, getattr(tagger, "language", None), request.report)
        seen = _looked_at(look(documents, tagger))
        if request.by == CONTRADICTION:
            return most_contradicted(seen, request.number), version, tagger.labels
        return most_varied(map(uncertain, seen), request.number), version, tagger.labels


def _looked_at(some: Iterator[Any]) -> Iterator[Any]:
    return watched(some, "looking at documents", " documents")


def distinct(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Return the documents with names that differ, as `ner corrections` needs them; tools often number anew."""
    times: Counter[str] = Counter()
    result = []
    for choice in chosen:
        times[name := choice.document.name] += 1
        if times[name] > 1:
            name = f"{name} ({times[name]})"
        guess = choice.guess and replace(choice.guess, name=name)
        result.append(replace(choice, document=replace(choice.document, name=name), guess=guess))
    return result


def load(reference: str, scratch: Path) -> tuple[str, Any]:
    """Name and tagger of a folder or a version of the registry. Raises RegistryError or ModelError."""
    from transformers.utils import logging

    from ner.inference.tagger import Tagger

    model = fetch(choose(reference), scratch)
    if warning := other_code(model):
        print(f"note: {warning}", flush=True)
    logging.disable_progress_bar()
    return str(model), Tagger.load(model.folder, device="auto", precision="auto")


def entity_types(chosen: Sequence[Chosen]) -> set[str]:
    """Return the entity types of annotations and guesses."""
    documents = [document for choice in chosen for document in (choice.document, choice.guess) if document]
    return {span.type for document in documents for span in document.entities()}


def main(
    output: Annotated[Path, typer.Argument(help="The file of tasks, which must not be there yet.")],
    to: Annotated[Literal["label-studio", "doccano", "prodigy"], typer.Option(help="The tool.")] = "label-studio",
    number: Annotated[int, typer.Option(min=1, help="How many documents.")] = 100,
    source: Annotated[str | None, typer.Option("--from", help="unlabelled (if not said), a split, or a path.")] = None,
    spans: Annotated[Path | None, typer.Option(help="Texts with another tool's spans; no model is used.")] = None,
    by: Annotated[Literal["uncertainty", "contradiction"], typer.Option(help="What is chosen first.")] = "uncertainty",
    model: Annotated[str | None, typer.Option(help=f"A folder, or ner@champion, or ner/3; else {RELEASE}.")] = None,
    types: Annotated[str, typer.Option(help="Types to choose from, as PER,LOC; else those that are known.")] = "",
) -> None:
    """Write the documents that a person should look at next as tasks, and print the first with the reason of each."""
    if not spans and not model:
        model = str(RELEASE) if RELEASE.exists() else None
        if not model:
            print(f"note: no model in {RELEASE}: nothing is pre-annotated (--spans FILE: the spans of another tool)")
    request = Request(number, source, spans, by, model)
    named = [name.strip() for name in types.split(",") if name.strip()]
    chosen = annotate(output, to, request, named)
    if request.report.documents_in:
        problems = [f"not kept: {problem}" for problem in request.report.listed[:SHOWN]]
        print("\n".join([*request.report.lines(), *problems]))
    rows = why_rows(chosen[:SHOWN])
    cells = [[*map(str, row[:-1]), row[-1][:LONGEST_REASON]] for row in rows]
    print(plain_table([TABLE, *cells], "lrrrrll"))
    alike = sum(choice.alike for choice in chosen)
    left_out = f", left out as nearly equal to one of them: {alike:,}" if alike else ""
    rule = by if by == CONTRADICTION else f"{by if model or spans else 'possible names'} and diversity"
    print(f"{len(chosen)} documents in {output}, chosen by {rule}{left_out}; why each: {output}.why.csv", flush=True)
    if to == "label-studio" and not Path(f"{output}.labels.xml").exists():
        print("name the types that a person can choose from, for Label Studio's interface: --types PER,LOC")
