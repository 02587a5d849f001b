"""The model as it is handed out, in one folder: weights, tokenizer, temperature and card.

package(Path(), "ner", overlap=0)        # models/ner and the reports of a checkout -> models/release, reports/card.md
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ner.card import CardFacts, render
from ner.common.files import read_json, replacing_folder, write_json, write_text
from ner.common.provenance import lock_hashes
from ner.errors import ModelError
from ner.inference.observation import REFERENCE
from ner.inference.overlap import OVERLAP
from ner.inference.probability import TEMPERATURE
from ner.inference.text import LANGUAGE_KEY
from ner.registry.versions import CARD, check_model_files, content_digest

MODEL, RELEASE, GATE = Path("models/ner"), Path("models/release"), Path("reports/gate.json")
INPUTS = ("data/prepared", "models/base", "models/ner", "reports/predictions", "reports/metrics.json")


def package(root: Path, model: str, overlap: int = 0) -> str:
    """Write models/release of the checkout `root`, whole or not at all; returns its content digest.

    model: the name on the card. overlap: in subwords, of the windows that were evaluated. A model that failed its gate
    is packaged too, with a card that says so. Raises ModelError for a model folder that is missing, incomplete or
    unsafe.
    """
    gate = read_json(root / GATE)
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
        card = render(replace(facts, content=content))
        write_text(folder / CARD, card)
    write_text(root / "reports" / "card.md", card)
    return content


def copy_model(source: Path, target: Path) -> None:
    """Copy the files below a model folder but for a card that lies in it already."""
    for file in sorted(path for path in source.rglob("*") if path.is_file() and path != source / CARD):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)  # the contents alone: files that come from a cache may be read-only


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a model. Raises ModelError where it is missing or no configuration."""
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
    """Return the configuration with what every caller is to read it with, keys sorted as transformers sorts them.

    language: of the corpus, whose rules cut raw text; unknown or None is left to ner.inference.text.LANGUAGE.
    """
    known = {TEMPERATURE: temperature, OVERLAP: overlap, LANGUAGE_KEY: None if language == "unknown" else language}
    return dict(sorted({**config, **{key: value for key, value in known.items() if value}}.items()))


def read_facts(root: Path, model: str, gate: Mapping[str, Any], lock: Mapping[str, str]) -> CardFacts:
    """Return everything determined that the card says, from the outputs of the stages before."""
    reports = root / "reports"
    tables: dict[str, Any] = {
        name: read_rows(reports / f"{name}.csv") or () for name in ("history", "slices", "thresholds", "confusion")
    }
    others: dict[str, Any] = {name: read_optional(reports / f"{name}.json") for name in ("seeds", "validation")}
    return CardFacts(
        model=model,
        training=read_json(reports / "training.json"),
        manifest=read_json(root / "data" / "prepared" / "manifest.json"),
        metrics=read_json(reports / "metrics.json"),
        gate=gate,
        **tables,
        **others,
        label_issues=count_issues(read_rows(reports / "label_issues.csv")),
        lock=lock,
    )


def read_optional(path: Path) -> dict[str, Any]:
    """Return a JSON report, empty where it is not there."""
    return read_json(path) if path.exists() else {}


def read_rows(path: Path) -> list[dict[str, str]] | None:
    """Return the rows of a CSV report, None where it is not there."""
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def count_issues(rows: Iterable[Mapping[str, str]] | None) -> dict[str, int] | None:
    """Return how many labels look wrong in each split; None where nobody looked."""
    return None if rows is None else dict(Counter(row.get("split") or "all splits" for row in rows))
