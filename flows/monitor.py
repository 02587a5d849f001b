"""Flow `ner-monitor`: the champion's next window of texts against its reference; a training where the rule says so.

Run     prefect deployment run ner-monitor/monitor
        prefect deployment run ner-monitor/monitor --param last=1000      (a look, which counts for no rule)
Reads   what prediction has kept and the registry, through `python -m tasks.monitor`
Writes  what that writes; the report and its pictures as artifacts in Prefect; a flow run of ner/train, once for a data
"""

import os
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Failed, State

from flows.told import run_module

TRAINING = "ner/train"
PICTURES = {"distances": "How far each value is from the reference", "distributions": "The distributions themselves"}


@flow(name="ner-monitor")
def ner_monitor(model: str = "ner@champion", last: int | None = None, since: str | None = None) -> State:
    """Hold the texts that a version has read against its reference, and start a training where the rule says so.

    model: ner@champion or ner/3. last, since: look at the newest so many texts, or at those from a time on (ISO 8601),
    instead of the next window; a look counts for no rule. Ends as Completed, named Drift where there is some.
    """
    asked = {"model": model, "last": last, "since": since}
    told = run_module("monitor", *(f"--{name}={value}" for name, value in asked.items() if value is not None))
    if told.status:
        return told.state("")
    publish(told.report)
    sentence = told.report["sentence"]
    if told.report["rule"]["retrain"]:
        try:
            sentence += f" {retrain(told.report['rule'])}"
        except ObjectNotFound:
            return Failed(message=f"{sentence} A training is due, and there is no deployment {TRAINING}: make up.")
    return Completed(name="Drift" if told.report["drift"] else None, message=sentence)


def retrain(rule: dict[str, Any]) -> str:
    """Start a training on the labelled data, once for one content of it: Prefect knows the key. Returns a sentence."""
    key = f"ner-monitor-{rule['fingerprint']}"
    parameters = {"data": {"source": rule["source"]}}
    run = run_deployment(TRAINING, parameters=parameters, timeout=0, idempotency_key=key, as_subflow=False)
    told = f"Flow run {run.name} of {TRAINING} trains on {rule['source']}."
    get_run_logger().info(told)
    return told


def publish(report: dict[str, Any]) -> None:
    """The artifacts of a look that compared something."""
    if "markdown" not in report:
        return
    create_markdown_artifact(report["markdown"], key="drift", description=report["sentence"])
    server = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    if server.startswith("http") and "@" not in server:
        for name, about in PICTURES.items():
            url = f"{server}/get-artifact?path=monitor/{name}.png&run_uuid={report['mlflow_run_id']}"
            create_image_artifact(url, key=f"drift-{name}", description=about)
