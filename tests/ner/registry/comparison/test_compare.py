"""Two versions in a real MLflow on SQLite: compared on the same data, on paper and in the run of the challenger."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ner.common.files import read_params
from ner.data.predict_splits import load_fast, predict_split
from ner.data.predictions import Predictions, write_predictions
from ner.data.prepared import read_manifest, read_split
from ner.errors import NerError, RegistryError
from ner.registry.comparison import compare
from ner.registry.comparison.live import live_differences
from ner.registry.comparison.page import markdown
from ner.registry.versions import add_version, content_digest
from ner.tracking.mlflow_store import client, experiment_id, predictions_folder, upload
from typed import call

ROOT = Path(__file__).resolve().parents[4]
PARAMS = read_params(ROOT / "tests/data/params.yaml")
GOLD = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O", "O"], ["O", "B-PER"]]  # one document
DOCUMENTS = 20
HERE, OTHER = "ab" * 32, "cd" * 32
HOSTILE = ("<img/src=x/onerror=alert(1)>", "[x](javascript:alert(1))", "![x](http://example.org/x.png)", "</table>|")


def predictions(wrong_documents=(), fingerprint=HERE, word="word", kind="PER") -> Predictions:
    """A model that knows everything, but calls every person in some documents a place."""
    labels = ["O", "B-LOC", "I-LOC", f"B-{kind}", f"I-{kind}"]
    gold = [[tag.replace("PER", kind) for tag in tags] for _ in range(DOCUMENTS) for tags in GOLD]
    documents = [number for number in range(DOCUMENTS) for _ in GOLD]
    said = [
        [f"{tag[:2]}LOC" if document in wrong_documents and tag != "O" else tag for tag in tags]
        for tags, document in zip(gold, documents, strict=True)
    ]
    logits = np.eye(len(labels), dtype=np.float32)[[labels.index(tag) for tags in said for tag in tags]]
    return Predictions(
        document_ids=documents,
        sentence_ids=list(range(len(gold))),
        lines=list(range(1, len(gold) + 1)),
        tokens=[[f"{word}{index}" for index, _ in enumerate(tags)] for tags in gold],
        gold=gold,
        logits_document=logits,
        logits_alone=logits,
        labels=labels,
        context="document",
        fingerprint=fingerprint,
    )


@pytest.fixture
def home(tmp_path, monkeypatch, database) -> Path:
    folder = shutil.copytree(database, tmp_path / "home")
    shutil.copy(ROOT / "tests/data/params.yaml", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return folder


def new_version(*stored: Predictions, alias: str = "", splits=("validation", "test")):
    """A version whose run has these predictions."""
    mlflow = client()
    run = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
    if not mlflow.search_registered_models():
        mlflow.create_registered_model("ner")
    tags = {"data_fingerprint": stored[0].fingerprint} if stored else {}
    version = mlflow.create_model_version("ner", source=f"runs:/{run}/model", run_id=run, tags=tags)
    if alias:
        mlflow.set_registered_model_alias("ner", alias, version.version)
    for each in stored:
        for split in splits:
            write_predictions(Path(f"{split}.parquet"), each)
            upload(mlflow, run, [Path(f"{split}.parquet")], predictions_folder(each.fingerprint))
    return version


def run(*arguments: str) -> None:
    call(compare.main, *arguments)


def written(folder: Path = Path("reports/comparison")) -> dict:
    return json.loads((folder / "comparison.json").read_text())


def test_challenger_against_champion_is_on_disk_in_the_run_and_on_the_version(home, capsys):
    new_version(predictions(range(10)), alias="champion")
    version = new_version(predictions([19]), alias="challenger")
    run()
    found = written()
    assert found["verdict"].startswith("ner version 2 is better than ner version 1 on validation: F1 0.97")
    told = found["splits"]["validation"]
    assert told["sentences"] == {"both": 38, "challenger": 20, "champion": 2, "neither": 0}
    assert told["overall"]["difference"] > 0 and set(told["per_type"]) == {"LOC", "PER"}
    assert told["per_type"]["PER"]["support"] == 2 * DOCUMENTS and set(found["splits"]) == {"validation", "test"}
    assert found["verdict"] in capsys.readouterr().out

    names = {"comparison.html", "comparison.json", "comparison.md"}
    assert {path.name for path in Path("reports/comparison").iterdir()} == names
    logged = client().list_artifacts(version.run_id, "comparison/2-against-1")
    assert {Path(entry.path).name for entry in logged} == names
    tag = client().get_model_version("ner", "2").tags["comparison"]
    assert tag.startswith("better than ner version 1 on validation: F1 0.97") and "\n" not in tag


def test_the_rows_say_what_differs_and_where(home):
    new_version(predictions([7]), alias="champion")
    new_version(predictions(), alias="challenger")
    run("--split", "test", "--report", "told.json")
    first = written()["splits"]["test"]["only_one_right"][0]
    assert (first["right"], first["document_id"], first["sentence_id"], first["line"]) == ("challenger", 7, 21, 22)
    assert [entity["type"] for entity in first["gold"]] == ["PER", "LOC"]
    assert [entity["type"] for entity in first["champion"]] == ["LOC", "LOC"]
    told = json.loads(Path("told.json").read_text())
    assert told["rows"][0] == {
        "split": "test",
        "right": "challenger",
        "text": "word0 word1 word2 word3",
        "annotated": "word0 word1 PER",
        "challenger": "as annotated",
        "champion": "word0 word1 LOC",
        "document": 7,
        "sentence": 21,
    }
    assert told["sentence"] == written()["verdict"] and told["place"] == "comparison/2-against-1"


def test_any_two_versions_by_number_by_alias_and_the_model_of_this_checkout(home):
    for wrong in ([1], [2], [3]):
        new_version(predictions(wrong))
    client().set_registered_model_alias("ner", "old", "1")
    names = set()
    for pair in (("ner/3", "ner@old"), ("3", "old"), ("models:/ner/3", "models:/ner@old")):
        run(*pair)
        names.add((written()["challenger"]["name"], written()["champion"]["name"]))
    assert names == {("ner version 3", "ner version 1")}

    Path("reports/predictions").mkdir()
    for split in ("validation", "test"):
        write_predictions(Path(f"reports/predictions/{split}.parquet"), predictions())
    run("reports", "2")
    assert written()["challenger"] == {"name": "the model of this checkout", "short": "checkout", "mlflow_run_id": None}
    assert "comparison" not in client().get_model_version("ner", "2").tags


def test_one_version_that_is_both_is_a_sentence_and_no_failure(home, capsys):
    new_version(predictions(), alias="champion")
    client().set_registered_model_alias("ner", "challenger", "1")
    run("--report", "told.json")
    sentence = "ner version 1 is both, so that there is nothing to compare."
    assert sentence in capsys.readouterr().out and json.loads(Path("told.json").read_text()) == {"sentence": sentence}
    assert not Path("reports/comparison").exists()


def test_two_versions_with_the_same_tags_are_told_so(home):
    new_version(predictions([1]), alias="champion")
    new_version(predictions([1]), alias="challenger")
    run()
    assert written()["verdict"] == "ner version 2 and ner version 1 predict the same tags throughout validation."


def test_what_has_no_predictions_of_the_data_is_named_with_what_to_run(home):
    new_version(alias="champion")
    new_version(predictions(), alias="challenger")
    with pytest.raises(NerError, match=rf"no predictions by ner version 1 for .*{HERE[:16]}: run .*--predict"):
        run()
    new_version(predictions(), alias="champion", splits=("validation",))
    with pytest.raises(NerError, match="no predictions by ner version 3 for validation and test"):
        run()
    run("--split", "validation")  # of that split it has


def test_data_that_both_predicted_is_taken_the_present_first(home):
    new_version(predictions(fingerprint=OTHER), predictions(), alias="champion")
    new_version(predictions([1]), predictions([2], fingerprint=OTHER), alias="challenger")
    run()
    assert written()["fingerprint"] == HERE  # that of the challenger's evaluation
    Path("data/prepared").mkdir(parents=True)
    manifest = {"source": "mini", "fingerprint": OTHER, "labels": [], "splits": {}}
    Path("data/prepared/manifest.json").write_text(json.dumps(manifest))
    run()
    assert written()["fingerprint"] == OTHER


def test_a_cross_validated_version_does_not_predict_validation_which_it_may_have_learnt(home):
    version = new_version(predictions(fingerprint=OTHER), alias="champion")
    client().set_model_version_tag("ner", version.version, "params", json.dumps({"split": {"folds": 3}}))
    new_version(predictions(), alias="challenger")
    Path("data/prepared").mkdir(parents=True)
    manifest = {"source": "mini", "fingerprint": HERE, "labels": [], "splits": {}}
    Path("data/prepared/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NerError, match="ner version 1 was cross-validated, .*: compare on test"):
        run("--predict")


def test_predictions_of_other_sentences_are_not_compared(home):
    new_version(predictions(), alias="champion")
    new_version(replace(predictions(), tokens=[["x"] * len(tags) for tags in predictions().tokens]), alias="challenger")
    with pytest.raises(NerError, match="predictions of ner version 1 on validation are of other sentences"):
        run()


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("nobody", "has no ner@nobody: set the alias on a version in the MLflow UI"),
        ("ner@nobody", "has no ner@nobody: set the alias on a version in the MLflow UI"),
        ("ner/9", "has no ner/9: the MLflow UI .* shows which versions there are"),
        ("other@champion", "has no other@champion: set the alias .* or name a version, as other/1"),
    ],
)
def test_a_name_that_means_no_version_is_refused_in_one_sentence(home, reference, problem):
    new_version(predictions(), alias="champion")
    with pytest.raises(RegistryError, match=problem) as error:
        run(reference)
    assert "\n" not in str(error.value) and not Path("reports/comparison").exists()


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def compared(**strange: str) -> tuple[Page, str]:
    """The page and the Markdown of two versions that differ in one document."""
    new_version(predictions([1], **strange), alias="champion")
    new_version(predictions(**strange), alias="challenger")
    run()
    folder = Path("reports/comparison")
    return Page((folder / "comparison.html").read_text()), (folder / "comparison.md").read_text()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(home, text):
    harmless, _ = compared(word="harmless", kind="PER")
    hostile, markdown = compared(word=text, kind=text.replace("-", ""))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    assert hostile.text.count(text) > 10
    assert text not in markdown.replace("\\\\", "")  # every mark in it is escaped
    assert not re.search(r"(?<!\\)[<\[`]", markdown.replace(f"`{HERE[:16]}`", ""))


def test_the_page_loads_nothing_and_is_the_same_each_time(home):
    page, markdown = compared()
    sources = [value for _, named in page.elements for key in ("src", "href") if (value := named.get(key))]
    assert sources and all(value.startswith("#") for value in sources)
    (policy,) = [named["content"] for tag, named in page.elements if named.get("http-equiv")]
    assert policy.startswith("default-src 'none';") and "only the challenger gets right" in markdown
    before = {path.name: path.read_bytes() for path in Path("reports/comparison").iterdir()}
    run()
    assert {path.name: path.read_bytes() for path in Path("reports/comparison").iterdir()} == before


@pytest.mark.parametrize(
    "spoil",
    [
        list,  # nothing is there
        lambda: [Path("validation.parquet")],  # killed between the two
        lambda: [damaged(Path("validation.parquet")), Path("test.parquet")],  # killed in writing
    ],
    ids=["none", "one of two", "damaged"],
)
def test_whoever_lacks_predictions_makes_them_when_asked_to(home, untrained, prepared, capsys, spoil):
    labels, fingerprint = read_manifest(prepared)["labels"], read_manifest(prepared)["fingerprint"]
    shutil.copytree(prepared, "data/prepared")
    untrained(Path("release"), labels)
    mlflow = client()
    runs = [mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id for _ in range(2)]
    for run_id, alias in zip(runs, ("champion", "challenger"), strict=True):
        mlflow.set_terminated(run_id)
        version = add_version("ner", run_id, Path("release"), content_digest(Path("release")))
        mlflow.set_registered_model_alias("ner", alias, version.version)
    for split in ("validation", "test"):
        tagger = load_fast(Path("release"), PARAMS)
        ours = predict_split(tagger, read_split(prepared, split), PARAMS, split, fingerprint)
        write_predictions(Path(f"{split}.parquet"), ours)
        upload(mlflow, runs[1], [Path(f"{split}.parquet")], predictions_folder(fingerprint))
    upload(mlflow, runs[0], spoil(), predictions_folder(fingerprint))
    run("--predict")
    said = capsys.readouterr().out
    assert "the predictions of ner version 1 are in its MLflow run" in said and "ner version 2 are" not in said
    assert written()["fingerprint"] == fingerprint and "the same tags" in written()["verdict"]


def damaged(path: Path) -> Path:
    """The file without its second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_what_the_shadow_read_shows_where_two_versions_differ(tmp_path, monkeypatch):
    monkeypatch.setenv("NER_MONITOR_FOLDER", str(tmp_path))
    assert live_differences("ner/2", "ner/1") is None
    about = {"time": "2026-01-02T03:04:05", "model": "ner/1", "against": "ner/2"}
    rows = [
        {**about, "both": {"PER": 2}, "champion": [], "challenger": []},
        {**about, "both": {}, "champion": [["LOC", 0, 4]], "challenger": [["ORG", 0, 4]], "text": "Oslo <b>"},
        {**about, "against": "ner/9", "both": {"PER": 7}, "champion": [], "challenger": []},
    ]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "shadow-1.jsonl").write_text("\n".join([*lines, lines[0][:30]]))
    live = live_differences("ner/2", "ner/1")
    assert (live["texts"], live["differ"]) == (2, 1)
    assert live["per_type"] == {
        "LOC": {"both": 0, "challenger": 0, "champion": 1},
        "ORG": {"both": 0, "challenger": 1, "champion": 0},
        "PER": {"both": 2, "challenger": 0, "champion": 0},
    }
    report = {"challenger": {"name": "a"}, "champion": {"name": "b"}, "fingerprint": HERE, "splits": {}, "live": live}
    text = markdown(report)
    assert "Of 2 texts that both read" in text and "1 (50.0%) differ" in text and "<b>" not in text
