"""Flow `ner-monitor` on a real Prefect and registry: the report as an artifact, and one training for one data."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from ner.inference.observation import KEYS, REFERENCE
from ner.monitoring.store import Store
from ner.tracking.mlflow_store import client

ROOT = Path(__file__).resolve().parents[2]


def rows(number: int, unseen: int) -> list[dict]:
    """Sentences of which the one half has a token more than the other."""
    found = []
    for index in range(number):
        counts = {name: 2 + index % 2 for name in KEYS[:-3]} | {"tokens": 10 + index % 2, "unseen": unseen}
        found.append(
            counts | {"group": index, "confidence": 0.9, "types": {"LOC": 1}, "scores": [0.9 + index % 7 / 100]}
        )
    return found


@pytest.fixture
def home(server, tmp_path, monkeypatch, mini_folder) -> Path:
    """A folder like a checkout, whose champion has a reference; drift starts a training at once."""
    tree = yaml.safe_load((ROOT / "tests/data/params.yaml").read_text())
    tree["monitor"] |= {"window": 100, "resamples": 200, "windows_in_a_row": 1, "labelled": "local/new"}
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump(tree | {"monitor": tree["monitor"] | {"min_new_documents": 1}})
    )
    shutil.copy(ROOT / "tests/data/catalog.yaml", tmp_path)
    shutil.copytree(mini_folder, tmp_path / "local" / "new")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("NER_MONITOR_FOLDER", str(tmp_path / "kept"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    columns = {key: [row[key] for row in rows(300, 1)] for key in ("group", *KEYS)}
    files = tmp_path / "version" / "artifacts" / "release"
    files.mkdir(parents=True)
    told = {"entity_types": ["LOC"], "units": {"sentence": columns, "document": columns}, "vocabulary": ""}
    (files / REFERENCE).write_text(json.dumps(told))
    client().create_registered_model("ner")
    client().create_model_version("ner", source=(tmp_path / "version").as_uri())
    client().set_registered_model_alias("ner", "champion", "1")
    return tmp_path


@flow(name="ner")
def toy_training(data: dict | None = None) -> None:
    """Stands for ner/train: it is asked for, and never run here."""


@pytest.mark.operations
def test_drift_starts_one_training_on_the_new_data_however_many_windows_have_it(home):
    from flows.monitor import ner_monitor

    with get_client(sync_client=True) as prefect:
        prefect.create_deployment(prefect.create_flow(toy_training), name="train")
    store = Store(home / "kept", 1 << 20, "serve")
    for _ in range(2):
        store.add("ner/1", rows(100, 8), ["a"] * 100)
        state = ner_monitor(return_state=True)
        assert state.name == "Completed" and state.message.startswith("Drift: "), state.message
        assert "drift: unseen words" in state.message and "of ner/train trains on local/new." in state.message
    with get_client(sync_client=True) as prefect:
        started = [run for run in prefect.read_flow_runs() if (run.idempotency_key or "").startswith("ner-monitor-")]
        found = prefect.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id={"any_": [state.state_details.flow_run_id]})
        )
    assert [run.parameters for run in started] == [{"data": {"source": "local/new"}}]
    assert [artifact.key for artifact in found] == ["drift"] and "**moved**" in found[0].data
    waiting = ner_monitor(return_state=True)
    assert waiting.is_completed() and waiting.name == "Completed" and "nothing is compared" in waiting.message
