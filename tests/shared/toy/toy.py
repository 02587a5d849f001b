"""One stage of the toy pipeline in these tests: `python toy.py STAGE` does at once what a stage does in minutes."""

import json
import sys
import time
from pathlib import Path

import yaml

stage, params = sys.argv[1], yaml.safe_load(Path("params.yaml").read_text())
if stage == "ingest":
    Path("corpus.txt").write_text(params["data"]["source"])
if stage == "base":
    Path("base.txt").write_text(params["model"]["base"])
if stage == "train":
    print("\r 0%", end="\r", flush=True)
    print("100%\nlearning rate", params["train"]["learning_rate"], flush=True)
    Path("started").touch()
    epochs = params["train"]["epochs"]
    time.sleep(epochs if epochs != "auto" and epochs >= 60 else 0)
    Path("model.txt").write_text(str(params["train"]))
if stage == "evaluate":
    scores = {"precision": 0.93, "recall": 0.95, "f1": 0.94, "accuracy": 0.99, "support": 7}
    scores["interval"] = {"f1": [0.92, 0.96]}
    scores["per_type"] = {"PER": {"precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 7, "interval": [0.8, 0.95]}}
    Path("reports").mkdir(exist_ok=True)
    Path("reports/metrics.json").write_text(json.dumps({"validation": scores, "test": scores}))
if stage == "gate":
    passed = params["gate"]["min_f1"] <= 0.94
    reason = f"validation F1 is 0.94, the threshold {params['gate']['min_f1']}"
    rule = {"rule": "min_f1", "threshold": params["gate"]["min_f1"], "value": 0.94, "passed": passed, "reason": reason}
    Path("reports/gate.json").write_text(json.dumps({"passed": passed, "rules": [rule]}))
    if not passed:
        print(f"gate: {reason}.")
if stage == "register":
    about = {"model": "ner", "version": 3, "alias": "challenger", "mlflow_run_id": "f00d", "mlflow_run_url": None}
    if not json.loads(Path("reports/gate.json").read_text())["passed"]:
        about = {"model": "ner", "version": None, "reason": "the gate failed"}
    Path("reports/registration.json").write_text(json.dumps(about))
