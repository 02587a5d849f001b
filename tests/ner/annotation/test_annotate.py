"""The annotation loop: documents chosen for a reason, tasks that each tool takes, and nothing lost on the way back."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ner.annotation.annotate import Request, annotate
from ner.annotation.corrections import take_back, write_corpus
from ner.annotation.documents import Seen, corpus_documents, look, rejoined
from ner.annotation.selection import expected_errors, most_contradicted, most_varied, uncertain
from ner.annotation.tasks import write_tasks
from ner.common.files import sha256_file
from ner.data.conll import Sentence
from ner.data.formats import CharSpan, Document, Report, read, recognise
from ner.data.formats.columns import read_strict
from ner.data.formats.writers import write
from ner.errors import InputError
from ner.inference.tagger import Tagger

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TEXTS = [
    "Marta Okafor joined Helvion Steel in Rotterdam.",
    "😀 Rotterdam greets Marta Okafor 🎉 and Helvion Steel.",
    "Nothing happened.\n\nMarta Okafor left the U.S. on Friday.",
]
TOOLS = ("label-studio", "doccano", "prodigy")


@pytest.fixture(scope="module")
def tagger(tiny_model):
    return Tagger.load(tiny_model)


def run(output, tool, source, by, model, prepared, number=100):
    return annotate(output, tool, Request(number, str(source), None, by, str(model), prepared))


def texts_file(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": f"t{i}", "text": text}) + "\n" for i, text in enumerate(TEXTS)))
    return path


def spans_file(tmp_path):
    """The texts with spans as another tool writes them."""
    rows = []
    for index, text in enumerate(TEXTS):
        at = {word: text.find(word) for word in ("Marta Okafor", "Helvion Steel") if word in text}
        entities = [{"start": start, "end": start + len(word), "label": "PER"} for word, start in at.items()]
        rows.append({"id": f"t{index}", "text": text, "entities": entities})
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def seen(tags, confidence, annotated=None, name="d"):
    """A document of one sentence that the model reads as `tags`, each with that probability."""
    rows = np.full((len(tags), len(LABELS)), (1 - confidence) / (len(LABELS) - 1), np.float32)
    rows[np.arange(len(tags)), [LABELS.index(tag) for tag in tags]] = confidence
    tokens = [f"w{index}" for index in range(len(tags))]
    return Seen(Document(name, [Sentence(0, tokens, annotated or ["O"] * len(tags), 1)]), [rows], LABELS)


def with_words(document, word):
    (sentence,) = document.sentences
    return replace(
        document, sentences=[sentence._replace(tokens=[f"{word * 5}{i}" for i, _ in enumerate(sentence.tags)])]
    )


def corrected(text, spans):
    """What a person makes of a task: the first entity goes, every Rotterdam is a place, another is a new type."""
    kept = [span._replace(type="Käufer/In") if index == 1 else span for index, span in enumerate(spans[1:])]
    start = text.find("Rotterdam")
    free = start >= 0 and all(span.end <= start or start + 9 <= span.start for span in kept)
    return sorted([*kept, CharSpan(start, start + 9, "LOC", "Rotterdam")] if free else kept)


def export(tool, tasks_path, path):
    """Correct the tasks and write the tool's own export of them; returns the spans of each document by its name."""
    text = tasks_path.read_text(encoding="utf-8")
    tasks = json.loads(text) if tool == "label-studio" else [json.loads(line) for line in text.splitlines()]
    wanted = {}
    for task in tasks:
        change = {"label-studio": by_label_studio, "doccano": by_doccano, "prodigy": by_prodigy}[tool]
        name, spans = change(task)
        wanted[name] = spans
    lines = "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks)
    path.write_text(json.dumps(tasks) if tool == "label-studio" else lines, encoding="utf-8")
    return wanted


def in_browser(text, offset):
    return len(text[:offset].encode("utf-16-le")) // 2


def code_points(text, offset):
    return len(text.encode("utf-16-le")[: 2 * offset].decode("utf-16-le"))


