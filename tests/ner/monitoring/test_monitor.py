"""Windows of a version in a real MLflow store: its own reference, the report, and when a training is due."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ner.common.files import read_params
from ner.errors import NerError, RegistryError
from ner.inference.observation import KEYS, REFERENCE
from ner.monitoring.monitor import history, monitor
from ner.monitoring.retraining import decide, new_documents
from ner.monitoring.store import Store
from ner.tracking.mlflow_store import client

ROOT = Path(__file__).resolve().parents[3]
LINK = "[x](javascript:alert(1))"


def observations(number: int, seed: int, unseen: float = 0.1) -> list[dict]:
    """A dict a sentence, five of a document."""
    random, rows = np.random.default_rng(seed), []
    for index in range(number):
        tokens = int(random.integers(8, 20))
        row = {name: int(random.binomial(tokens, 0.2)) for name in KEYS[:-3]}
        row |= {"tokens": tokens, "unseen": int(random.binomial(tokens, unseen)), "group": index // 5}
        scores = random.beta(20, 1, 2).round(3).tolist()
        rows.append(row | {"confidence": float(random.beta(50, 1)), "types": {LINK: 1, "LOC": 1}, "scores": scores})
    return rows


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder like a checkout, whose champion has a reference and version 2 has none."""
    shutil.copy(ROOT / "tests/data/params.yaml", tmp_path)
    shutil.copy(ROOT / "tests/data/catalog.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("NER_MONITOR_FOLDER", str(tmp_path / "kept"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    rows = observations(600, 0)
    columns = {key: [row[key] for row in rows] for key in ("group", *KEYS)}
    told = {"entity_types": ["LOC", LINK], "units": {"sentence": columns, "document": columns}, "vocabulary": ""}
    mlflow = client()
    mlflow.create_registered_model("ner")
    for number in (1, 2):
        files = tmp_path / f"version{number}" / "artifacts" / "release"
        files.mkdir(parents=True)
        (files / "config.json").write_text("{}")
        if number == 1:
            (files / REFERENCE).write_text(json.dumps(told))
        mlflow.create_model_version("ner", source=(tmp_path / f"version{number}").as_uri())
    mlflow.set_registered_model_alias("ner", "champion", "1")
    return tmp_path


@pytest.fixture
def params(home):
    own = read_params()
    changes = {"window": 100, "resamples": 300, "windows_in_a_row": 2}
    return own.model_copy(update={"monitor": own.monitor.model_copy(update=changes)})


def keep(home: Path, rows: list[dict], model: str = "ner/1") -> None:
    store = Store(home / "kept", 1 << 24, "serve")
    store.add(model, rows, ["a"] * len(rows))


def test_a_window_is_compared_once_written_and_logged_and_the_next_one_waits_for_new_texts(home, params):
    keep(home, observations(150, 1))
    told = monitor(params, "ner@champion", None, None)
    assert told["drift"] is False and "ner version 1, 100 texts to " in told["sentence"]
    assert "no drift: no value drifted" in told["sentence"]
    names = {path.name for path in Path("reports/monitor").iterdir()}
    assert names == {"report.md", "drift.json"}
    run = client().get_run(told["mlflow_run_id"])
    assert run.data.tags["ner.drift"] == "false", "runs of earlier versions have this tag, and history reads it"
    assert run.data.metrics["drift"] == 0.0 and "distance/unseen_words" in run.data.metrics
    assert {Path(one.path).name for one in client().list_artifacts(run.info.run_id, "monitor")} == names
    again = monitor(params, "ner@champion", None, None)
    assert again["drift"] is None and "0 texts were kept since the window that ended" in again["sentence"]
    look = monitor(params, "ner/1", 50, None)
    assert look["drift"] is False and look["rule"] == {
        "retrain": False,
        "sentence": "not decided, since these texts are not the next window",
    }
    assert len(history(params, "ner/1")) == 1


def test_drift_is_told_with_what_moved_and_names_of_types_do_no_harm(home, params):
    rows = [row | {"types": {LINK: 2}} for row in observations(100, 2, unseen=0.6)]
    keep(home, rows)
    told = monitor(params, "ner@champion", None, None)
    assert told["drift"] is True and "drift: unseen words from 9.8% to 58.7%" in told["sentence"]
    assert "| **drifted** |" in told["markdown"] and LINK not in told["markdown"]
    assert told["rule"]["sentence"] == "no (windows with drift in a row: 1 of 2)"


def test_a_version_without_texts_or_reference_or_that_is_not_there_is_told_in_a_sentence(home, params):
    assert "0 texts were kept, 100 are needed" in monitor(params, "ner/1", None, None)["sentence"]
    keep(home, observations(100, 1), "ner/2")
    with pytest.raises(NerError, match="version 2 was registered without reference.json: register it anew"):
        monitor(params, "ner/2", None, None)
    keep(home, [row | {"tokens": 0} for row in observations(100, 1)])
    with pytest.raises(NerError, match="none of the 100 texts"):
        monitor(params, "ner/1", None, None)
    with pytest.raises(RegistryError, match="has no ner/7: the MLflow UI .* shows which versions there are"):
        monitor(params, "ner/7", None, None)
    with pytest.raises(RegistryError, match="has no ner@nobody: set the alias .* or name a version, as ner/1"):
        monitor(params, "ner@nobody", None, None)


@pytest.mark.parametrize(
    ("drifts", "labelled", "trained_on", "sentence"),
    [
        ([True, True, False], None, None, "no (windows with drift in a row: 0 of 2)"),
        ([True, False, True], None, None, "no (windows with drift in a row: 1 of 2)"),
        ([False, True, True], None, None, "labelled names no new data"),
        (
            [True, True],
            "new",
            None,
            "yes (windows with drift in a row: 2 of 2; new labelled documents in local/new: 1 of 1)",
        ),
        ([True, True], "new", "same", "trained on new as it is now"),
    ],
)
def test_a_training_is_due_after_drift_in_a_row_and_with_enough_new_labelled_documents(
    home, params, mini_folder, prepared, drifts, labelled, trained_on, sentence
):
    corpus = shutil.copytree(mini_folder, home / "local" / "new")
    with (corpus / "train.txt").open("a") as file:
        file.write("\n-DOCSTART- -X- O O\n\nLisbon NNP B-NP B-LOC\nslept VBD B-VP O\n")
    source = labelled and "local/new"
    monitor_params = params.monitor.model_copy(update={"labelled": source, "min_new_documents": 1})
    fingerprint = new_documents(source, prepared)[1] if trained_on else None
    told = decide(monitor_params, drifts, fingerprint, prepared)
    assert sentence.replace("new as", "local/new as") in told["sentence"]
    assert told["retrain"] is sentence.startswith("yes")
    if told["retrain"]:
        assert told["new_documents"] == 1 and told["source"] == "local/new" and len(told["fingerprint"]) == 64
        more = monitor_params.model_copy(update={"min_new_documents": 2})
        assert "local/new: 1 of 2)" in decide(more, drifts, None, prepared)["sentence"]
