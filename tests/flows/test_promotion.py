"""The flows of promotion, on a real Prefect and a real registry without weights: nothing here loads a model."""

import shutil
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from ner.tracking.mlflow_store import client

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(server, tmp_path, monkeypatch) -> Path:
    """A folder like a checkout, whose champion is a version that somebody made by hand."""
    shutil.copy(ROOT / "tests/data/params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    mlflow = client()
    mlflow.create_registered_model("ner")
    mlflow.create_model_version("ner", source="runs:/0/model")
    mlflow.set_registered_model_alias("ner", "champion", "1")
    return tmp_path


def test_a_version_that_never_passed_a_gate_fails_the_run_and_rollback_without_a_way_back_says_so():
    from flows.promotion import ner_promoted, ner_rollback

    state = ner_promoted(return_state=True)
    assert state.is_failed()
    assert state.message.startswith(
        "ner version 1 was made champion and failed its checks (gate: it never passed a gate"
    )
    with get_client(sync_client=True) as prefect:
        assert prefect.read_flow_run(state.state_details.flow_run_id).name.startswith("check of the champion, 20")
        (artifact,) = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id={"any_": [state.state_details.flow_run_id]})
        )
    assert artifact.key == "promotion" and "- gate: **failed**: it never passed a gate" in artifact.data
    (tag,) = client().get_registered_model("ner").tags.values()
    assert '"who": "flow run ' in tag

    again = ner_promoted(return_state=True)
    assert again.is_completed() and "nothing to do" in again.message

    back = ner_rollback(reason="it is bad", return_state=True)
    assert back.is_failed() and back.message.startswith("rollback: there is nothing to go back to")
    assert {name: str(v) for name, v in client().get_registered_model("ner").aliases.items()} == {"champion": "1"}
