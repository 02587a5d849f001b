"""One module a DVC stage, each run as `python -m tasks.<stage>`; `dvc.yaml` is the list."""

import importlib.util
import sys

if importlib.util.find_spec("pydantic") is None:  # `dvc repro` without the environment finds the system's Python
    sys.exit(f"{sys.executable} lacks the project's libraries: run `make env`, then `. .venv/bin/activate`.")
