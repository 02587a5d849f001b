"""The environment of a command that a person starts by hand."""

import os
import sys
from pathlib import Path

NO_OUTSIDE = ("MLFLOW_", "PREFECT_", "NER_")  # of a person's own settings, none reaches a pipeline under test


def clean() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NO_OUTSIDE)}
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": binaries, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
