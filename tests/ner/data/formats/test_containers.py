"""Files that are no JSON, parquet or CSV, spans of tokens, inclusive ends, and zip archives: read, told, listed."""

import json
import zipfile
from pathlib import Path

import pytest

from ner.data.formats import Report, read, recognise
from ner.errors import CorpusError, NerError

FORMATS = Path(__file__).parents[3] / "data" / "formats"
CITY, TWO = [("PER", "Ilse Brandt"), ("LOC", "Oslo")], [("PER", "Bo")]
GLINER = {"tokenized_text": ["Ilse", "Brandt", "left", "Oslo"], "ner": []}
SAMPLES = {  # the entities of each document, and what is listed
    "webanno.tsv": ([[("PER", "Ilse Brandt"), ("ORG|FIN", "Nord_Bank")], TWO], ["inside a token", "same place"]),
    "cluener.jsonl": (
        [[("name", "卫江"), ("address", "北原港"), ("name", "王海平")], [], [("name", "卫江"), ("name", "卫江")]],
        [],
    ),
    "train_data.py": ([CITY, [], TWO], []),
    "ground-truth.manifest": ([CITY, []], []),
    "pubtator.txt": (
        [[("Chemical", "Brandtin"), ("Chemical", "Brandtin"), ("Disease", "north fever")], [("Disease", "title")]],
        [],
    ),
    "hipe.tsv": ([[("pers", "Ilse Brandt"), ("loc", "Oslo"), ("pers", "Bo")], [("org", "Norvik")]], []),
    "gliner.json": ([[("person", "Ilse Brandt"), ("location", "Oslo")], []], []),
    "scierc.jsonl": ([[("Method", "parser"), ("Material", "Norwegian news")]], []),
    "inline.txt": ([[("PERSON", "Ilse Brandt"), ("LOCATION", "Oslo")], [], [("PERSON", "Bo\nEk")]], []),
    "angles.txt": ([[("PERSON", "Ilse Brandt"), ("ORGANIZATION", "Ek & Lund")], []], []),
    "rasa.yml": ([[("city", "Oslo"), ("day", "Friday")], [("city", "the north")], []], []),
    "rasa.md": ([[("city", "Oslo")], []], []),
    "wikiner.txt": ([CITY, [("PER", "Bo"), ("PER", "Norvik")]], []),
    "label-studio.tsv": ([CITY, []], []),
    "label-studio.conll": ([CITY, TWO], []),
}


def taken(path, **options):
    """Format, documents and report of a file, recognised and read."""
    recognised = recognise(path, **options)
    report = Report()
    documents = list(read([p for paths in recognised.files.values() for p in paths], recognised.format, report))
    assert report.is_balanced()
    return recognised, documents, report


def entities(documents):
    return [[(entity.type, entity.text) for entity in document.entities()] for document in documents]


