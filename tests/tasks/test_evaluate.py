"""Evaluation writes what it scored, from stored predictions alone, and counts every gold entity."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ner.common.files import read_json, read_params
from ner.data.fingerprint import distinct_sentences
from ner.data.predictions import (
    Predictions,
    read_columns,
    read_logits,
    read_prediction_parts,
    read_predictions,
    write_predictions,
)
from ner.data.prepared import read_manifest, read_parts, read_split, to_tags
from ner.errors import CorpusError, ParamsError
from ner.evaluation.corrected_test import corrected_scores
from ner.evaluation.run import evaluate
from ner.evaluation.scores_table import scores_table
from ner.evaluation.scoring import score
from ner.evaluation.training_overlap import read_training
from ner.params import EvaluationParams
from ner.tracking.runs import flat_metrics

ROOT = Path(__file__).resolve().parents[2]
PARAMS = read_params(ROOT / "tests/data/params.yaml")
TABLES = ("per_type", "slices", "documents", "thresholds", "reliability", "confusion")
WRITTEN = (
    "metrics.json",
    "scores.json",
    "conlleval.txt",
    *(f"{table}.csv" for table in TABLES),
    *(f"plots/{name}.csv" for name in ("per_type", "thresholds", "confusion")),
)


def overconfident(split, labels, seed):
    """Logits that are right for most words, and far too sure of those that they get wrong."""
    chance = np.random.default_rng(seed)
    gold = np.array([tag for tags in split.tag_ids for tag in tags])
    logits = chance.normal(0, 1, (len(gold), len(labels)))
    said = np.where(chance.random(len(gold)) < 0.85, gold, chance.integers(0, len(labels), len(gold)))
    logits[np.arange(len(gold)), said] += 9
    return logits.astype(np.float32)


def stored(prepared, name, **changes):
    split, manifest = read_split(prepared, name), read_manifest(prepared)
    labels = manifest["labels"]
    about = dict(
        document_ids=split.document_ids,
        sentence_ids=split.sentence_ids,
        lines=split.lines,
        tokens=split.tokens,
        gold=to_tags(split.tag_ids, labels),
        logits_document=overconfident(split, labels, 1),
        logits_alone=overconfident(split, labels, 2),
        labels=labels,
        context="document",
        fingerprint=manifest["fingerprint"],
    )
    return Predictions(**{**about, **changes})


@pytest.fixture(scope="module")
def reports(tmp_path_factory, prepared):
    folder = tmp_path_factory.mktemp("reports")
    (folder / "predictions").mkdir()
    for name in ("validation", "test"):
        write_predictions(folder / "predictions" / f"{name}.parquet", stored(prepared, name))
    evaluate(PARAMS, prepared, folder)
    return folder


@pytest.fixture(scope="module")
def metrics(reports):
    return json.loads((reports / "metrics.json").read_text())


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_gold_entity_is_scored(metrics, prepared, split):
    scores, counts = metrics[split], read_manifest(prepared)["splits"][split]
    assert scores["support"] == sum(counts["entities"].values())
    assert {name: row["support"] for name, row in scores["per_type"].items() if row["support"]} == counts["entities"]
    assert scores["words"] == counts["tokens"] and scores["words_without_prediction"] == 0


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_scores_are_seqevals_of_the_stored_predictions_in_both_contexts(reports, metrics, split):
    predictions = read_predictions(reports / "predictions", split)
    main = score(predictions.gold, predictions.tags(predictions.logits_document))
    alone = score(predictions.gold, predictions.tags(predictions.logits_alone))
    assert {name: metrics[split][name] for name in main if name != "per_type"} == {
        name: value for name, value in main.items() if name != "per_type"
    }
    assert metrics[split]["document"]["f1"] == main["f1"]
    assert metrics[split]["sentence"]["f1"] == alone["f1"] != main["f1"]


def test_a_model_of_single_sentences_is_judged_by_them_and_still_shown_with_documents(reports, prepared, tmp_path):
    (tmp_path / "predictions").mkdir()
    for name in ("validation", "test"):
        write_predictions(tmp_path / "predictions" / f"{name}.parquet", stored(prepared, name, context="sentence"))
    other = evaluate(PARAMS, prepared, tmp_path)["validation"]
    first = json.loads((reports / "metrics.json").read_text())["validation"]
    assert other["f1"] == other["sentence"]["f1"] == first["sentence"]["f1"]
    assert other["document"]["f1"] == first["f1"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_score_lies_in_its_interval_and_slices_add_up(reports, metrics, split):
    scores = metrics[split]
    for name in ("precision", "recall", "f1"):
        low, high = scores["interval"][name]
        assert low <= scores[name] <= high
    slices = pd.read_csv(reports / "slices.csv").query("split == @split")
    for _, rows in slices.groupby("slice"):
        assert (rows["support"].sum(), rows["predicted"].sum()) == (scores["support"], scores["predicted"])
    documents = pd.read_csv(reports / "documents.csv").query("split == @split")
    assert documents["support"].sum() == scores["support"] and documents["sentences"].sum() == scores["sentences"]


def test_mistakes_and_confusion_account_for_every_entity(reports, metrics):
    for split in ("validation", "test"):
        scores = metrics[split]
        pairs = pd.read_csv(reports / "confusion.csv").query("split == @split")
        right = round(scores["recall"] * scores["support"])
        same = pairs.loc[pairs["gold"] == pairs["predicted"], "entities"].sum()
        assert (
            same >= right
            and pairs.loc[pairs["predicted"] == "no entity", "entities"].sum() == scores["mistakes"]["missed"]
        )
        assert sum(scores["mistakes"].values()) >= scores["support"] - right


def test_the_temperature_calms_a_model_that_is_too_sure(metrics):
    assert metrics["temperature"] > 1
    calibration = metrics["validation"]["calibration"]
    assert metrics["validation"]["loss"] < calibration["loss_before"]
    assert 0 < calibration["ece"] < 1 and 0 < calibration["ece_before"] < 1


def test_a_higher_threshold_keeps_fewer_entities(reports, metrics):
    table = pd.read_csv(reports / "thresholds.csv").query("split == 'validation'")
    assert table["predicted"].is_monotonic_decreasing and table["recall"].is_monotonic_decreasing
    assert table.iloc[0]["f1"] == pytest.approx(metrics["validation"]["f1"], abs=1e-6)


def test_valid_tags_leave_nothing_for_the_ways_to_differ_in(reports, metrics):
    assert metrics["validation"]["disagreements"] == 0
    assert metrics["validation"]["f1_strict"] == metrics["validation"]["f1"]


def test_evaluating_twice_writes_the_same_bytes(reports, prepared, tmp_path):
    (tmp_path / "predictions").symlink_to(reports / "predictions")
    evaluate(PARAMS, prepared, tmp_path)
    assert (reports / "conlleval.txt").read_text().count("processed ") == 2
    for name in WRITTEN:
        assert (tmp_path / name).read_bytes() == (reports / name).read_bytes(), name


def assert_nearly_equal(one, other):
    """The same keys, texts and whole numbers, and fractions that differ in their last digit at most."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            assert_nearly_equal(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_nearly_equal(a, b)
    else:
        assert type(one) is type(other) and one == (pytest.approx(other, rel=1e-12) if type(one) is float else other)


