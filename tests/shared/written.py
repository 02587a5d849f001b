"""Documents written in forms that this project only reads: CoNLL-U, JSON lines of tokens, brat and spaCy's DocBin.

form = write(Path("x.spacy"), documents, "docbin")      # what ner.data.formats.writers writes, too
"""

import re
from pathlib import Path
from typing import Any

from ner.data.formats import Format, from_iob2, writers
from ner.data.formats.columns_detection import CONLLU_COLUMNS
from ner.data.formats.document import CharSpan
from ner.data.formats.format import TAB
from ner.data.formats.schemes import scheme_name
from ner.data.formats.writers import Documents, cell, json_line, replacing


def write(path: Path, documents: Documents, name: str, **options: Any) -> Format:
    return (writers.WRITERS | WRITERS)[name](path, documents, **options)


def write_conllu(path: Path, documents: Documents, scheme: str = "IOB2", misc_key: str = "NER") -> Format:
    """CoNLL-U with the tags in its last column, and SpaceAfter=No where the text has none."""
    scheme = scheme_name(scheme)
    with replacing(path) as file:
        for document in documents:
            file.write(f"# newdoc id = {' '.join(document.name.split())}\n")
            _, offsets = document.with_text()
            for sentence, places in zip(document.sentences, offsets, strict=True):
                tags = from_iob2(sentence.tags, scheme)
                for index, (token, tag) in enumerate(zip(sentence.tokens, tags, strict=True)):
                    misc = [] if tag == "O" else [f"{misc_key}={cell(tag, '|', document)}"]
                    if index + 1 < len(places) and places[index + 1][0] == places[index][1]:
                        misc.append("SpaceAfter=No")
                    cells = [str(index + 1), cell(token, "\t", document), *"_______", "|".join(misc) or "_"]
                    file.write("\t".join(cell(text, "\t", document) for text in cells) + "\n")
                file.write("\n")
    return Format(
        "conllu", scheme=scheme, separator=TAB, columns=CONLLU_COLUMNS, token_column=2, tag_column=CONLLU_COLUMNS,
        numbered=True, documents="# newdoc", misc_key=misc_key,
    )  # fmt: skip


def write_tokens(path: Path, documents: Documents, scheme: str = "IOB2") -> Format:
    """JSON lines with the tokens and the tags of a sentence."""
    scheme = scheme_name(scheme)
    with replacing(path) as file:
        for document in documents:
            for sentence in document.sentences:
                tags = from_iob2(sentence.tags, scheme)
                json_line(file, {"document": document.name, "tokens": sentence.tokens, "ner_tags": tags})
    return Format(
        "tokens", scheme=scheme, tokens_field="tokens", tags_field="ner_tags", document_field="document",
        documents="document",
    )  # fmt: skip


def write_brat(path: Path, documents: Documents) -> Format:
    """A folder with a .txt and an .ann a document."""
    path.mkdir(parents=True)
    for document in documents:
        (path / f"{document.name}.txt").write_bytes(document.with_text()[0].encode())
        lines = [_bound(span, index) for index, span in enumerate(document.entities(), start=1)]
        (path / f"{document.name}.ann").write_bytes("".join(lines).encode())
    return Format("brat", documents="files")


def _bound(span: CharSpan, index: int) -> str:
    text = span.text or ""
    ranges, start = [], span.start
    for part in text.split("\n"):
        ranges += [f"{start} {start + len(part)}"] if part else []
        start += len(part) + 1
    shown = re.sub(r"[\r\n]", " ", text)
    return f"T{index}\t{span.type} {';'.join(ranges)}\t{shown}\n"


def write_docbin(path: Path, documents: Documents) -> Format:
    """spaCy's DocBin: the tokens as they are, a space between them where the text has white space."""
    import spacy
    from spacy.tokens import Doc, DocBin, Span

    vocab = spacy.blank("xx").vocab
    packed = DocBin()
    for document in documents:
        _, offsets = document.with_text()
        flat = [place for places in offsets for place in places]
        words = [token for sentence in document.sentences for token in sentence.tokens]
        spaces = [after[0] > before[1] for before, after in zip(flat, flat[1:], strict=False)] + [False] * bool(flat)
        starts = [index == 0 for sentence in document.sentences for index in range(len(sentence.tokens))]
        doc = Doc(vocab, words=words, spaces=spaces, sent_starts=starts)
        begins = {start: index for index, (start, _) in enumerate(flat)}
        ends = {end: index + 1 for index, (_, end) in enumerate(flat)}
        spans = [Span(doc, begins[s.start], ends[s.end], label=s.type) for s in document.entities()]
        doc.set_ents(spans, default="outside")
        packed.add(doc)
    packed.to_disk(path)
    return Format("docbin", documents="records")


WRITERS = {"conllu": write_conllu, "tokens": write_tokens, "brat": write_brat, "docbin": write_docbin}