def by_label_studio(task):
    text = task["data"]["text"]
    values = [result["value"] for prediction in task["predictions"][:1] for result in prediction["result"]]
    spans = [
        CharSpan(code_points(text, v["start"]), code_points(text, v["end"]), v["labels"][0], v["text"]) for v in values
    ]
    assert all(text[span.start : span.end] == span.text for span in spans)
    spans = corrected(text, spans)
    result = [
        {
            "id": f"r{index}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "origin": "manual",
            "value": {
                "start": in_browser(text, s.start),
                "end": in_browser(text, s.end),
                "text": s.text,
                "labels": [s.type],
            },
        }
        for index, s in enumerate(spans)
    ]
    task["annotations"] = [{"id": 7, "completed_by": 1, "result": result, "was_cancelled": False, "lead_time": 3.5}]
    return task["data"]["document"], spans


def by_doccano(task):
    text = task["text"]
    before = [CharSpan(code_points(text, start), code_points(text, end), kind) for start, end, kind in task["label"]]
    spans = corrected(text, [span._replace(text=text[span.start : span.end]) for span in before])
    task["label"] = [[in_browser(text, span.start), in_browser(text, span.end), span.type] for span in spans]
    task["Comments"] = []
    return task["document"], spans


def by_prodigy(task):
    text = task["text"]
    spans = corrected(
        text, [CharSpan(s["start"], s["end"], s["label"], text[s["start"] : s["end"]]) for s in task["spans"]]
    )
    task["spans"] = [{"start": s.start, "end": s.end, "label": s.type} for s in spans]
    task |= {"answer": "accept", "_input_hash": 1, "_task_hash": 2, "_timestamp": 3}
    return task["meta"]["document"], spans


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("source", ["texts", "train", "spans", "bare"])
def test_what_a_person_corrects_in_a_tool_is_read_back_span_by_span(tool, source, tmp_path, tiny_model, prepared):
    tasks, back = tmp_path / "tasks", tmp_path / ("export.json" if tool == "label-studio" else "export.jsonl")
    request = {
        "texts": Request(9, str(texts_file(tmp_path)), model=str(tiny_model)),
        "train": Request(9, "train", model=str(tiny_model), prepared=prepared),
        "spans": Request(9, spans=spans_file(tmp_path)),
        "bare": Request(9, str(texts_file(tmp_path))),
    }[source]
    chosen = annotate(tasks, tool, request)
    wanted = export(tool, tasks, back)
    assert len(wanted) == len(chosen) and any(wanted.values())
    found, report = recognise(back), Report()
    assert found.format.name == tool
    documents = {document.name: document for document in read(found.files["all"], found.format, report)}
    assert {name: document.entities() for name, document in documents.items()} == wanted
    assert report.is_balanced() and not report.listed and report.entities == sum(map(len, wanted.values()))


def test_tasks_that_nobody_annotated_are_listed_and_not_taken_for_text_without_entities(tmp_path, tiny_model, prepared):
    run(tmp_path / "tasks.json", "label-studio", texts_file(tmp_path), "uncertainty", tiny_model, prepared)
    found, report = recognise(tmp_path / "tasks.json"), Report()
    assert list(read(found.files["all"], found.format, report)) == []
    assert report.is_balanced() and {p.cause for p in report.listed} == {"not annotated"}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_task_says_the_score_the_model_and_the_reason(tool, tmp_path, tiny_model, prepared):
    chosen = run(tmp_path / "tasks", tool, texts_file(tmp_path), "uncertainty", tiny_model, prepared)
    text = (tmp_path / "tasks").read_text(encoding="utf-8")
    first = json.loads(text)[0] if tool == "label-studio" else json.loads(text.splitlines()[0])
    told = {"label-studio": lambda t: t["data"], "doccano": lambda t: t, "prodigy": lambda t: t["meta"]}[tool](first)
    assert told["score"] == round(chosen[0].score, 4) and told["model"] == str(tiny_model) and told["why"]
    if tool == "label-studio":
        assert first["predictions"][0]["model_version"] == str(tiny_model) and first["annotations"] == []
        assert '<Label value="PER"/>' in (tmp_path / "tasks.labels.xml").read_text()
    rows = list(csv.DictReader((tmp_path / "tasks.why.csv").open(encoding="utf-8")))
    assert [row["document"] for row in rows] == [one.document.name for one in chosen]


def test_an_annotated_document_keeps_its_annotation_beside_the_models(tmp_path, tiny_model, prepared):
    gold = {document.name: document for document in corpus_documents(prepared, "train")}
    chosen = run(tmp_path / "tasks", "label-studio", "train", "uncertainty", tiny_model, prepared)
    for task, one in zip(json.loads((tmp_path / "tasks").read_text()), chosen, strict=True):
        annotated, model = task["predictions"]
        values = [r["value"] for r in annotated["result"]]
        name = task["data"]["document"]
        assert [(v["start"], v["end"], v["labels"][0]) for v in values] == [s[:3] for s in gold[name].entities()]
        assert annotated["model_version"] == "annotated" and len(model["result"]) == len(one.guess.entities())


