"""The stage on our small corpus: each mistake once and worst first, the same bytes again, and all of it in MLflow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ner.common.files import read_json, read_params, write_json
from ner.data.predictions import Predictions, read_predictions, write_predictions
from ner.data.prepared import read_manifest, read_split, to_tags
from ner.errors import NerError
from ner.evaluation.error_analysis import CATEGORIES
from ner.evaluation.run import evaluate
from ner.evaluation.scoring import micro_scores
from ner.report.analysis import analyse, mistakes_table, summary
from ner.tracking.mlflow_store import client, experiment_id
from ner.tracking.runs import log_analysis

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TRAINING = {
    "base": {"name": "tiny"},
    "data": {"source": "mini"},
    "params": {"train.seed": 42},
    "steps": 10,
}
HISTORY = "epoch,step,training_loss,validation_loss,precision,recall,f1,accuracy\n1,10,,0.5,0.4,0.5,0.45,0.9\n"


def of(sentences: list[list[str]], gold: list[list[str]], read: list[list[str]], labels: list[str]) -> Predictions:
    """Predictions of a model that reads the tags `read`, of the later sentences less surely."""
    logits = np.zeros((sum(map(len, read)), len(labels)), np.float32)
    sure = np.repeat(np.linspace(9, 6, len(read)), [len(tags) for tags in read])
    logits[np.arange(len(logits)), [labels.index(tag) for tags in read for tag in tags]] = sure
    ids = list(range(len(read)))
    lines = [1 + 20 * index for index in ids]
    return Predictions(
        [index // 2 for index in ids], ids, lines, sentences, gold, logits, logits, labels, "document", "ab" * 32
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory, prepared) -> Path:
    """A folder with what the stages before write: of a model that takes every fifth tag for another one."""
    folder = tmp_path_factory.mktemp("analyse") / "reports"
    (folder / "predictions").mkdir(parents=True)
    labels = read_manifest(prepared)["labels"]
    for name in ("validation", "test"):
        split = read_split(prepared, name)
        gold = to_tags(split.tag_ids, labels)
        read = [[labels[(i + 2) % len(labels)] if i % 5 == 4 else tag for i, tag in enumerate(tags)] for tags in gold]
        write_predictions(folder / "predictions" / f"{name}.parquet", of(split.tokens, gold, read, labels))
    evaluate(read_params(ROOT / "tests/data/params.yaml"), prepared, folder)
    (folder / "history.csv").write_text(HISTORY)
    (folder / "loss.csv").write_text("step,epoch,loss\n5,0.5,1.5\n10,1.0,0.7\n")
    write_json(folder / "training.json", TRAINING)
    analyse(folder)
    return folder


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_mistakes_are_those_that_the_scores_lack(reports, split):
    table = pd.read_parquet(reports / "mistakes" / f"{split}.parquet")
    scores = read_json(reports / "metrics.json")[split]
    assert table["category"].value_counts().to_dict() == {k: v for k, v in scores["mistakes"].items() if v}
    found = read_predictions(reports / "predictions", split)
    recall = 1 - (table["wrong"] != "predicted").sum() / scores["support"]
    assert recall == pytest.approx(micro_scores(found.gold, found.tags(found.logits))["recall"])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_each_mistake_quotes_its_words_and_its_line(reports, split):
    table = pd.read_parquet(reports / "mistakes" / f"{split}.parquet")
    found = read_predictions(reports / "predictions", split)
    for row in table.to_dict("records"):
        tokens = found.tokens[row["sentence_id"]]
        assert row["sentence"] == " ".join(tokens)
        starts = []
        for side in ("gold", "predicted"):
            if pd.isna(row[f"{side}_start"]):
                assert pd.isna(row[f"{side}_text"])
                continue
            start, end = int(row[f"{side}_start"]), int(row[f"{side}_end"])
            assert row[f"{side}_text"] == " ".join(tokens[start:end])
            starts.append(start)
        assert row["line"] == found.lines[row["sentence_id"]] + min(starts)
        assert 0 < row["score"] <= 1


def test_what_is_wrong_most_often_is_first_and_of_these_the_surest():
    read, missed, invented = ["B-LOC", "O", "O"], ["O", "O", "O"], ["O", "O", "B-PER"]
    gold = [read, ["O", "O", "O"], read, read]
    table = mistakes_table(of([["Rome", "is", "old"]] * 4, gold, [missed, invented, missed, missed], LABELS), 1.0)
    assert table["frequency"].to_list() == [3, 3, 3, 1]
    assert table["gold_text"].to_list()[:3] == ["Rome"] * 3 and table["predicted_text"].to_list()[3] == "old"
    assert table["sentence_id"].to_list() == [0, 2, 3, 1]
    assert table["score"][:3].is_monotonic_decreasing


def test_a_missed_entity_says_how_sure_the_model_was_of_nothing():
    found = of([["Rome", "is", "old"]], [["B-LOC", "O", "O"]], [["O", "O", "O"]], LABELS)
    row = mistakes_table(found, 2.0).iloc[0]
    assert row["category"] == "missed" and pd.isna(row["predicted_text"])
    assert row["score"] == pytest.approx(found.probabilities(2.0)[0].max())


def test_without_any_mistake_the_tables_keep_their_columns():
    tags = [["B-LOC", "O", "O"]]
    table = mistakes_table(of([["Rome", "is", "old"]], tags, tags, LABELS), 1.0)
    assert table.empty and {"frequency", "gold_text", "predicted_text", "line", "sentence"} <= set(table)


def test_the_suspected_annotations_of_both_splits_are_ranked_together(reports):
    table = pd.read_csv(reports / "label_issues.csv")
    assert table["rank"].to_list() == list(range(1, len(table) + 1))
    assert table["confidence"].is_monotonic_decreasing
    for row in table.to_dict("records"):
        found = read_predictions(reports / "predictions", row["split"])
        start = row["line"] - found.lines[row["sentence_id"]]
        length = len(row["annotated"].split())
        assert row["text"] == " ".join(found.tokens[row["sentence_id"]][start : start + length])
        assert row["annotated"] == " ".join(found.gold[row["sentence_id"]][start : start + length])


def test_analysing_twice_writes_the_same_bytes(reports):
    names = ["report.html", "label_issues.csv", "mistakes/test.parquet", "figures/confusion.png"]
    before = {name: (reports / name).read_bytes() for name in names}
    done = analyse(reports)
    assert {name: (reports / name).read_bytes() for name in names} == before
    lines = summary(done).splitlines()
    assert [line.split()[0] for line in lines] == ["mistakes", *CATEGORIES, "all", "label"]
    assert lines[-2].split() == ["all", *(str(len(done["mistakes"][split])) for split in ("validation", "test"))]


def test_a_missing_table_is_named(reports, tmp_path):
    write_json(tmp_path / "metrics.json", read_json(reports / "metrics.json"))
    with pytest.raises(NerError, match=r"history\.csv is missing: run `dvc repro`"):
        analyse(tmp_path)


def test_the_stage_starts_without_torch():
    code = "import sys, tasks.analyse, cleanlab.token_classification.filter; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_mlflow_has_figures_page_predictions_and_each_mistake_once(reports, tmp_path, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store = client()
    run_id = store.create_run(experiment_id(store, "ner")).info.run_id
    log_analysis(run_id, reports)
    log_analysis(run_id, reports)  # again, as stage register may: nothing is doubled

    folders = {"figures", "mistakes", f"predictions/{('ab' * 32)[:16]}", "reports"}
    there = {file.path for folder in folders for file in store.list_artifacts(run_id, folder)}
    assert {"figures/confusion.png", "reports/report.html", "mistakes/validation.json"} <= there
    assert f"predictions/{('ab' * 32)[:16]}/validation.parquet" in there
    for split in ("validation", "test"):
        shown = read_json(Path(store.download_artifacts(run_id, f"mistakes/{split}.json", str(tmp_path))))
        table = pd.read_parquet(reports / "mistakes" / f"{split}.parquet")
        assert shown["columns"] == list(table) and len(shown["data"]) == len(table)
    tag = json.loads(store.get_run(run_id).data.tags["mlflow.loggedArtifacts"])
    assert tag == [{"path": f"mistakes/{split}.json", "type": "table"} for split in ("test", "validation")]
