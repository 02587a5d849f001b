"""From the embedded stores to real PostgreSQL and S3: everything comes along, and nothing is written over."""

import shutil

import pytest

from ner.errors import NerError
from tasks import postgres
from tasks.artifact_store import ArtifactStore
from tasks.move import move
from tasks.team import read_stores, synchronous

pytestmark = pytest.mark.operations

LOAD = """
import mlflow, sys
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
print(client.get_model_version_by_alias("ner", "champion").tags["gate"])
model = mlflow.pyfunc.load_model("models:/ner@champion")
print(model.predict({"text": ["Marta"]})[0]["text"])
run = client.create_run("0")  # numbers and ids go on
print(client.create_experiment("new"))
"""


def test_runs_versions_artifacts_and_flow_history_come_along(worked, team, run):
    stores, said = read_stores(team, worked), []
    rows = move(worked, stores, said.append)
    assert rows["mlflow"]["model_versions"] == 2 and rows["mlflow"]["registered_model_aliases"] == 2
    assert rows["prefect"]["flow_run"] == 2 and rows["prefect"]["task_run"] == 1 and rows["prefect"]["log"] > 2
    assert not [line for line in said if "warning" in line], said
    mlflow = stores.mlflow
    gate, text, experiment = run(worked, "-c", LOAD, mlflow, more=team).splitlines()[-3:]
    assert (gate, text) == ("passed, champion", "Marta") and int(experiment) > 1

    with pytest.raises(NerError, match="is not empty .* nothing was changed"):
        move(worked, stores, said.append)


def test_a_target_with_somebody_elses_artifacts_is_refused_and_the_databases_stay_empty(worked, team, tmp_path):
    stores = read_stores(team, worked)
    (tmp_path / "x").write_bytes(b"x")
    with (tmp_path / "x").open("rb") as stream:
        ArtifactStore(stores.artifacts).write("theirs/x", stream)
    with pytest.raises(NerError, match="not empty .*theirs/x"):
        move(worked, stores, print)
    assert postgres.counts(synchronous(stores.prefect)) == {} == postgres.counts(synchronous(stores.mlflow))


def test_a_checkout_that_only_used_dvc_has_versions_and_no_flow_history(worked, team, tmp_path):
    root, said = tmp_path / "dvc only", []
    shutil.copytree(worked / "mlflow", root / "mlflow")
    rows = move(root, read_stores(team, root), said.append)
    assert rows["mlflow"]["model_versions"] == 2 and not rows["prefect"].get("flow_run")
    assert any("no flow was ever run here" in line for line in said)
