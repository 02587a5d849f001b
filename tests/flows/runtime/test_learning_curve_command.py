"""A learning curve among the artifacts of a real Prefect server."""

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from flows.runtime.learning_curve_command import publish

POINT = {"size": 40, "entities": 12, "epochs": 4.0, "f1": 0.8, "low": 0.75, "high": 0.85}
REPORT = {
    "unit": "document",
    "confidence": 0.95,
    "points": [POINT],
    "twice": {"size": 80, "f1": 0.83, "low": 0.8, "high": 0.86},
    "sentence": "twice the documents (80) would bring about +0.030 F1 (0.010 to 0.050).",
    "mlflow_run_id": "ab12",
}


@pytest.mark.operations
def test_sentence_table_and_picture_are_shown_in_prefect(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    publish(REPORT)
    with get_client(sync_client=True) as prefect:
        wanted = ArtifactFilter(key={"any_": ["learning-curve", "learning-curve-picture"]})
        artifacts = {artifact.key: artifact for artifact in prefect.read_artifacts(artifact_filter=wanted)}
    page = artifacts["learning-curve"].data
    assert "would bring about +0.030 F1" in page and "0.8000 |" in page and "0.8000 to 0.8600" in page
    assert artifacts["learning-curve"].description == REPORT["sentence"]
    assert artifacts["learning-curve-picture"].data == (
        "http://127.0.0.1:9/get-artifact?path=reports/curve.png&run_uuid=ab12"
    )
