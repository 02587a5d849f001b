"""Flow `ner-compare` on a real Prefect and a real registry whose versions have predictions and no weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from ner.data.predictions import Predictions, write_predictions
from ner.tracking.mlflow_store import client, experiment_id, predictions_folder, upload

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["O", "B-PER", "B-LOC"]
LINK = "[x](javascript:alert(1))"


def predictions(wrong: int) -> Predictions:
    """A document a sentence, each with a person, of whom the first `wrong` are called places."""
    said = [[2] if number < wrong else [1] for number in range(30)]
    logits = np.eye(3, dtype=np.float32)[np.concatenate(said)]
    numbers = list(range(len(said)))
    gold, tokens = [["B-PER"] for _ in said], [[LINK] for _ in said]
    return Predictions(numbers, numbers, numbers, tokens, gold, logits, logits, LABELS, "sentence", "ab" * 32)


@pytest.fixture
def home(server, tmp_path, monkeypatch) -> Path:
    """A folder like a checkout, with two versions."""
    shutil.copy(ROOT / "tests/data/params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    mlflow = client()
    mlflow.create_registered_model("ner")
    for wrong, alias in ((20, "champion"), (0, "challenger")):
        run = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
        version = mlflow.create_model_version("ner", source=f"runs:/{run}/model", run_id=run)
        mlflow.set_registered_model_alias("ner", alias, version.version)
        for split in ("validation", "test"):
            write_predictions(Path(f"{split}.parquet"), predictions(wrong))
            upload(mlflow, run, [Path(f"{split}.parquet")], predictions_folder("ab" * 32))
    return tmp_path


@pytest.mark.operations
def test_the_flow_says_who_is_better_and_shows_the_sentences_in_prefect(home):
    from flows.compare import ner_compare

    state = ner_compare(splits=["test"], return_state=True)
    assert state.is_completed()
    assert state.message.startswith("ner version 2 is better than ner version 1 on test: F1 1.0000 against 0.3333")
    with get_client(sync_client=True) as prefect:
        found = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id={"any_": [state.state_details.flow_run_id]})
        )
    artifacts = {artifact.key: artifact.data for artifact in found}
    assert set(artifacts) == {"comparison", "comparison-sentences"}
    assert "| only the challenger gets right | 20 |" in artifacts["comparison"]
    assert LINK not in artifacts["comparison"] + artifacts["comparison-sentences"]
    assert Path("reports/comparison/comparison.html").exists()

    same = ner_compare(challenger=1, champion="champion", return_state=True)
    assert same.is_completed() and same.message.startswith("ner version 1 is both")
