"""A folder like a checkout in which real trainings of seconds run: a small corpus, a tiny encoder, params.yaml."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9"  # no MLflow server answers here: every training of tests also shows that none is needed
ALONE = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MLFLOW_TRACKING_URI": NOBODY}


def fill(folder: Path, prepared: Path, encoder: Path, **blocks: dict[str, Any]) -> Path:
    """Write what stage `train` reads, where it is not there yet; blocks: parameters other than those of tests/data."""
    if not (folder / "data/prepared").exists():
        shutil.copytree(prepared, folder / "data/prepared")
    fingerprint = json.loads((folder / "data/prepared/manifest.json").read_text())["fingerprint"]
    (folder / "data/validated.json").write_text(json.dumps({"fingerprint": fingerprint, "passed": True}))
    shutil.copytree(encoder, folder / "models/base")
    (folder / "models/base.json").write_text(json.dumps({"name": "tiny"}))
    (folder / "reports/folds").mkdir(parents=True)
    (folder / "reports/folds/folds.json").write_text('{"folds": 0}')
    set_params(folder, **blocks)
    return folder


def eightfold(folder: Path, corpus: Path) -> Path:
    """Write data/prepared of a corpus whose training split stands eight times over."""
    from ingestion import ingest_files

    files = {}
    for split, name in (("train", "train.txt"), ("validation", "valid.txt"), ("test", "test.txt")):
        files[split] = folder / "raw" / name
        files[split].parent.mkdir(parents=True, exist_ok=True)
        files[split].write_text((corpus / name).read_text() * (8 if split == "train" else 1))
    ingest_files(files, folder / "data/prepared", source="mini")
    return folder / "data/prepared"


# What `auto` was before it was: trainings of tests are short, and say themselves what they are about.
NUMBERS = {
    "epochs": 1, "keep": "last", "patience": 0, "learning_rate": 1e-4, "new_learning_rate": 1e-3, "warmup": 0.1,
    "batch_size": 256, "dropout": 0.0, "sentences_alone": 0.25, "dropped_layers": 6, "frozen_embeddings": True,
}  # fmt: skip


def set_params(folder: Path, **blocks: dict[str, Any]) -> None:
    """Change parameters in the folder's params.yaml, which begins as that of tests/data."""
    path = folder / "params.yaml"
    params = yaml.safe_load((path if path.exists() else ROOT / "tests/data/params.yaml").read_text())
    params["train"].update({} if path.exists() else NUMBERS)
    for block, values in blocks.items():
        params[block].update(values)
    path.write_text(yaml.safe_dump(params))


def start(folder: Path, *command: str) -> subprocess.Popen:
    """Start Python with `command` in the folder, one thread and no server for it; what it prints in one pipe."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, *command], cwd=folder, env={**os.environ, **ALONE}, **streams)
