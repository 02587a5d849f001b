import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from filelock import FileLock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter, LogFilter
from prefect.client.schemas.objects import TaskRun
from prefect.states import State

from flows.runtime.run_record import Record
from waiting import PATIENCE_S

REFUSED = "gate: the gate failed, so nothing is registered: validation F1 is 0.94, the threshold {}."
ORDER = ["ingest", "base", "train", "evaluate", "gate", "register"]


@pytest.fixture(autouse=True)
def _server(server):
    """Every test here runs the flow."""


def run(**blocks) -> State:
    from flows.train import ner

    return ner(**blocks, return_state=True)


def task_runs(state: State) -> list[TaskRun]:
    """The task runs, in the order in which they began; the server hears of them by events, a moment later."""
    until, runs, before = time.monotonic() + PATIENCE_S, [], None
    while runs != before or not all(run.state and run.state.is_final() for run in runs):
        assert time.monotonic() < until, runs
        time.sleep(1)
        with get_client(sync_client=True) as client:
            before, runs = runs, client.read_task_runs(flow_run_filter=_only(state))
    return sorted(runs, key=lambda run: run.created)


def task_states(state: State) -> dict[str, str]:
    """Task run names with the names of their states."""
    return {run.name: run.state_name for run in task_runs(state)}


def task_messages(state: State) -> set[str]:
    return {run.state.message for run in task_runs(state)}


def name(state: State) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id).name


def logged(state: State) -> list[str]:
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id={"any_": [state.state_details.flow_run_id]}), limit=200)
    return [log.message for log in logs]


def artifacts(state: State) -> dict[str, str]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id={"any_": [state.state_details.flow_run_id]})
        )
    return {artifact.key: str(artifact.data) for artifact in found}


def git_status(folder: Path) -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True).stdout


def _only(state: State) -> FlowRunFilter:
    return FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})


def test_stages_run_in_the_order_of_the_graph_then_are_cached_and_a_change_runs_only_what_depends_on_it(
    toy, set_params
):
    first = run()
    assert first.is_completed(), first.message
    assert task_states(first) == dict.fromkeys(ORDER, "Completed")
    created = artifacts(first)
    assert {"scores", "scores-by-type", "gate", "results"} <= set(created)
    assert "0.9400" in created["scores"] and "0.9200 to 0.9600" in created["scores"]
    assert "0.8000 to 0.9500" in created["scores-by-type"]
    assert "Gate passed, 1 of 1 rules" in created["gate"]
    assert r"| min\_f1 | 0.9300 | 0.9400 | passed |" in created["gate"]
    assert r"- min\_f1: validation F1 is 0.94, the threshold 0.93" in created["gate"]
    assert "`models:/ner/3`" in created["results"] and "f00d" in created["results"]

    assert first.message == "6 stages ran, 0 cached: ner version 3 is registered, validation F1 0.9400."

    again = run()
    assert task_states(again) == dict.fromkeys(ORDER, "Cached")
    assert again.message == "All is up to date (6 stages): ner version 3 is registered, validation F1 0.9400."
    assert "ingest: cached, nothing that it depends on has changed." in task_messages(again)  # as the log shows it

    set_params(gate={"min_f1": 0.91})
    assert task_states(run()) == {name: "Completed" if name in ORDER[4:5] else "Cached" for name in ORDER[:5]} | {
        "register": "Completed"
    }


def test_a_failed_gate_fails_the_run_with_its_sentence_and_nothing_is_registered(toy, set_params):
    set_params(gate={"min_f1": 0.97})
    state = run()
    assert state.name == "Failed" and state.message == REFUSED.format(0.97)
    assert task_states(state) == dict.fromkeys(ORDER, "Completed")  # a failed gate is a result, not a failed stage
    assert json.loads((toy / "reports" / "registration.json").read_text())["version"] is None
    created = artifacts(state)
    assert "Gate failed" in created["gate"] and "Model: not registered, because the gate failed" in created["results"]
    assert Record.last is not None and Record.last.exit_status == 4


