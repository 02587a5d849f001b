"""The facts that a model card is rendered from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ner.card.markdown import get, plain

SPLITS = ("validation", "test")
MEASURES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
Rows = Sequence[Mapping[str, str]]  # of a CSV file with a header

PUBLIC_CORPUS = "conll2003"


@dataclass(frozen=True)
class CardFacts:
    """The reports that a card is rendered from. training, metrics, gate, validation, seeds: the JSON reports of those
    names; manifest: of data/prepared. Everything with a default may be missing.

    history, slices, thresholds, confusion: rows of those CSV files. label_issues: how many spans of each split look
    wrongly annotated, or None where nobody looked. lock: md5 by output. content: digest of the packaged model.

    measured: ids, times, machine and versions of the training; registration: version, alias, mlflow_run_id,
    content, once the model is registered. Without these two the card has only words that the inputs determine.
    """

    model: str
    training: Mapping[str, Any]
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    gate: Mapping[str, Any]
    history: Rows = ()
    slices: Rows = ()
    thresholds: Rows = ()
    confusion: Rows = ()
    seeds: Mapping[str, Any] = field(default_factory=dict)
    label_issues: Mapping[str, int] | None = None
    validation: Mapping[str, Any] = field(default_factory=dict)
    lock: Mapping[str, str] = field(default_factory=dict)
    content: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    registration: Mapping[str, Any] = field(default_factory=dict)

    def param(self, name: str) -> Any:
        """Return a parameter of the training (`train.seed`), None where it is not recorded."""
        return self.training.get("params", {}).get(name)

    @property
    def confidence(self) -> str:
        """`95 %`, of every interval."""
        return f"{100 * (get(self.metrics, 'bootstrap', 'confidence') or 0.95):g} %"

    @property
    def context(self) -> str | None:
        """`document` or `sentence`: how sentences were given to the model in training."""
        return self.metrics.get("context") or self.param("encoding.context")

    @property
    def is_public_corpus(self) -> bool:
        """Whether the corpus is CoNLL-2003, by its name here or where it comes from."""
        names = (self.manifest.get("source"), self.manifest.get("origin"))
        return any(PUBLIC_CORPUS in re.sub(r"[^a-z0-9]", "", plain(name).lower()) for name in names)


def known(facts: Mapping[str, Any], name: str) -> str:
    """Return the value on one line, without its last full stop; `unknown` where there is none."""
    return plain(facts.get(name)).rstrip(".") or "unknown"


def short_name(name: str) -> str:
    """Return the last part of a path, as a folder on somebody's machine is private; a hub id stays whole."""
    name = plain(name).rstrip("/\\")
    is_path = name.startswith(("/", "\\", ".", "~", "local/")) or name.count("/") > 1 or ":" in name[:3]
    return re.split(r"[/\\]", name)[-1] if is_path else name