def test_expected_errors_are_what_the_probabilities_say():
    (entity, why), (missed, _) = expected_errors(seen(["B-PER", "O"], 0.8))
    # the entity: 0.8, and 1 - 0.05 that the next token does not go on; the O: two B- tags of 0.05 each
    assert (entity, missed) == pytest.approx((1 - 0.8 * 0.95, 0.1))
    assert why == "PER 'w0' 0.76" and uncertain(seen(["B-PER", "O"], 0.8)).why.startswith(f"{why}; O 'w1'")


@pytest.mark.parametrize(("gap", "found"), [(" ", ["St. Louis"]), ("\n", ["St.\nLouis"]), ("\n\n", ["St.", "Louis"])])
def test_an_entity_goes_over_a_guessed_sentence_end_but_over_no_blank_line(gap, found):
    rows = np.eye(len(LABELS), dtype=np.float32)
    text, start = f"St.{gap}Louis", 3 + len(gap)
    sentences = [Sentence(0, ["St."], ["O"], 1), Sentence(0, ["Louis"], ["O"], 1)]
    document = Document("d", sentences, text, [[(0, 3)], [(start, start + 5)]])
    joined = rejoined(Seen(document, [rows[[1]], 0.7 * rows[[2]] + 0.3 * rows[[1]]], LABELS))  # I-LOC, or else B-LOC
    assert [span.text for span in joined.predicted().entities()] == found


def test_the_least_sure_documents_come_first_and_no_more_than_asked_for():
    some = [seen(["B-PER", "I-PER", *["O"] * 30], sure, name=str(sure)) for sure in (0.9, 0.5, 0.7)]
    some = [replace(one, document=with_words(one.document, word)) for one, word in zip(some, "abc", strict=True)]
    assert [one.document.name for one in most_varied(map(uncertain, some), 2)] == ["0.5", "0.7"]


def test_the_documents_that_the_model_surely_contradicts_come_first():
    right = ["B-PER", "I-PER", "O", "O", "B-LOC", "O", "O", "O"]
    some = [seen(right, 0.97, annotated=right, name=str(index)) for index in range(30)]
    some[7] = seen(right, 0.97, annotated=["B-LOC", "I-LOC", *right[2:]], name="7")
    some[21] = seen(right, 0.97, annotated=["B-LOC", "I-LOC", "O", "O", "O", "O", "O", "O"], name="21")
    chosen = most_contradicted(iter(some), 5)
    assert [one.document.name for one in chosen] == ["21", "7"]
    assert "'w4': annotated O, model B-LOC 0.97" in chosen[0].why


def test_documents_without_annotation_or_with_other_types_cannot_be_contradicted(tmp_path, tiny_model, prepared):
    with pytest.raises(InputError, match="document t0 has no annotation .* choose by uncertainty"):
        run(tmp_path / "a", "doccano", texts_file(tmp_path), "contradiction", tiny_model, prepared)
    with pytest.raises(InputError, match=r"not trained on \(Vogel\)"):
        most_contradicted([seen(["O", "O"], 0.9, annotated=["B-Vogel", "O"])], 1)


def test_a_corpus_without_unlabelled_texts_says_how_to_have_some(tmp_path, tiny_model, prepared):
    with pytest.raises(InputError, match="no unlabelled texts: add the split `unlabelled`"):
        run(tmp_path / "a", "doccano", "unlabelled", "uncertainty", tiny_model, prepared)
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match="is there already"):
        run(tmp_path / "a", "doccano", "train", "uncertainty", tiny_model, prepared)


