"""Tasks without a model: the spans of another tool, whatever wrote them, or texts alone; and the way back."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.annotation import annotate as command
from ner.annotation import corrections
from ner.annotation.annotate import Request, annotate
from ner.errors import InputError, NerError

FIRST, SECOND = "Marta Okafor joined Helvion Steel.", "😀 Rotterdam greets Yusuf Demir."
SPANS = [
    (FIRST, [(0, 12, "PER", 0.9), (20, 33, "ORG", 0.75)]),
    (SECOND, [(2, 11, "LOC", 0.5), (19, 30, "PER", 0.875)]),
]


def utf16(text, offset):
    return len(text[:offset].encode("utf-16-le")) // 2


WRITERS = {
    "transformers": lambda t, s, e, k, p: {"entity_group": k, "score": p, "word": t[s:e].lower(), "start": s, "end": e},
    "own": lambda t, s, e, k, p: {"type": k, "start": s, "end": e, "text": t[s:e], "score": p},
    "presidio": lambda t, s, e, k, p: {"entity_type": k, "start": s, "end": e, "score": p},
    "confidence": lambda t, s, e, k, p: {"label": k, "begin": s, "end": e, "confidence": str(p)},
    "list": lambda t, s, e, k, p: [s, e, k, p],
    "javascript": lambda t, s, e, k, p: {
        "label": k, "start": utf16(t, s), "end": utf16(t, e), "text": t[s:e], "probability": p
    },
}  # fmt: skip


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("field", ["entities", "spans", "predictions", "label"])
@pytest.mark.parametrize("writer", WRITERS)
def test_spans_of_any_tool_and_their_scores_become_tasks_without_a_model(writer, field, tmp_path):
    rows = [
        {"id": i, "text": t, field: [WRITERS[writer](t, *span) for span in some]} for i, (t, some) in enumerate(SPANS)
    ]
    chosen = annotate(tmp_path / "tasks", "prodigy", Request(9, spans=written(tmp_path / "spans.jsonl", rows)))
    assert [one.document.name for one in chosen] == ["1", "0"]  # less sure
    assert chosen[0].why == "LOC 'Rotterdam' 0.50; PER 'Yusuf Demir' 0.88"
    assert chosen[1].score == pytest.approx(100 * (0.1 + 0.25 + 0.01 * chosen[1].tokens) / 20)
    tasks = {task["meta"]["document"]: task for task in lines(tmp_path / "tasks")}
    for index, (_, some) in enumerate(SPANS):
        assert [(s["start"], s["end"], s["label"]) for s in tasks[str(index)]["spans"]] == [span[:3] for span in some]
        assert tasks[str(index)]["meta"]["model"] == str(tmp_path / "spans.jsonl")


def test_the_tables_of_ner_batch_are_spans_too(tmp_path):
    entities = [[WRITERS["own"](text, *span) for span in some] for text, some in SPANS]
    pq.write_table(pa.table({"text": [FIRST, SECOND], "entities": entities}), tmp_path / "entities.parquet")
    chosen = annotate(tmp_path / "tasks", "prodigy", Request(9, spans=tmp_path / "entities.parquet"))
    assert [one.why.split(";")[0] for one in chosen] == ["LOC 'Rotterdam' 0.50", "ORG 'Helvion Steel' 0.75"]


def test_without_scores_what_has_more_spans_for_its_length_comes_first(tmp_path):
    rows = [
        {"text": "Nobody came to the meeting on the third floor, and it rained.", "spans": []},
        {"text": FIRST, "spans": [{"start": 0, "end": 12, "label": "PER"}]},
        {"text": SECOND, "spans": [{"start": 2, "end": 11, "label": "LOC"}, {"start": 19, "end": 30, "label": "PER"}]},
    ]
    chosen = annotate(tmp_path / "tasks", "prodigy", Request(9, spans=written(tmp_path / "spans.jsonl", rows)))
    assert [one.document.name for one in chosen] == ["line 3", "line 2", "line 1"]
    assert chosen[0].why == "LOC 'Rotterdam'; PER 'Yusuf Demir'"


def test_label_studio_has_the_tool_the_score_and_the_types_of_all_spans(tmp_path):
    path = written(tmp_path / "spans.jsonl", [{"text": t, "entities": some} for t, some in SPANS])
    annotate(tmp_path / "tasks.json", "label-studio", Request(1, spans=path))
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == str(path) and prediction["score"] == task["data"]["score"] > 0
    assert [result["value"]["text"] for result in prediction["result"]] == ["Rotterdam", "Yusuf Demir"]
    labels = (tmp_path / "tasks.json.labels.xml").read_text()
    assert all(f'"{name}"' in labels for name in ("LOC", "ORG", "PER"))


@pytest.mark.parametrize("tool", ["label-studio", "doccano", "prodigy"])
def test_texts_alone_become_tasks_without_pre_annotation(tool, tmp_path):
    path = written(tmp_path / "texts.jsonl", [{"text": "it rained all day and all night"}, {"text": FIRST}])
    chosen = annotate(tmp_path / "tasks", tool, Request(9, str(path)), ["PER"] if tool == "label-studio" else [])
    assert [one.document.name for one in chosen] == ["line 2", "line 1"] and chosen[0].why.startswith(
        "'Marta'; 'Okafor'"
    )
    tasks = json.loads((tmp_path / "tasks").read_text()) if tool == "label-studio" else lines(tmp_path / "tasks")
    assert [task.get("predictions") or task.get("label") or task.get("spans") or [] for task in tasks] == [[], []]
    assert not any("model" in (task.get("data") or task.get("meta") or task) for task in tasks)
    assert (tmp_path / "tasks.labels.xml").exists() == (tool == "label-studio")


def test_an_annotated_file_keeps_its_annotation_without_a_model(tmp_path):
    path = written(tmp_path / "spans.jsonl", [{"text": t, "entities": some} for t, some in SPANS])
    annotate(tmp_path / "tasks", "label-studio", Request(9, str(path)))
    for task in json.loads((tmp_path / "tasks").read_text()):
        assert [prediction["model_version"] for prediction in task["predictions"]] == ["annotated"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": FIRST, "spans": [[0, 12, "PER", 1]]}, {"text": SECOND, "spans": [[2, 11, "LOC", 97]]}],
         r"spans\.jsonl, line 2: 97 is the score of LOC 'Rotterdam', and no number from 0 to 1"),
        ([{"text": FIRST, "spans": [{"start": 0, "end": 5, "label": "PER", "score": "high"}]}], "line 1: 'high' is"),
        ([{"text": FIRST, "spans": [{"start": 0, "end": 5, "label": "PER", "score": float("nan")}]}], "line 1: nan is"),
        ([{"text": FIRST}], r"holds texts and no spans \(.*\): name it by --from instead"),
        ([{"text": FIRST, "spans": [[0, 12, "PER"]]}, {"txt": SECOND, "spans": []}], r"spans\.jsonl, line 2: no text"),
        ([{"text": "", "spans": []}], "nothing to annotate: .*spans.jsonl"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_spans_is_one_sentence_with_its_place(rows, message, tmp_path):
    with pytest.raises(NerError, match=message):
        annotate(tmp_path / "tasks", "doccano", Request(9, spans=written(tmp_path / "spans.jsonl", rows)))
    assert not (tmp_path / "tasks").exists()


def test_options_that_exclude_each_other_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="is not here: name a file of texts with spans"):
        annotate(tmp_path / "tasks", "doccano", Request(9, spans=tmp_path / "spans.jsonl"))
    with pytest.raises(InputError, match="leave out --from and --model, or --spans"):
        Request(9, "train", spans=tmp_path / "spans.jsonl")
    with pytest.raises(InputError, match="only a model can contradict"):
        Request(9, "train", by="contradiction")


def test_what_was_made_without_a_model_and_a_corpus_comes_back_as_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [{"doc_id": "letter", "text": t, "entities": some} for t, some in SPANS]  # two parts of one document
    written(tmp_path / "spans.jsonl", rows)
    command.main(tmp_path / "tasks.jsonl", "doccano", 9, None, tmp_path / "spans.jsonl", "uncertainty", None, "")
    assert "2 documents in" in (out := capsys.readouterr().out) and "uncertainty and diversity" in out
    assert {task["document"] for task in lines(tmp_path / "tasks.jsonl")} == {"letter", "letter (2)"}
    corrections.main(tmp_path / "tasks.jsonl", tmp_path / "corrected")
    assert "ner new-data" in (out := capsys.readouterr().out) and "entities: 4 in, 4 kept, 0 listed" in out
    assert [path.name for path in (tmp_path / "corrected").iterdir()] == ["train.txt"]
    assert "Okafor I-PER" in (tmp_path / "corrected/train.txt").read_text(encoding="utf-8")
    assert sum(row["change"] == "new" for row in csv.DictReader((tmp_path / "corrected.changes.csv").open())) == 4


def test_without_a_model_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "texts.jsonl", [{"text": FIRST}, {"text": SECOND}])
    command.main(tmp_path / "tasks", "label-studio", 9, str(path), None, "uncertainty", None, "")
    out = capsys.readouterr().out
    assert "no model in models/release: nothing is pre-annotated" in out and "--types PER,LOC" in out
    assert "chosen by possible names and diversity" in out
