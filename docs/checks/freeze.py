"""Copies of what documents and tests are held against, into folders that no stage writes: `make freeze`.

Reads   params.yaml, catalog.yaml, reports/, models/release of the committed run
Writes  tests/data/{params,catalog}.yaml, docs/results/: the scores that README quotes, and answers.json
"""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {name: f"tests/data/{name}" for name in ("params.yaml", "catalog.yaml")}
REPORTS = {"reports/metrics.json": "docs/results/metrics.json"}
ANSWERS = ROOT / "docs/results/answers.json"
MODEL, RELEASE = "models/ner", ROOT / "models/release"
TEXT = "Marta Okafor joined Helvion Steel in Rotterdam."


def recorded() -> dict[str, str]:
    """The md5 of each output in the two committed lock files."""
    locks = (yaml.safe_load((ROOT / path).read_text(encoding="utf-8")) for path in ("dvc.lock", "bench/dvc.lock"))
    return {out["path"]: out["md5"] for lock in locks for stage in lock["stages"].values() for out in stage["outs"]}


def answers() -> dict[str, Any]:
    """What the model in models/release answers to the text in README, and the md5 of that model in dvc.lock."""
    from ner.inference.annotate import annotate
    from ner.inference.tagger import Tagger

    (entities,) = annotate(Tagger.load(RELEASE), [TEXT])
    return {"model": recorded()[MODEL], "text": TEXT, "entities": entities}


def main() -> None:
    for source, copy in (SETTINGS | REPORTS).items():
        (ROOT / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, ROOT / copy)
    ANSWERS.write_text(json.dumps(answers(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
