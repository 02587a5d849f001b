"""Chosen documents as pre-annotated tasks of Label Studio, doccano and Prodigy.

    write_tasks(Path("tasks.json"), chosen, "label-studio", "ner version 3", types)

What nobody annotated is filled in with the entities of the model or of another tool, if there is one; an annotated
document keeps its annotation, so that no person's work is replaced by a guess, and the task says where the model reads
it otherwise.
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
from ner.data.formats.offsets import in_utf16
from ner.data.formats.writers import write

ANNOTATED = "annotated"  # the name of the filled-in annotation where it is not the model's
TABLE = ["rank", "document", "tokens", "score", "alike", "annotated", "why"]

Records = list[dict[str, Any]]


def write_tasks(path: Path, chosen: Sequence[Chosen], tool: str, model: str, types: Sequence[str]) -> list[Path]:
    """Write the tasks, beside them why each was chosen (`.why.csv`) and for Label Studio its labels (`.labels.xml`).

    model: its name, for the tool. types: that a person can choose from; no labels without them. Returns the files.
    """
    write_text(path, TOOLS[tool](chosen, model))
    table = path.with_name(f"{path.name}.why.csv")
    write_text(table, to_csv(TABLE, why_rows(chosen)))
    if tool != "label-studio" or not types:
        return [path, table]
    interface = path.with_name(f"{path.name}.labels.xml")
    write_text(interface, label_config(types))
    return [path, table, interface]


def why_rows(chosen: Sequence[Chosen]) -> list[list[Any]]:
    """Return a row a document, in the order of TABLE."""
    return [
        [
            rank,
            choice.document.name,
            choice.tokens,
            f"{choice.score:.4f}",
            choice.alike,
            "yes" if choice.document.labelled else "no",
            choice.why,
        ]
        for rank, choice in enumerate(chosen, start=1)
    ]


def _label_studio(chosen: Sequence[Chosen], model: str) -> str:
    """Return Label Studio's tasks with predictions; an annotated document has its annotation first."""
    tasks = _filled(chosen, "label-studio", predictions=True)
    guesses = iter(_records([choice.guess for choice in chosen if choice.guess], "label-studio", predictions=True))
    for task, choice in zip(tasks, chosen, strict=True):
        (filled,) = task["predictions"]
        task["predictions"] = [filled | {"model_version": ANNOTATED}] if choice.document.labelled else []
        if choice.guess:
            (guess,) = next(guesses)["predictions"]
            task["predictions"].append(guess | {"model_version": model, "score": _score(choice)})
        task["data"] |= _facts(choice, model)
        for result in (r for prediction in task["predictions"] for r in prediction["result"]):
            value, text = result["value"], task["data"]["text"]
            value |= {edge: in_utf16(text, value[edge]) for edge in ("start", "end")}
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def _doccano(chosen: Sequence[Chosen], model: str) -> str:
    return _lines(
        record | _facts(choice, model) for record, choice in zip(_filled(chosen, "doccano"), chosen, strict=True)
    )


def _prodigy(chosen: Sequence[Chosen], model: str) -> str:
    records = _filled(chosen, "prodigy", answer=None)
    return _lines(r | {"meta": r["meta"] | _facts(choice, model)} for r, choice in zip(records, chosen, strict=True))


def _filled(chosen: Sequence[Chosen], tool: str, **options: Any) -> Records:
    return _records([choice.filled_in() for choice in chosen], tool, **options)


def _facts(choice: Chosen, model: str) -> dict[str, Any]:
    return {"score": _score(choice), "why": choice.why} | ({"model": model} if choice.guess else {})


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
