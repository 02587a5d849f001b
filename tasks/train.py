"""Stage `train`: fine-tune the encoder for token classification.

Run     python -m tasks.train        (DVC runs the same line; train.processes > 1 starts torchrun by itself)
Reads   data/prepared, data/validated.json, models/base, models/base.json, reports/folds/folds.json, params.yaml
        [encoding, train]
Writes  models/ner, reports/training.json, reports/history.csv (an epoch a row), reports/loss.csv

After a cross-validation (split.folds) it trains on training and validation together, as long as the folds found best.
A killed run goes on from its last checkpoint, in checkpoints/<key of data, encoder and parameters>, and ends with the
same weights. Curves go to MLflow while it trains; without MLflow the training goes on and later stages send them.
"""

import os
import sys
from pathlib import Path

from ner.common.cli import end_in_order, run_stage
from ner.common.files import read_json, read_params
from ner.tracking.training_log import TrainingLog
from ner.training.run import prepare_libraries, train

PREPARED, VALIDATED, BASE = Path("data/prepared"), Path("data/validated.json"), Path("models/base")
MODEL, CHECKPOINTS, REPORTS = Path("models/ner"), Path("checkpoints"), Path("reports")
FOLDS = REPORTS / "folds" / "folds.json"


def main() -> None:
    params = read_params()
    if params.train.processes > 1 and "LOCAL_RANK" not in os.environ:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={params.train.processes}"]
        os.execv(sys.executable, [sys.executable, *launcher, "-m", "tasks.train"])
    prepare_libraries(PREPARED, VALIDATED)
    log = TrainingLog(REPORTS, live=os.environ.get("RANK", "0") == "0")
    end_in_order()
    folds = read_json(FOLDS)
    train(params, PREPARED, BASE, MODEL, CHECKPOINTS, log, folds if folds["folds"] else None)


if __name__ == "__main__":
    run_stage("train", main)
