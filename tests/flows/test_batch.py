"""The flow of batches on a real Prefect, with a tiny random model from a folder."""

import json
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter

from ner.batch.job import only_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def here(server, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def artifacts(state) -> dict:
    with get_client(sync_client=True) as prefect:
        of_run = ArtifactFilter(flow_run_id={"any_": [state.state_details.flow_run_id]})
        return {one.key: one for one in prefect.read_artifacts(artifact_filter=of_run)}


@pytest.mark.operations
def test_a_batch_as_a_flow_writes_the_output_and_tells_progress_and_summary(tiny_model, here):
    from flows.batch import ner_predict

    rows = [{"text": "Marta Okafor joined Helvion Steel."}, {"title": "no text"}]
    (here / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with only_run(Path("out.jsonl")):
        busy = ner_predict("texts.jsonl", "out.jsonl", model=str(tiny_model), return_state=True)
    assert busy.is_failed() and busy.message.startswith("batch: another run is at work on out.jsonl")

    state = ner_predict("texts.jsonl", "out.jsonl", model=str(tiny_model), keep_text=False, return_state=True)
    assert state.is_completed() and state.message.startswith("2 rows in, 1 done, 1 rejected")
    (row,) = [json.loads(line) for line in (here / "out.jsonl").read_text().splitlines()]
    assert row["model"] == str(tiny_model) and "text" not in row
    found = artifacts(state)
    assert float(found["batch-progress"].data) == 100
    page = found["batch"].data
    assert "| rows in | 2 |" in page and "| rejected | 1, in `out.jsonl.rejected.jsonl` |" in page
    summary = json.loads((here / "out.jsonl.summary.json").read_text())
    assert all(f"| {name} | {count:,} |" in page for name, count in summary["entities"].items())
    assert summary["flow_run_id"] == str(state.state_details.flow_run_id)

    again = ner_predict("texts.jsonl", "out.jsonl", model=str(tiny_model), return_state=True)
    assert again.is_failed() and "out.jsonl is there already" in again.message
    limit = ner_predict("texts.jsonl", "new.jsonl", model=str(tiny_model), max_rejected=0, return_state=True)
    assert limit.is_failed() and "1 rejected, more than --max-rejected 0" in limit.message


def test_the_deployment_allows_several_runs_and_refuses_parameters_that_it_does_not_know():
    (batch,) = [
        one for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"] if one["name"] == "batch"
    ]
    assert batch["entrypoint"] == "flows/batch.py:ner_predict" and "concurrency_limit" not in batch
    assert batch["enforce_parameter_schema"]