def content(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("written", ["LF", "CR LF, with a mark", "CR"])
def test_every_sample_is_read_whatever_ends_its_lines(tmp_path, name, written):
    text = (FORMATS / name).read_text(encoding="utf-8")
    mark, end = {"LF": ("", "\n"), "CR LF, with a mark": ("\ufeff", "\r\n"), "CR": ("", "\r")}[written]
    (tmp_path / name).write_bytes((mark + text.replace("\n", end)).encode())
    _, documents, report = taken(tmp_path / name)
    expected, causes = SAMPLES[name]
    found = [[(kind, part.replace(end, "\n")) for kind, part in document] for document in entities(documents)]
    assert found == expected and [problem.cause for problem in report.listed] == causes


def test_webanno_chooses_the_layer_of_names_and_takes_another_that_is_named(tmp_path):
    recognised, documents, report = taken(FORMATS / "webanno.tsv")
    assert recognised.format.spans_field == "NamedEntity.value"
    assert [row.line for document in documents for row in document.sentences] == [8, 21]
    assert str(report.listed[0]).endswith("inside a token: LOC 'Oslo' at 1-9.1") and report.listed[1].place == "line 8"
    assert entities(taken(FORMATS / "webanno.tsv", spans_field="Mood.kind")[1])[0] == [("glad_ish", "Brandt")]
    bare = "#FORMAT=WebAnno TSV 3.2\n#T_SP=x.Person\n\n#Text=Bo Ek kam.\n1-1\t0-2\tBo\t*[1]\t\n1-2\t3-5\tEk\t*[1]\t\n"
    assert entities(taken(content(tmp_path / "x.tsv", bare))[1]) == [[("Person", "Bo Ek")]]


def test_webanno_across_sentences_without_a_value_and_a_folder_of_documents(tmp_path):
    head = "#FORMAT=WebAnno TSV 3.2\n#T_SP=x.NamedEntity|value\n\n"
    rows = "#Text=Bo\n1-1\t0-2\tBo\tPER[1]\t\n\n#Text=Ek kam\n2-1\t3-5\tEk\tPER[1]\t\n2-2\t6-9\tkam\t*\t\n"
    for name in ("a.txt/u.tsv", "b.txt/u.tsv"):
        content(tmp_path / name, head + rows)
    recognised, documents, report = taken(tmp_path)
    assert [document.name for document in documents] == ["a.txt", "b.txt"]
    assert recognised.format.documents == "files" and entities(documents) == [[("PER", "Bo Ek")]] * 2
    assert [problem.cause for problem in report.listed] == ["no type"] * 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.tsv",
            "#FORMAT=WebAnno TSV 3.3\n#T_SP=x.P|a\n\n1-1\t0-2\tBo\n",
            r"x.tsv, line 4: .*is no row of sentence",
        ),
        ("x.tsv", "#FORMAT=WebAnno TSV 3.3\n\n1-1\t0-2\tBo\t\n", r"x.tsv has no layer of spans \(#T_SP\)"),
        (
            "x.tsv",
            "#FORMAT=WebAnno TSV 3\n#T_SP=x.P|a|b\n\n1-1\t0-2\tBo\tX\tY\n",
            r"--set spans_field=P.a: .*P.b",
        ),
        (
            "x.py",
            "A = [('a', {'entities': []}),\n f('b')]\n",
            r"x.py, line 2: no literal \(the file is read, not",
        ),
        ("x.py", "A = [('a', {})]\nB = [('b', {})]\n", r"x.py assigns several lists \(A, B\): put each into a file of"),
        ("x.py", "A = [('a', {})]\nA += [('b', {})]\n", r"x.py, line 2: A is changed .*: write one list"),
        ("x.py", "A = [('a', {})]\nfor i in 1, 2:\n    A[0] = ('b', {})\n", r"x.py, line 3: A is changed"),
        ("x.py", "A = [('a', {})]\nA.append(('b', {}))\n", r"x.py, line 2: A is changed .*: write one list"),
        ("x.py", "import os\nos.abort()\n", r"x.py assigns no list of"),
        ("x.py", "A = [('a', {}\n", r"x.py, line 1: no valid Python \('\(' was never closed\)"),
        ("x.txt", "7|t|Bo came\nelse\n", r"x.txt, line 2: 'else' is no `ID\|t\|title`"),
        ("x.tsv", "TOKEN\tNE-COARSE-LIT\tMISC\nBo\tB-pers\n", r"x.tsv, line 2: 2 cells in .*the header has 3"),
        ("x.txt", "Bo|NNP|I-PER\nEk|NNP|I-PER came\n", r"x.txt, line 2: 'came' is no word\|POS\|tag"),
        (
            "x.manifest",
            '{"source-ref": "s3://b/a", "job": {}}',
            r"records with source-ref, job.*put the texts",
        ),
        (
            "x.manifest",
            '{"source": "Bo", "a": {"annotations": {"entities": [{"label": "P", "startOffset": 0, "endOffset": 2}]}}, '
            '"b": {"annotations": {"entities": [{"label": "Q", "startOffset": 0, "endOffset": 2}]}}}',
            r"more than one field holds spans, so name it. --set spans_field=a: .*; --set spans_field=b:",
        ),
        ("x.json", {"tokenized_text": ["Bo", 3], "ner": [[0, 0, "P"]]}, r"none of them"),
        (
            "x.json",
            [GLINER, {"tokenized_text": ["Bo", 3], "ner": []}],
            r"x.json, record 2 .*: 3 in 'tokenized_text' is",
        ),
        ("x.json", [GLINER, {"ner": []}], r"x.json, record 2 .*: no list in 'tokenized_text' \(it has ner\)"),
        ("x.json", [GLINER, GLINER | {"ner": 3}], r"x.json, record 2 .*: 'ner' holds '3', no list of spans"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, name, text, message):
    with pytest.raises(CorpusError, match=message):
        taken(content(tmp_path / name, text))


def test_a_script_is_read_and_never_run(tmp_path):
    text = f"open({str(tmp_path / 'made')!r}, 'w')\nTRAIN: list = [{{'text': '😀 Bo', 'entities': [(2, 4, 'PER')]}}]\n"
    _, documents, _ = taken(content(tmp_path / "x.py", text))
    assert entities(documents) == [TWO] and not (tmp_path / "made").exists()