def test_unlabelled_texts_of_the_corpus_come_back_as_new_documents_of_train(tmp_path, tiny_model, prepared):
    folder = shutil.copytree(prepared, tmp_path / "prepared")
    shutil.copy(folder / "test.parquet", folder / "unlabelled.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    about = {"parquet": "unlabelled.parquet", "sha256": sha256_file(folder / "unlabelled.parquet")}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"unlabelled": about}))
    chosen = run(tmp_path / "tasks", "prodigy", "unlabelled", "uncertainty", tiny_model, folder)
    assert not any(one.document.labelled for one in chosen)
    wanted = export("prodigy", tmp_path / "tasks", tmp_path / "export.jsonl")
    result = take_back(tmp_path / "export.jsonl", folder)
    assert (result.replaced, result.added) == (0, len(chosen)) and not result.listed
    added = {document.name: document for document in result.splits["train"][-len(chosen) :]}
    assert {name: document.entities() for name, document in added.items()} == wanted
    assert [one.tokens for one in added["unlabelled-0"].sentences] == [
        one.tokens for one in corpus_documents(prepared, "test")[0].sentences
    ]


@pytest.fixture
def train_tasks(tmp_path, tagger, prepared):
    """Two documents of train as doccano has them after annotation, unchanged."""
    chosen = most_varied(map(uncertain, look(corpus_documents(prepared, "train"), tagger)), 2)
    write_tasks(tmp_path / "tasks.jsonl", chosen, "doccano", "ner", ["PER"])
    return [json.loads(line) for line in (tmp_path / "tasks.jsonl").read_text(encoding="utf-8").splitlines()]


def taken_back(tmp_path, prepared, tasks):
    path = tmp_path / "export.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks), encoding="utf-8")
    result = take_back(path, prepared)
    lost = [*result.report.listed, *result.listed]
    assert result.report.entities_in == result.entities + sum(p.kind == "entity" for p in lost)
    assert result.report.documents_in == result.replaced + result.added + sum(p.kind == "document" for p in lost)
    return result


def test_what_comes_back_unchanged_changes_nothing(tmp_path, prepared, train_tasks):
    result = taken_back(tmp_path, prepared, train_tasks)
    assert (result.replaced, result.added, result.changes) == (2, 0, [])
    for split, documents in result.splits.items():
        assert documents == corpus_documents(prepared, split)


def test_corrected_documents_take_their_old_places_in_the_new_corpus(tmp_path, prepared, train_tasks):
    task = train_tasks[0]
    start, end, _ = task["label"].pop(0)
    task["label"].append([start, end, "Käufer"])
    result = taken_back(tmp_path, prepared, train_tasks)
    text = task["text"][start:end]
    assert result.changes == [
        [task["document"], "gone", *result.changes[0][2:3], text, start, end, ""],
        [task["document"], "new", "Käufer", text, start, end, ""],
    ]
    write_corpus(tmp_path / "corrected", result)
    place = int(task["document"].rpartition("-")[2])
    before = corpus_documents(prepared, "train")
    written = list(read_strict(tmp_path / "corrected/train.txt"))
    old = [sentence for document in before for sentence in document.sentences]
    assert [(s.document_id, s.tokens) for s in written] == [(s.document_id, s.tokens) for s in old]
    differ = [new for new, one in zip(written, old, strict=True) if new.tags != one.tags]
    assert [s.document_id for s in differ] == [place] and "B-Käufer" in differ[0].tags
    assert "Käufer" in (tmp_path / "corrected.changes.csv").read_text(encoding="utf-8")


def test_what_cannot_go_back_is_listed_and_new_documents_are_added_to_train(tmp_path, prepared, train_tasks):
    first, second = train_tasks
    line = next(at for at, character in enumerate(first["text"]) if character == "\n")
    before = first["text"].rindex(" ", 0, line) + 1
    after = min(place for place in (first["text"].find(mark, line + 1) for mark in " \n") if place > 0)
    first["label"] = [[before, after, "PER"]]
    second["text"] = "Another text."
    second["label"] = [[0, 7, "PER"]]
    new = {"text": "Marta left.", "label": [[0, 5, "PER"]], "document": "letter"}
    result = taken_back(tmp_path, prepared, [first, second, new, new])
    assert (result.replaced, result.added) == (1, 1)
    assert [(p.kind, p.cause) for p in result.listed] == [
        ("entity", "across sentences"), ("document", "other text"), ("entity", "other text"), ("document", "twice"),
        ("entity", "twice"),
    ]  # fmt: skip
    assert result.splits["train"][0].name == "letter" and result.splits["train"][0].entities()[0].text == "Marta"


def test_an_export_of_the_corpus_in_columns_is_no_export_of_tasks_but_loses_nothing(tmp_path, prepared):
    documents = corpus_documents(prepared, "test")
    write(tmp_path / "export.jsonl", documents, "doccano")
    result = take_back(tmp_path / "export.jsonl", prepared)
    assert result.replaced == len(documents) and result.changes == []
