"""Annotated corpora in many file formats, read as documents of sentences with IOB2 tags, with a report of what was
read.

    recognised = recognise(Path("export.jsonl"))         # which form, why, and the files by split
    report = Report()
    for document in read(recognised.files["all"], recognised.format, report):
        ...
    print(*report.lines(), *report.listed, sep="\\n")      # in = kept + listed, always

Readers stream: however large a file, one document is in memory, and what is listed.
"""

from ner.data.formats.data_files import split_of
from ner.data.formats.document import CharSpan, Document, Problem, Report
from ner.data.formats.format import OPTIONS, Format, Recognised, Unrecognised
from ner.data.formats.format_detection import FORMATS, read, recognise
from ner.data.formats.schemes import SCHEMES, from_iob2, to_iob2

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