def test_cluener_counts_any_unit_and_lists_what_is_no_span(tmp_path):
    rows = [
        {"text": "卫江昨天来", "label": {"name": {"卫江": [[0, 1]], "昨": [0]}}},
        {"text": "卫江来", "label": None},
        {"text": "Ilse Brandt left", "label": {"name": {"Ilse Brandt": [[0, 11]]}}},
        {"text": "卫江王来", "label": {"name": {"卫江": [[0, 1]]}, "x": {"江王": [[1, 2]]}}},
    ]
    _, documents, report = taken(content(tmp_path / "x.json", rows))
    assert entities(documents) == [[("name", "卫江")], [], [("name", "Ilse Brandt")], [("name", "卫江")]]
    assert [problem.cause for problem in report.listed] == ["no span", "overlapping"]


def test_a_task_that_ground_truth_could_not_label_is_listed(tmp_path):
    job = {"annotations": {"entities": [{"label": "PER", "startOffset": 0, "endOffset": 2}, {"startOffset": 3}]}}
    rows = [{"source": "Bo came", "job": job}, {"source": "Ek left", "job-metadata": {"failure-reason": "none"}}]
    _, documents, report = taken(content(tmp_path / "x.manifest", "\n".join(map(json.dumps, rows))))
    assert entities(documents) == [TWO]
    assert [(p.kind, p.place, p.cause) for p in report.listed] == [
        ("entity", "line 1", "no span"),
        ("document", "line 2", "not annotated"),
    ]


def test_pubtator_lists_lines_that_are_no_mention_and_knows_utf_16(tmp_path):
    text = (
        "7|t|😀 Bo came\n7|a|x\n7\t3\t5\tBo\tPER\n8\t0\t2\tBo\tPER\n7\t0\t2\n7\tBIND\t1\t2\n9|t|Ek\n9|a|\n9\t0\t2\tEk\n"
    )
    _, documents, report = taken(content(tmp_path / "x.txt", text))
    assert [document.name for document in documents] == ["7", "9"] and entities(documents) == [TWO, []]
    assert [problem.cause for problem in report.listed] == ["no span", "no span", "no type"]
    assert report.ignored == {"relations": 1}


def test_hipe_of_2020_ends_sentences_at_blank_lines_and_says_which_other_tags_there_are(tmp_path):
    head = "TOKEN\tNE-COARSE-LIT\tNE-COARSE-METO\tMISC\n# language = fr\n# document_id = a\n"
    rows = "Bo\tB-pers\tO\t_\ncame\tO\tB-x\tEndOfLine\n\n# document_id = b\nEk\tB-pers\tO\t_\n"
    recognised, documents, _ = taken(content(tmp_path / "x.tsv", head + rows))
    assert [(document.name, len(document.sentences)) for document in documents] == [("a", 1), ("b", 1)]
    assert "tags in NE-COARSE-METO as well: --set tags_field=NE-COARSE-METO reads those" in recognised.seen


@pytest.mark.parametrize(
    ("record", "unit"),
    [
        (GLINER | {"ner": [[0, 1, "P"]]}, "inclusive"),  # as the tool has it
        (GLINER | {"ner": [[0, 2, "P"], [3, 4, "L"]]}, "exclusive"),
        ({"tokens": ["Ilse", "Brandt", "left"], "spans": [[0, 1, "P"], [2, 2, "V"]]}, "inclusive"),
        (
            {
                "tokens": ["Ilse", "Brandt", "left"],
                "spans": [{"start": 0, "end": 2, "type": "P", "text": "Ilse Brandt"}],
            },
            "exclusive",
        ),
    ],
)
def test_whether_the_end_of_a_span_of_tokens_is_inclusive_is_told_by_the_data(tmp_path, record, unit):
    recognised, documents, _ = taken(content(tmp_path / "x.json", [record]))
    assert recognised.format.offsets == unit and entities(documents)[0][0] == ("P", "Ilse Brandt")


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": ["Ilse", "Brandt", "left"], "spans": [[0, 1, "P"]]},
        GLINER | {"ner": [[0, 0, "P"], [3, 4, "L"]]},
    ],
)
def test_whether_it_is_inclusive_is_asked_where_nothing_tells_it_or_both(tmp_path, record):
    path = content(tmp_path / "x.json", [record])
    with pytest.raises(CorpusError, match=r"x.json, record 1 .*say offsets=inclusive or offsets=exclusive"):
        taken(path)
    assert taken(path, offsets="inclusive")[0].format.offsets == "inclusive"


