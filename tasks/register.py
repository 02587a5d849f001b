"""Stage `register`: put the model that passed the gate into the MLflow registry as `challenger`, with card and trace.

Run     python -m tasks.register
        python -m tasks.register --check                     (0: the registry has what it should, 5: it lost it)
Reads   models/release, data/prepared/manifest.json, what else the card says (ner.registry.release), the reports that
        the run gets as artifacts (LOGGED of ner.registry.register, and those of stage analyse), dvc.lock, params.yaml
Writes  reports/registration.json and mlflow/data/registered.json, with nothing but what the inputs determine; beside
        them reports/registered.json (version, run, address), and into the run a card with all of that

A model that failed its gate is not registered: registration.json says so, and its run in MLflow gets its reports.
One content makes one version, however often this runs. Nobody but a person sets `champion`.
"""

import sys
from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.registry.registration import LOST, is_declined, is_registered


def main() -> None:
    if "--check" in sys.argv[1:]:
        raise SystemExit(0 if is_declined(Path()) or is_registered(Path()) else LOST)
    from ner.registry.register import register  # the check needs none of it

    done = register(read_params(), Path())
    if done["version"] is None:
        print(f"register: {done['reason']}")
        return
    news = "registered" if done["is_new"] else "already registered"
    print(f"{done['model']} version {done['version']} {news}, alias {done['alias']} ({done['tracking_uri']})")


if __name__ == "__main__":
    run_stage("register", main, arguments=["--check"])
