"""Annotated corpora in many forms, read as one: documents of sentences with IOB2 tags, and an account of all of it.

    found = recognise(Path("export.jsonl"))              # which form, why, and the files by split
    report = Report()
    for document in read(found.files["all"], found.format, report):
        ...
    print(*report.lines(), *report.listed, sep="\\n")      # in = kept + listed, always

Readers stream: however large a file, one document is in memory, and what is listed.
"""

from ner.readers.document import CharSpan, Document, Problem, Report
from ner.readers.form import OPTIONS, Format, Recognised, Unrecognised
from ner.readers.recognise import FORMATS, read, recognise, split_of
from ner.readers.schemes import SCHEMES, from_iob2, to_iob2

__all__ = [
    "FORMATS",
    "OPTIONS",
    "SCHEMES",
    "CharSpan",
    "Document",
    "Format",
    "Problem",
    "Recognised",
    "Report",
    "Unrecognised",
    "from_iob2",
    "read",
    "recognise",
    "split_of",
    "to_iob2",
]