def test_of_any_spans_of_tokens_each_is_kept_or_listed(tmp_path):
    spans = [[0, 1, "P"], [0, 0, "F"], [1, 2, "X"], [0, 1, "P"], [9, 9, "Z"], [0, "a"], [2, 2, ""]]
    rows = [GLINER | {"ner": spans}, {"tokenized_text": [], "ner": []}, {"tokenized_text": ["Bo"]}]
    rows += [{"tokenized_text": ["😀", "Bo"], "ner": [{"start": 1, "end": 1, "label": "job title"}]}]
    _, documents, report = taken(content(tmp_path / "x.json", rows))
    assert entities(documents) == [[("P", "Ilse Brandt")], [], [], [("job title", "Bo")]]
    causes = ["out of range", "no span", "nested", "overlapping", "duplicate", "no type"]
    assert sorted(problem.cause for problem in report.listed) == sorted(causes)
    assert report.notes["record without tokens"] == 1


def test_ends_on_the_last_character_are_told_by_the_ends_of_words(tmp_path):
    rows = [{"text": "Ilse Brandt left Oslo.", "entities": [[0, 10, "PER"], [17, 20, "LOC"]]}]
    recognised, documents, report = taken(content(tmp_path / "x.json", rows))
    assert entities(documents) == [CITY] and not report.listed
    assert "offsets that count inclusive, by what stands at them" in recognised.seen
    rows[0]["entities"][1][1] = 21
    with pytest.raises(CorpusError, match=r"x.json, record 1.* reads 'Ilse Brand', 'Ilse Brandt' if the end is inclus"):
        taken(content(tmp_path / "x.json", rows))
    assert len(taken(tmp_path / "x.json", offsets="exclusive")[2].listed) == 1


def test_marks_in_a_text_that_lack_a_half_or_are_nested_are_listed(tmp_path):
    text = "[PER]Bo came\n\n[Job Title]Head of 😀[/Job Title] [1] [note]\n[/PER] x\n[PER]Ek[/PER]\n"
    _, documents, report = taken(content(tmp_path / "x.txt", text))
    assert entities(documents) == [[], [("Job Title", "Head of 😀")], [], [("PER", "Ek")]]
    assert [(p.place, p.cause) for p in report.listed] == [("line 1", "no span"), ("line 4", "no span")]
    text = "<ORG>University of <LOC>Oslo</LOC></ORG> <br> a < b and <i>x\n<PER>Bo</PER>'s\n"
    _, documents, report = taken(content(tmp_path / "x.txt", text))
    assert entities(documents) == [[("ORG", "University of Oslo")], TWO]
    assert [problem.cause for problem in report.listed] == ["nested"]


def test_elements_of_structure_are_no_entities(tmp_path):
    text = '<doc type="news">\n<p>\n<rs type="person">Bo</rs> came.</p>\n</doc>\n'
    _, documents, report = taken(content(tmp_path / "x.xml.txt", text))
    assert entities(documents) == [[("person", "Bo")]] and not report.listed


def test_tags_beside_spans_are_what_is_read_unless_the_spans_are_named(tmp_path):
    record = {"tokens": ["Ilse", "Brandt", "left"], "tags": ["B-PER", "I-PER", "O"], "spans": [[2, 2, "V"]]}
    path = content(tmp_path / "x.json", [record])
    assert entities(taken(path)[1]) == [[("PER", "Ilse Brandt")]]
    assert entities(taken(path, spans_field="spans", offsets="inclusive")[1]) == [[("V", "left")]]


def test_rasas_json_and_links_that_are_no_entities(tmp_path):
    examples = [{"text": "to Oslo", "entities": [{"start": 3, "end": 7, "value": "Oslo", "entity": "city"}]}]
    _, documents, _ = taken(content(tmp_path / "x.json", {"rasa_nlu_data": {"common_examples": examples}}))
    assert entities(documents) == [[("city", "Oslo")]]
    _, documents, report = taken(content(tmp_path / "x.txt", 'to [Oslo](city), [docs](http://x.y) [a]{"b": 1}\n'))
    assert entities(documents) == [[("city", "Oslo")]] and [p.cause for p in report.listed] == ["no type"]


def test_tokens_that_look_like_marks_leave_columns_what_they_are(tmp_path):
    text = "<b>Ilse</b> B-PER\nleft O\n\n[x](y) O\nBo B-PER\n\n"
    recognised, documents, _ = taken(content(tmp_path / "x.txt", text))
    assert recognised.format.name == "conll" and entities(documents) == [[("PER", "<b>Ilse</b>")], TWO]


