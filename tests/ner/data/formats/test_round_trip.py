"""What is written in any tool's form is read back, whatever the tokens and the types are."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ner.data.conll import Sentence
from ner.data.formats import SCHEMES, Document, Report, from_iob2, read, recognise, to_iob2
from ner.errors import NerError
from ner.tags import Span, spans_to_tags
from written import write

EXAMPLES = settings(max_examples=25)
FORBIDDEN = ("Cs", "Cc", "Zs", "Zl", "Zp")
characters = st.one_of(
    st.characters(blacklist_categories=FORBIDDEN, blacklist_characters="\ufeff|"),
    st.sampled_from("a9#-_'\"&.,:O\u0301\u200d\u200f\u05d0\u0e01\u4e2d\U0001f600\U0001f1f3"),
)
words = st.text(characters, min_size=1, max_size=6).filter(lambda w: not w.startswith("-DOCSTART-"))
types = st.one_of(
    st.sampled_from(["PER", "LOC", "A-B", "O", "日本", "x.y"]), st.text(characters, min_size=1, max_size=4)
)


@st.composite
def sentences(draw, alone=False):
    tokens = draw(st.lists(words, min_size=1, max_size=7))
    cuts = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=6)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False)) if alone else list(zip(cuts, cuts[1:], strict=False))
    kept = [Span(a, b, draw(types)) for a, b in pairs if draw(st.booleans())]
    return Sentence(0, tokens, spans_to_tags(kept, len(tokens)), 1)


def corpora(alone=False):
    return st.lists(st.lists(sentences(alone), min_size=1, max_size=3), min_size=1, max_size=3).map(
        lambda groups: [Document(f"doc-{i}", group) for i, group in enumerate(groups)]
    )


def written_and_read(documents, suffix, name, **options):
    folder = Path(tempfile.mkdtemp())
    try:
        form = write(folder / f"x{suffix}", documents, name, **options)
        report = Report()
        paths = sorted((folder / "x").glob("*.ann")) if name == "brat" else folder / f"x{suffix}"
        back = list(read(paths, form, report))
    finally:
        shutil.rmtree(folder)
    assert report.is_balanced()
    return back, report


def rows(documents):
    return [[(s.tokens, s.tags) for s in d.sentences] for d in documents]


@pytest.mark.parametrize("scheme", SCHEMES)
@EXAMPLES
@given(corpora(alone=True))
def test_every_scheme_gives_the_same_entities_back(scheme, documents):
    for document in documents:
        for sentence in document.sentences:
            try:
                other = from_iob2(sentence.tags, scheme)
            except NerError:
                assert scheme in ("IO", "PLAIN")  # adjoining entities, or a type named O
                continue
            assert to_iob2(other, scheme) == sentence.tags


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name not in ("IO", "PLAIN")])
@EXAMPLES
@given(corpora(), st.sampled_from(["tab", "space"]), st.integers(2, 4))
def test_columns_come_back_in_every_scheme(scheme, documents, separator, columns):
    back, report = written_and_read(documents, ".txt", "conll", scheme=scheme, separator=separator, columns=columns)
    assert rows(back) == rows(documents)
    assert not report.listed


@pytest.mark.parametrize(("name", "suffix"), [("conllu", ".conllu"), ("tokens", ".jsonl"), ("docbin", ".spacy")])
@EXAMPLES
@given(corpora())
def test_tokens_and_tags_come_back(name, suffix, documents):
    back, report = written_and_read(documents, suffix, name)
    assert rows(back) == rows(documents)
    assert not report.listed
    if name != "docbin":
        assert [d.name for d in back] == [d.name for d in documents]


@pytest.mark.parametrize(
    ("name", "suffix", "options"),
    [
        ("prodigy", ".jsonl", {}),
        ("doccano", ".jsonl", {}),
        ("doccano", ".jsonl", {"objects": True}),
        ("label-studio", ".json", {}),
        ("brat", "", {}),
    ],
)
@EXAMPLES
@given(corpora())
def test_texts_and_character_spans_come_back(name, suffix, options, documents):
    back, report = written_and_read(documents, suffix, name, **options)
    assert [d.name for d in back] == [d.name for d in documents]
    assert [d.text for d in back] == [d.with_text()[0] for d in documents]
    assert [d.entities() for d in back] == [d.entities() for d in documents]
    assert not report.listed


@EXAMPLES
@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=40), st.data())
def test_of_any_spans_on_any_text_each_is_kept_or_listed_and_the_kept_ones_are_where_they_were(text, data):
    import json

    offsets = st.integers(-2, len(text) + 2)
    spans = data.draw(st.lists(st.tuples(offsets, offsets, st.sampled_from(["A", "B", ""])), max_size=8))
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "x.jsonl"
        path.write_text(json.dumps({"text": text, "label": [[0, 0, "A"], *spans]}) + "\n", encoding="utf-8")
        found = recognise(path, offsets="code points")
        report = Report()
        (document,) = read(path, found.format, report)
    finally:
        shutil.rmtree(folder)
    assert report.entities_in == len(spans) + 1 and report.is_balanced()
    places = [(s.start, s.end) for s in document.entities()]
    assert places == sorted(places) and all(a[1] <= b[0] for a, b in zip(places, places[1:], strict=False))
    trimmed = set()
    for start, end, kind in spans:
        if 0 <= start < end <= len(text):
            inner = text[start:end]
            begin = start + len(inner) - len(inner.lstrip())
            trimmed.add((begin, begin + len(inner.strip()), kind))
    assert {(s.start, s.end, s.type) for s in document.entities()} <= trimmed
    assert all(document.text[a:b] == t for s, o in zip(document.sentences, document.offsets, strict=True)
               for t, (a, b) in zip(s.tokens, o, strict=True))  # fmt: skip