def as_it_is(one):
    return one


def without_documents(one):
    return replace(one, document_ids=[0] * len(one.tokens), logits_document=one.logits_alone)


def documents_that_come_back(one):
    return replace(one, document_ids=[index % 3 for index in range(len(one.tokens))])


def orphans(one):
    return replace(one, gold=[[tag.replace("B-PER", "I-PER") for tag in tags] for tags in one.gold])


@pytest.mark.parametrize("change", [as_it_is, without_documents, documents_that_come_back, orphans])
def test_parts_add_up_to_what_the_whole_split_scores(prepared, tmp_path, monkeypatch, change):
    (tmp_path / "predictions").mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "predictions").symlink_to(tmp_path / "predictions")
    for name in ("validation", "test"):
        write_predictions(tmp_path / "predictions" / f"{name}.parquet", change(stored(prepared, name)))
    whole = evaluate(PARAMS, prepared, tmp_path)
    for module, reader in (
        ("ner.evaluation.split_scores", read_columns),
        ("ner.evaluation.training_overlap", read_parts),
        ("ner.evaluation.run", read_prediction_parts),
        ("ner.evaluation.run", read_logits),
    ):
        monkeypatch.setattr(f"{module}.{reader.__name__}", partial(reader, size=2))
    assert_nearly_equal(evaluate(PARAMS, prepared, tmp_path / "parts"), whole)
    for name in WRITTEN[1:]:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert whole["validation"]["sentences"] > 4
    assert (whole["validation"]["disagreements"] > 0) == (change is orphans)