def packed(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def test_a_zip_archive_is_read_as_the_folder_that_it_holds(tmp_path):
    rows = (FORMATS / "iob1.txt").read_text()
    path = packed(tmp_path / "x.zip", {"c/train.txt": rows, "c/dev.txt": rows, "c/README.md": "", "__MACOSX/a": "x"})
    recognised, documents, _ = taken(path)
    assert set(recognised.files) == {"train", "validation"} and len(recognised.skipped) == 2 and documents
    path = packed(tmp_path / "y.zip", {"a/1.txt": "Bo came", "a/1.ann": "T1\tPER 0 2\tBo\n"})
    assert entities(taken(path)[1]) == [TWO]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../x.jsonl": "{}"}, r"x.zip holds '../x.jsonl', which climbs out of its folder"),
        ({}, r"x.zip: nothing in it is recognised: it is empty"),
        ({"a.png": "x"}, r"x.zip: nothing in it is recognised: a.png: its name says"),
        ({"a": "x", "a/b.txt": "x"}, r"x.zip: 'a/b.txt' cannot be unpacked here"),
        (None, r"x.zip is no readable zip archive"),
    ],
)
def test_an_archive_that_holds_no_corpus_is_told(tmp_path, members, message):
    path = packed(tmp_path / "x.zip", {"a.jsonl": "{}" * 99} if members is None else members)
    if members is None:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(NerError, match=message):
        recognise(path)


def test_scripts_and_notes_beside_the_data_are_left_out(tmp_path):
    for name in ("train.txt", "test.txt"):
        content(tmp_path / name, "Bo B-PER\ncame O\n\n" * 5)
    content(tmp_path / "train.py", "import os\nos.abort()\n")
    content(tmp_path / "load.py", "print 'of Python 2'\n")
    content(tmp_path / "notes.md", "# Notes\nsee [here](guide.md)\n")
    content(tmp_path / "train.yml", "seed: 42\n")
    recognised, documents, _ = taken(tmp_path)
    assert set(recognised.files) == {"train", "test"} and len(documents) == 10
    assert {path.name for path, _ in recognised.skipped} == {"train.py", "load.py", "notes.md", "train.yml"}


@pytest.mark.parametrize("split", ["", "train-"])
def test_a_document_that_nobody_has_annotated_is_left_out_of_a_webanno_export(tmp_path, split):
    content(tmp_path / f"{split}1.tsv", "#FORMAT=WebAnno TSV 3.3\n#T_SP=x.P|a\n\n1-1\t0-2\tBo\tPER\t\n")
    content(tmp_path / f"{split}2.tsv", "#FORMAT=WebAnno TSV 3.3\n\n\n#Text=Ek\n1-1\t0-2\tEk\t\n")
    recognised, documents, _ = taken(tmp_path)
    assert entities(documents) == [TWO] and [path.name for path, _ in recognised.skipped] == [f"{split}2.tsv"]


@pytest.mark.parametrize("end", ["EndOfSentence", "EndOfLine|PySBDSegment"])
def test_a_sentence_of_hipe_ends_as_either_version_says_it(tmp_path, end):
    rows = f"TOKEN\tNE-COARSE-LIT\tMISC\nBo\tB-pers\t_\nleft\tO\t{end}\nEk\tB-pers\t{end}\n"
    _, documents, _ = taken(content(tmp_path / "x.tsv", rows))
    assert [row.tokens for document in documents for row in document.sentences] == [["Bo", "left"], ["Ek"]]


def test_a_link_to_a_file_is_no_entity(tmp_path):
    _, documents, _ = taken(
        content(tmp_path / "x.txt", "[Bo](person) left, see [here](guide.md) and [there](a/b.html).")
    )
    assert entities(documents) == [[("person", "Bo")]]


@pytest.mark.parametrize("mark", ["<PER>", "[PER]"])
def test_a_mark_without_its_other_half_does_not_join_the_rest_of_the_file(tmp_path, mark):
    lines = [f"{mark}Bo came.", *(f"{mark}Ek{mark[0]}/{mark[1:]} left {n}." for n in range(99))]
    _, documents, report = taken(content(tmp_path / "x.txt", "\n".join(lines)))
    assert len(documents) > 70 and report.entities == 99 and "is not closed" in report.listed[0].reason


@pytest.mark.parametrize("names", ["token\ttag", "Wort\tNE"])
def test_a_header_in_some_files_of_columns_is_skipped_where_it_is(tmp_path, names):
    for split, head in (("train", f"{names}\n"), ("dev", ""), ("test", f"{names}\n")):
        content(tmp_path / f"{split}.tsv", head + "Bo\tB-PER\ncame\tO\n\nEk\tB-PER\nleft\tO\n\n" * 9)
    recognised, documents, report = taken(tmp_path)
    assert recognised.format.header is None and report.ignored["header line"] == 2
    assert report.entities == 54 and report.tokens == 108
