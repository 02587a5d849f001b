"""Flow `ner-monitor`: the champion's next window of texts against its reference; a training where the rule says so.

Run     prefect deployment run ner-monitor/monitor
        prefect deployment run ner-monitor/monitor --param last=1000      (other texts; no retraining)
Reads   what prediction has kept and the registry, through `ner monitor`
Writes  what that writes; the report as an artifact in Prefect; a flow run of ner/train, once for a data
"""

from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Failed, State

from flows.runtime.names import dated, named
from flows.runtime.run_command import run_command

TRAINING = "ner/train"
DRIFT = "Drift: "  # what the message of a run begins with, for automations on its state


@flow(name="ner-monitor", flow_run_name=named("{model} and its texts"))
def ner_monitor(model: str = "ner@champion", last: int | None = None, since: str | None = None) -> State:
    """Hold the texts that a version has read against its reference, and start a training where the rule says so.

    Where they have drifted, the message of its state begins with "Drift: ".

    Args:
        model: ner@champion or ner/3.
        last: Look at the newest so many texts instead of the next window; that never starts a retraining.
        since: Look at the texts from this time on (ISO 8601).
    """
    asked = {"model": model, "last": last, "since": since}
    result = run_command("monitor", *(f"--{name}={value}" for name, value in asked.items() if value is not None))
    if result.status:
        return result.state("")
    if page := result.report.get("markdown"):
        create_markdown_artifact(page, key="drift", description=result.report["sentence"])
    sentence = result.report["sentence"]
    if result.report["rule"]["retrain"]:
        try:
            sentence += f" {retrain(result.report['rule'])}"
        except ObjectNotFound:
            return Failed(message=f"{sentence} A training is due, and there is no deployment {TRAINING}: make up.")
    return Completed(message=f"{DRIFT if result.report['drift'] else ''}{sentence}")


def retrain(rule: dict[str, Any]) -> str:
    """Start a training on the labelled data, once for one content of it: Prefect knows the key. Returns a sentence."""
    key = f"ner-monitor-{rule['fingerprint']}"
    parameters = {"data": {"source": rule["source"]}}
    name = dated(f"{rule['source']} after drift")
    run = run_deployment(
        TRAINING, parameters=parameters, timeout=0, idempotency_key=key, as_subflow=False, flow_run_name=name
    )
    sentence = f"Flow run {run.name} of {TRAINING} trains on {rule['source']}."
    get_run_logger().info(sentence)
    return sentence
