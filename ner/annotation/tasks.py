"""Chosen documents as pre-annotated tasks of Label Studio, doccano and Prodigy.

    write_tasks(Path("tasks.json"), chosen, "label-studio", "ner version 3", types)

What nobody annotated is filled in with the model's entities; an annotated document keeps its annotation, so that
no person's work is replaced by a guess, and the task says where the model reads it otherwise.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import quoteattr

from ner.annotation.selection import Chosen
from ner.common.files import write_text
from ner.common.tables import to_csv
from ner.data.formats import Document
from ner.data.formats.writers import write

ANNOTATED = "annotated"  # the name of the filled-in annotation where it is not the model's
TABLE = ["rank", "document", "tokens", "score", "annotated", "why"]

Records = list[dict[str, Any]]


def write_tasks(path: Path, chosen: Sequence[Chosen], tool: str, model: str, types: Sequence[str]) -> list[Path]:
    """Write the tasks, beside them why each was chosen (`.why.csv`) and for Label Studio its labels (`.labels.xml`).

    model: its name, for the tool. types: that a person can choose from. Returns the files.
    """
    write_text(path, TOOLS[tool](chosen, model))
    table = path.with_name(f"{path.name}.why.csv")
    write_text(table, to_csv(TABLE, why_rows(chosen)))
    if tool != "label-studio":
        return [path, table]
    interface = path.with_name(f"{path.name}.labels.xml")
    write_text(interface, label_config(types))
    return [path, table, interface]


def why_rows(chosen: Sequence[Chosen]) -> list[list[Any]]:
    """Return a row a document, in the order of TABLE."""
    return [
        [
            rank,
            o.seen.document.name,
            o.seen.tokens,
            f"{o.score:.4f}",
            "yes" if o.seen.document.labelled else "no",
            o.why,
        ]
        for rank, o in enumerate(chosen, start=1)
    ]


def filled_in(choice: Chosen) -> Document:
    """Return the document as a person finds it: its own annotation where it has one, else the model's."""
    return choice.seen.document if choice.seen.document.labelled else choice.seen.predicted()


def _label_studio(chosen: Sequence[Chosen], model: str) -> str:
    """Return Label Studio's tasks with predictions; an annotated document has its annotation first."""
    tasks = _records([filled_in(choice) for choice in chosen], "label-studio", predictions=True)
    models = _records([choice.seen.predicted() for choice in chosen], "label-studio", predictions=True)
    for task, by_model, choice in zip(tasks, models, chosen, strict=True):
        (filled,), (guess,) = task["predictions"], by_model["predictions"]
        guess |= {"model_version": model, "score": _score(choice)}
        filled["model_version"] = ANNOTATED
        task["predictions"] = [filled, guess] if choice.seen.document.labelled else [guess]
        task["data"] |= _facts(choice, model)
        for result in (r for prediction in task["predictions"] for r in prediction["result"]):
            value, text = result["value"], task["data"]["text"]
            value |= {edge: _utf16(text, value[edge]) for edge in ("start", "end")}
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def _utf16(text: str, offset: int) -> int:
    """Count offsets as browsers do, for Label Studio: characters beyond the first 65,536 count as two."""
    return offset + sum(character > "\uffff" for character in text[:offset])


def _doccano(chosen: Sequence[Chosen], model: str) -> str:
    return _lines(
        record | _facts(choice, model) for record, choice in zip(_filled(chosen, "doccano"), chosen, strict=True)
    )


def _prodigy(chosen: Sequence[Chosen], model: str) -> str:
    records = _filled(chosen, "prodigy", answer=None)
    return _lines(r | {"meta": r["meta"] | _facts(choice, model)} for r, choice in zip(records, chosen, strict=True))


def _filled(chosen: Sequence[Chosen], tool: str, **options: Any) -> Records:
    return _records([filled_in(choice) for choice in chosen], tool, **options)


def _facts(choice: Chosen, model: str) -> dict[str, Any]:
    return {"score": _score(choice), "model": model, "why": choice.why}


def _score(choice: Chosen) -> float:
    return round(choice.score, 4)


def _records(documents: Sequence[Document], tool: str, **options: Any) -> Records:
    """Return what ner.data.formats writes for a tool, as Python has it."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "tasks"
        write(path, documents, tool, **options)
        text = path.read_text(encoding="utf-8")
    return json.loads(text) if tool == "label-studio" else [json.loads(line) for line in text.split("\n") if line]


def _lines(records: Any) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


TOOLS: dict[str, Callable[[Sequence[Chosen], str], str]] = {
    "label-studio": _label_studio,
    "doccano": _doccano,
    "prodigy": _prodigy,
}


def label_config(types: Sequence[str]) -> str:
    """Return Label Studio's labelling interface for these entity types."""
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in types)
    text = '  <Text name="text" value="$text"/>'
    return f'<View>\n  <Labels name="label" toName="text">\n{labels}\n  </Labels>\n{text}\n</View>\n'
