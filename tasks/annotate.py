"""The documents that a person should look at next, as pre-annotated tasks of an annotation tool.

Run     python -m tasks.annotate --output tasks.json --to label-studio --number 100 --from unlabelled --by uncertainty
Reads   models/release or a version of the registry (--model), data/prepared or any file or folder (--from)
Writes  OUTPUT, OUTPUT.why.csv, for Label Studio OUTPUT.labels.xml; `python -m tasks.corrections` takes the export back
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks.cli import run_stage  # isort: skip  first: it switches telemetry off
from ner.errors import InputError
from ner.readers import Report
from tasks.annotation_choice import CONTRADICTION, UNCERTAINTY, Chosen, most_contradicted, most_uncertain
from tasks.annotation_source import Seen, look, source_documents
from tasks.annotation_tasks import TABLE, TOOLS, why_rows, write_tasks
from tasks.batch_model import choose, fetch, other_code
from tasks.tables import plain_table

PREPARED, RELEASE = Path("data/prepared"), "models/release"
SAY_EVERY_S = 10.0
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
        chosen = CHOICES[by](told(look(documents, tagger)), number)
    if not chosen:
        raise InputError(f"nothing to annotate: {source} has no document that could be chosen by {by}.")
    write_tasks(output, chosen, tool, version, entity_types(chosen))
    return chosen


def load(reference: str, scratch: Path) -> tuple[str, Any]:
    """Name and tagger of a folder or a version of the registry. Raises RegistryError or ModelError."""
    from transformers.utils import logging

    from ner.prediction import Tagger

    model = fetch(choose(reference), scratch)
    if warning := other_code(model):
        print(f"note: {warning}", flush=True)
    logging.disable_progress_bar()
    return str(model), Tagger.load(model.folder, device="auto", precision="auto")


def told(documents: Iterable[Seen]) -> Iterator[Seen]:
    """The documents, with a line now and then of how far it is."""
    said = time.monotonic()
    tokens = 0
    for count, seen in enumerate(documents, start=1):
        tokens += seen.tokens
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            print(f"looked at {count:,} documents, {tokens:,} tokens", flush=True)
        yield seen


def entity_types(chosen: list[Chosen]) -> list[str]:
    """Those of the model and of the annotations, in order."""
    tags = {label for one in chosen for label in one.seen.labels}
    tags |= {tag for one in chosen for sentence in one.seen.document.sentences for tag in sentence.tags}
    return sorted({tag[2:] for tag in tags if tag != "O"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.annotate", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="the file of tasks, which must not be there yet")
    parser.add_argument("--to", choices=list(TOOLS), default="label-studio", help="the tool (%(default)s)")
    parser.add_argument("--number", type=int, default=100, help="how many documents (%(default)s)")
    parser.add_argument(
        "--from", dest="source", default="unlabelled", help="unlabelled, train, validation, test, a path"
    )
    parser.add_argument("--by", choices=list(CHOICES), default=UNCERTAINTY, help="what is chosen first (%(default)s)")
    parser.add_argument("--model", default=RELEASE, help="a folder, or ner@champion, or ner/3 (%(default)s)")
    asked = parser.parse_args()
    if asked.number < 1:
        raise InputError(f"--number is {asked.number}, need 1 or more.")
    report = Report()
    chosen = annotate(asked.output, asked.to, asked.number, asked.source, asked.by, asked.model, PREPARED, report)
    if report.documents_in:
        print("\n".join(report.lines()))
        print("\n".join(f"not kept: {problem}" for problem in report.listed[:SHOWN]))
    rows = why_rows(chosen[:SHOWN])
    table = plain_table([TABLE[:4], *([str(cell) for cell in row[:4]] for row in rows)]).split("\n")
    reasons = ["why", *(row[-1][:LONGEST_REASON] for row in rows)]
    print("\n".join(f"{line}  {reason}" for line, reason in zip(table, reasons, strict=True)))
    print(
        f"{len(chosen)} documents in {asked.output}, chosen by {asked.by}; why each: {asked.output}.why.csv", flush=True
    )


if __name__ == "__main__":
    run_stage("annotate", main)