def test_sentences_of_training_are_found_whichever_part_of_it_they_are_in(prepared, monkeypatch):
    monkeypatch.setattr("ner.evaluation.training_overlap.read_parts", partial(read_parts, size=2))
    own = distinct_sentences(read_split(prepared, "train").tokens) | {b"of no part"}
    _, shared = read_training(prepared, {"all but one": own, "none": set()})
    assert len(own) > 4 and shared == {"all but one": (len(own) - 1) / len(own), "none": 0.0}


def test_a_split_without_sentences_scores_zero(prepared, tmp_path):
    (tmp_path / "predictions").mkdir()
    write_predictions(tmp_path / "predictions" / "validation.parquet", stored(prepared, "validation"))
    lists = dict.fromkeys(("document_ids", "sentence_ids", "lines", "tokens", "gold"), [])
    logits = np.empty((0, len(read_manifest(prepared)["labels"])), np.float32)
    empty = stored(prepared, "test", **lists, logits_document=logits, logits_alone=logits)
    write_predictions(tmp_path / "predictions" / "test.parquet", empty)
    scores = evaluate(PARAMS, prepared, tmp_path)["test"]
    assert (scores["f1"], scores["sentences"], scores["words"], scores["loss"]) == (0, 0, 0, 0)
    assert scores["per_type"] == {} and scores["shared_sentences"] == 0


def test_sentences_are_drawn_where_the_corpus_has_no_documents(reports, prepared, tmp_path):
    (tmp_path / "predictions").mkdir()
    for name in ("validation", "test"):
        one = stored(prepared, name)
        flat = replace(one, document_ids=[0] * len(one.tokens), logits_document=one.logits_alone)
        write_predictions(tmp_path / "predictions" / f"{name}.parquet", flat)
    scores = evaluate(PARAMS, prepared, tmp_path)["validation"]
    assert (scores["unit"], scores["units"]) == ("sentence", scores["sentences"])
    assert "position in document" not in set(pd.read_csv(tmp_path / "slices.csv")["slice"])
    assert pd.read_csv(tmp_path / "documents.csv").empty


