"""Stage `package`: the model as it is handed out, in one folder: weights, tokenizer, temperature and card.

Run     python -m tasks.package
Reads   models/ner, data/prepared/manifest.json, reports/{gate,metrics,reference,training,validation,seeds}.json,
        reports/{history,slices,thresholds,confusion,label_issues}.csv, dvc.lock, params.yaml
Writes  models/release: the files of models/ner, its config.json with how it is to be read, reference.json, which later
        texts are held against (make monitor), and README.md, the card

Anybody's `transformers.pipeline("token-classification", model="models/release")` loads it; no torch is loaded here.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ner.card import CardFacts, render
from ner.drift_observation import REFERENCE
from ner.errors import GateFailed, ModelError
from ner.gate import failure
from ner.probability import TEMPERATURE
from ner.text import LANGUAGE_KEY
from ner.windows import OVERLAP
from tasks.cli import run_stage
from tasks.io import read_json, read_params, replacing_folder, write_json, write_text
from tasks.provenance import lock_hashes
from tasks.registry import CARD, check_model_files, content_digest

MODEL, RELEASE = Path("models/ner"), Path("models/release")
INPUTS = ("data/prepared", "models/base", "models/ner", "reports/predictions", "reports/metrics.json")


def package(root: Path, model: str, overlap: int = 0) -> str:
    """Write models/release of the checkout `root`, whole or not at all; returns its content digest.

    model: the name on the card. overlap: in subwords, of the windows that were evaluated. Raises GateFailed where the
    gate has not passed, and ModelError for a model folder that is missing, incomplete or unsafe.
    """
    gate = passed_gate(root)
    check_model_files(root / MODEL)
    lock = lock_hashes(root)
    facts = read_facts(root, model, gate, {path: lock[path] for path in INPUTS if path in lock})
    with replacing_folder(root / RELEASE) as folder:
        copy_model(root / MODEL, folder)
        language = facts.manifest.get("language")
        config = read_as_evaluated(read_config(root / MODEL), facts.metrics.get("temperature"), overlap, language)
        write_json(folder / "config.json", config)
        if (root / "reports" / REFERENCE).exists():
            shutil.copyfile(root / "reports" / REFERENCE, folder / REFERENCE)
        content = content_digest(folder)
        write_text(folder / CARD, render(CardFacts(**{**vars(facts), "content": content})))
    return content


def passed_gate(root: Path) -> dict[str, Any]:
    """gate.json. Raises GateFailed where it says that the model failed."""
    gate = read_json(root / "reports" / "gate.json")
    if not gate["passed"]:
        raise GateFailed(failure(gate))
    return gate


def copy_model(source: Path, target: Path) -> None:
    """Copy the files below a model folder but for a card that lies in it already."""
    for file in sorted(path for path in source.rglob("*") if path.is_file() and path != source / CARD):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)  # the contents alone: files that come from a cache may be read-only


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model. Raises ModelError where it is missing or no configuration."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder / 'config.json'} cannot be read ({error}): run `dvc repro`, which makes it again."
        ) from None
    if not isinstance(config, dict):
        raise ModelError(f"{folder / 'config.json'} holds no configuration: run `dvc repro`, which makes it again.")
    return config


def read_as_evaluated(
    config: Mapping[str, Any], temperature: float | None, overlap: int, language: str | None = None
) -> dict[str, Any]:
    """The configuration with what every caller is to read it with, keys sorted as transformers sorts them.

    language: of the corpus, whose rules cut raw text; unknown or None is left to ner.text.LANGUAGE.
    """
    known = {TEMPERATURE: temperature, OVERLAP: overlap, LANGUAGE_KEY: None if language == "unknown" else language}
    return dict(sorted({**config, **{key: value for key, value in known.items() if value}}.items()))


def read_facts(root: Path, model: str, gate: Mapping[str, Any], lock: Mapping[str, str]) -> CardFacts:
    """Everything that the card says, from the outputs of the stages before."""
    reports = root / "reports"
    return CardFacts(
        model=model,
        training=read_json(reports / "training.json"),
        manifest=read_json(root / "data" / "prepared" / "manifest.json"),
        metrics=read_json(reports / "metrics.json"),
        gate=gate,
        **{name: read_rows(reports / f"{name}.csv") or () for name in ("history", "slices", "thresholds", "confusion")},
        **{name: read_optional(reports / f"{name}.json") for name in ("seeds", "validation")},
        label_issues=count_issues(read_rows(reports / "label_issues.csv")),
        lock=lock,
    )


def read_optional(path: Path) -> dict[str, Any]:
    """A JSON report, empty where it is not there."""
    return read_json(path) if path.exists() else {}


def read_rows(path: Path) -> list[dict[str, str]] | None:
    """The rows of a CSV report, None where it is not there."""
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def count_issues(rows: Iterable[Mapping[str, str]] | None) -> dict[str, int] | None:
    """How many labels look wrong in each split; None where nobody looked."""
    return None if rows is None else dict(Counter(row.get("split") or "all splits" for row in rows))


def main() -> None:
    params = read_params()
    content = package(Path(), params.registry.model, params.prediction.overlap)
    print(f"{RELEASE} with card and temperature, content {content[:12]}")


if __name__ == "__main__":
    run_stage("package", main)
