"""One module a DVC stage, each run as `python -m tasks.<stage>`; `dvc.yaml` is the list."""
