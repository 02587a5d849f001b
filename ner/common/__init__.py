"""What every part of the library needs: locks, tables, escaping, progress, JSON logs; one of each."""

import importlib.util
import sys

if importlib.util.find_spec("pydantic") is None:  # `dvc repro` without the environment finds the system's Python
    sys.exit(f"{sys.executable} lacks the project's libraries: run `make env`, then `. .venv/bin/activate`.")