def test_a_failed_gate_is_asked_again_by_the_next_run_and_once_it_passes_the_model_is_registered(toy, set_params):
    set_params(gate={"min_f1": 0.97})
    run()
    again = run()
    assert again.message == REFUSED.format(0.97)
    assert task_states(again) == dict.fromkeys(ORDER, "Cached") | {"gate": "Completed"}  # another champion, perhaps
    set_params(gate={"min_f1": 0.93})
    assert run().is_completed()
    assert json.loads((toy / "reports" / "registration.json").read_text())["version"] == 3


def test_reports_of_an_earlier_run_are_not_shown_as_those_of_a_run_that_failed_before_them(toy):
    assert run().is_completed()
    (toy / "local" / "corpus.txt").write_text("another\n")
    (toy / "dvc.yaml").write_text((toy / "dvc.yaml").read_text().replace("toy.py ingest", "toy.py nothing"))
    state = run()
    assert state.is_failed() and state.message.startswith("ingest: ")
    assert task_states(state) == dict.fromkeys(ORDER, "Cancelled") | {"ingest": "Failed"}  # each has an end
    assert "register: not run, since ingest failed." in task_messages(state)
    assert set(artifacts(state)) == {"results"}


def test_what_a_stage_prints_is_in_the_log_of_its_task(toy):
    lines = logged(run())
    assert "100%" in lines and any(line.startswith("learning rate") for line in lines)
    assert not any("git add" in line for line in lines)


def test_parameters_of_a_run_take_effect_and_leave_the_working_tree_as_it_was(toy):
    assert run().is_completed()
    before, tree = git_status(toy), (toy / "model.txt").read_text()
    state = run(train={"learning_rate": 0.002}, gate={"min_f1": 0.96})
    assert state.message == REFUSED.format(0.96)
    assert task_states(state)["ingest"] == "Cached" and task_states(state)["train"] == "Completed"
    assert any(line == "learning rate 0.002" for line in logged(state))
    assert re.match(r"conll2003, all-mpnet-base-v2, train\.learning_rate=0\.002, gate\.min_f1=0\.96, 20", name(state))
    assert git_status(toy) == before and (toy / "model.txt").read_text() == tree
    assert list((toy / ".ner" / "workspaces").iterdir()) == []
    kept = toy / ".ner" / "runs" / str(state.state_details.flow_run_id) / "reports" / "gate.json"
    assert json.loads(kept.read_text())["passed"] is False
    assert task_states(run(train={"learning_rate": 0.002}))["train"] == "Cached"  # from DVC's run cache


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ({"train": {"epoch": 1}}, "unknown key 'train.epoch' (did you mean 'epochs'?)"),
        ({"gate": {"min_f1": 7}}, "gate.min_f1 is 7"),
    ],
)
def test_a_parameter_that_cannot_be_is_one_clear_error_before_any_stage(toy, blocks, sentence):
    state = run(**blocks)
    assert state.is_failed() and sentence in state.message
    assert task_states(state) == {}


def test_a_second_run_on_a_busy_checkout_is_refused_in_words(toy):
    (toy / ".ner").mkdir(exist_ok=True)
    (toy / ".ner" / "run.json").write_text(json.dumps({"who": "flow run brave-otter", "pid": 1, "since": "noon"}))
    with FileLock(toy / ".ner" / "run.lock"):
        state = run()
    assert state.is_failed()
    assert state.message.startswith("flow run brave-otter (process 1, since noon) is at work on this checkout")


def test_a_dvc_command_at_work_is_named_and_the_run_fails_in_words(toy):
    assert run(model={"base": "other"}).is_completed()
    me = {"pid": 1, "cmd": "dvc repro"}
    (toy / ".dvc" / "tmp").mkdir(exist_ok=True)
    (toy / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"write": {str(toy / "corpus.txt"): me}, "read": {}}))
    state = run()
    assert state.is_failed() and "another DVC command works on this checkout" in state.message


def test_a_network_error_is_tried_again_and_others_are_not(toy, set_params):
    set_params(limits={"retry_after_s": [0]})
    flaky = 'sh -c \'test -e tried || { touch tried; echo "ingest: no answer. Try again later." >&2; exit 1; }; '
    text = (toy / "dvc.yaml").read_text()
    (toy / "dvc.yaml").write_text(
        text.replace(
            "cmd: python toy.py ingest", f'cmd: "{flaky.replace(chr(34), chr(92) + chr(34))}python toy.py ingest\'"'
        )
    )
    assert run().is_completed()