def test_a_model_that_finds_nothing_is_scored_too(prepared, tmp_path):
    (tmp_path / "predictions").mkdir()
    for name in ("validation", "test"):
        one = stored(prepared, name)
        nothing = np.zeros_like(one.logits_alone)
        nothing[:, 0] = 9
        mute = replace(one, logits_document=nothing, logits_alone=nothing)
        write_predictions(tmp_path / "predictions" / f"{name}.parquet", mute)
    scores = evaluate(PARAMS, prepared, tmp_path)["validation"]
    assert scores["f1"] == 0 and scores["calibration"]["ece"] is None
    assert scores["mistakes"]["missed"] == scores["support"]
    json.loads((tmp_path / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_the_table_on_the_terminal_has_the_interval(metrics):
    low, high = metrics["validation"]["interval"]["f1"]
    assert f"{low:.4f}-{high:.4f}" in scores_table(metrics) and "95% interval" in scores_table(metrics)


def test_scoring_loads_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, tasks.evaluate; print('torch' in sys.modules, 'mlflow' in sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]


def corrected(tmp_path, predictions, change=lambda lines: lines):
    lines = []
    for tokens, tags in zip(predictions.tokens, predictions.gold, strict=True):
        lines += [f"{token}\t{tag}" for token, tag in zip(tokens, tags, strict=True)] + [""]
    path = tmp_path / "corrected.txt"
    path.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
    return path, EvaluationParams(**{**PARAMS.evaluation.model_dump(), "corrected_test": str(path)})


def test_a_corrected_test_set_is_scored_with_how_much_it_changed(reports, metrics, tmp_path):
    predictions = read_predictions(reports / "predictions", "test")
    _, params = corrected(tmp_path, predictions)
    same = corrected_scores(predictions, params)
    assert same["changed_words"] == 0 and same["f1"] == metrics["test"]["f1"]

    def no_entities(lines):
        return [f"{line.split(chr(9))[0]}\tO" if line else "" for line in lines]

    _, params = corrected(tmp_path, predictions, no_entities)
    other = corrected_scores(predictions, params)
    assert other["f1"] == 0 and other["support"] == 0
    assert other["changed_words"] == sum(tag != "O" for tags in predictions.gold for tag in tags)


def test_the_score_on_a_corrected_test_set_is_wherever_scores_are(reports, metrics, prepared, tmp_path):
    (tmp_path / "predictions").symlink_to(reports / "predictions")
    _, evaluation = corrected(tmp_path, read_predictions(reports / "predictions", "test"))
    found = evaluate(PARAMS.model_copy(update={"evaluation": evaluation}), prepared, tmp_path)
    block, f1 = found["test_corrected"], metrics["test"]["f1"]
    assert (block["f1"], block["interval"]) == (f1, metrics["test"]["interval"])
    (row,) = (line.split() for line in scores_table(found).splitlines() if line.startswith("test, corrected"))
    assert row[2:5] == [f"{metrics['test'][name]:.4f}" for name in ("precision", "recall", "f1")]
    assert read_json(tmp_path / "scores.json")["test_corrected"] == {"f1": f1}  # dvc metrics show, dvc exp show
    assert flat_metrics(found)["test_corrected_f1"] == f1  # MLflow


def test_what_dvc_shows_of_the_scores_is_f1_of_both_splits(reports, metrics):
    shown = read_json(reports / "scores.json")
    assert shown["test"] == {name: metrics["test"]["f1"] for name in ("f1", "strict")} | {
        "alone": metrics["test"]["sentence"]["f1"]
    }
    assert sum(len(scores) for scores in shown.values()) == 6  # columns


def test_no_corrected_test_set_is_no_block(reports, metrics):
    assert metrics["test_corrected"] is None


def test_a_corrected_test_set_of_other_tokens_is_refused_with_its_line(reports, tmp_path):
    predictions = read_predictions(reports / "predictions", "test")
    path, params = corrected(tmp_path, predictions, lambda lines: [lines[0].replace("Ilse", "Other"), *lines[1:]])
    with pytest.raises(CorpusError, match=r"corrected\.txt, line 1: the token is 'Other', the test split has"):
        corrected_scores(predictions, params)
    path, params = corrected(tmp_path, predictions, lambda lines: lines[: lines.index("") + 1])
    with pytest.raises(CorpusError, match="ends before the test split does"):
        corrected_scores(predictions, params)


def test_a_corrected_test_set_that_is_not_there_names_the_parameter(reports):
    params = EvaluationParams(**{**PARAMS.evaluation.model_dump(), "corrected_test": "local/nothing.txt"})
    with pytest.raises(ParamsError, match=r"evaluation\.corrected_test.*local/nothing\.txt"):
        corrected_scores(read_predictions(reports / "predictions", "test"), params)
