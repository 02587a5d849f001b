"""The documents that a person should look at next, as pre-annotated tasks of an annotation tool.

Run     ner annotate tasks.json --to label-studio --number 100 --from unlabelled --by uncertainty
Reads   models/release or a version of the registry (--model), data/prepared or any file or folder (--from)
Writes  OUTPUT, OUTPUT.why.csv, for Label Studio OUTPUT.labels.xml; `ner corrections` takes the export back
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ner.annotation.documents import look, source_documents
from ner.annotation.selection import CONTRADICTION, UNCERTAINTY, Chosen, most_contradicted, most_uncertain
from ner.annotation.tasks import TABLE, why_rows, write_tasks
from ner.batch.model import choose, fetch, other_code
from ner.common.progress import watched
from ner.common.tables import plain_table
from ner.data.formats import Report
from ner.errors import InputError

PREPARED, RELEASE = Path("data/prepared"), "models/release"
SHOWN, LONGEST_REASON = 10, 120
CHOICES = {UNCERTAINTY: most_uncertain, CONTRADICTION: most_contradicted}


def annotate(
    output: Path, tool: str, number: int, source: str, by: str, model: str, prepared: Path, report: Report
) -> list[Chosen]:
    """Choose `number` documents of `source`, write them as tasks for `tool`, and return them, best first.

    report: takes the account where `source` is a file. Raises NerError.
    """
    if output.exists():
        raise InputError(f"{output} is there already: name another file, or remove it.")
    with tempfile.TemporaryDirectory() as scratch:
        version, tagger = load(model, Path(scratch) / "model")
        documents = source_documents(source, prepared, getattr(tagger, "language", None), report)
        chosen = CHOICES[by](watched(look(documents, tagger), "looking at documents", " documents"), number)
    if not chosen:
        raise InputError(f"nothing to annotate: {source} has no document that could be chosen by {by}.")
    write_tasks(output, chosen, tool, version, entity_types(chosen))
    return chosen


def load(reference: str, scratch: Path) -> tuple[str, Any]:
    """Name and tagger of a folder or a version of the registry. Raises RegistryError or ModelError."""
    from transformers.utils import logging

    from ner.inference.tagger import Tagger

    model = fetch(choose(reference), scratch)
    if warning := other_code(model):
        print(f"note: {warning}", flush=True)
    logging.disable_progress_bar()
    return str(model), Tagger.load(model.folder, device="auto", precision="auto")


def entity_types(chosen: list[Chosen]) -> list[str]:
    """Return the entity types of the model and of the annotations, in order."""
    tags = {label for choice in chosen for label in choice.seen.labels}
    tags |= {tag for choice in chosen for sentence in choice.seen.document.sentences for tag in sentence.tags}
    return sorted({tag[2:] for tag in tags if tag != "O"})


def main(
    output: Annotated[Path, typer.Argument(help="The file of tasks, which must not be there yet.")],
    to: Annotated[Literal["label-studio", "doccano", "prodigy"], typer.Option(help="The tool.")] = "label-studio",
    number: Annotated[int, typer.Option(min=1, help="How many documents.")] = 100,
    source: Annotated[str, typer.Option("--from", help="unlabelled, a split, or a path.")] = "unlabelled",
    by: Annotated[Literal["uncertainty", "contradiction"], typer.Option(help="What is chosen first.")] = "uncertainty",
    model: Annotated[str, typer.Option(help="A folder, or ner@champion, or ner/3.")] = RELEASE,
) -> None:
    """Write the documents that a person should look at next as tasks, and print the first with the reason of each."""
    report = Report()
    chosen = annotate(output, to, number, source, by, model, PREPARED, report)
    if report.documents_in:
        print("\n".join(report.lines()))
        print("\n".join(f"not kept: {problem}" for problem in report.listed[:SHOWN]))
    rows = why_rows(chosen[:SHOWN])
    cells = [[*map(str, row[:4]), row[-1][:LONGEST_REASON]] for row in rows]
    print(plain_table([[*TABLE[:4], "why"], *cells], "lrrrl"))
    print(f"{len(chosen)} documents in {output}, chosen by {by}; why each: {output}.why.csv", flush=True)
