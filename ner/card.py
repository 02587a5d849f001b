"""The model card: measured facts in, markdown out. Every number comes from a report; nothing is left to fill in later.

text = render(CardFacts(model="ner", training=..., manifest=..., metrics=..., history=..., gate=..., ...))
short = summary(facts)      # the same in 5,000 characters, for places that hold no more
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PUBLIC_CARD = {"loss": 0.0617, "precision": 0.9262, "recall": 0.9380, "f1": 0.9321, "accuracy": 0.9840}
PUBLIC_NAME = "distilbert-base-uncased-finetuned-ner"
SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1", "accuracy": "Accuracy", "loss": "Loss"}
SPLITS = ("validation", "test")
DESCRIPTION_LIMIT = 5000  # characters that MLflow's tables hold on every database


@dataclass(frozen=True)
class CardFacts:
    """What the card is made of. training, metrics, gate: the reports of those names; manifest: of data/prepared.

    history: an epoch a row. lock: md5 by output. registration: version, alias, mlflow_run_id, tracking_uri.
    validation: reports/validation.json.
    """

    model: str
    training: Mapping[str, Any]
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    gate: Mapping[str, Any]
    history: Sequence[Mapping[str, str]] = ()
    lock: Mapping[str, str] = field(default_factory=dict)
    registration: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)


def render(facts: CardFacts) -> str:
    """The whole card: the hub's metadata (with a model index), then the sections."""
    from huggingface_hub import ModelCard

    sections = {
        "Description": description(facts),
        "Intended uses and limits": uses(facts),
        "Training and evaluation data": data(facts),
        "Training procedure": procedure(facts),
        "Results": results(facts),
        "Results by epoch": by_epoch(facts),
        "Results by entity type": by_type(facts),
        "Beside the public card": beside_public(facts),
        "Gate": verdict(facts),
        "Versions of the frameworks": table(["package", "version"], sorted(facts.training["packages"].items())),
        "How to make it again": reproduction(facts),
        "Trace": trace(facts),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return str(ModelCard(f"---\n{metadata(facts)}\n---\n\n# {facts.model}\n\n{body}\n"))


def summary(facts: CardFacts, limit: int = DESCRIPTION_LIMIT) -> str:
    """What a person needs to promote a version, most important first, cut between sections at `limit` characters."""
    end = "\n\nThe whole card is `reports/card.md` among the run's artifacts."
    parts = [
        description(facts),
        f"**Gate.** {verdict(facts)}",
        results(facts),
        by_type(facts),
        f"**Data.** {data(facts)}",
        trace(facts),
    ]
    text = ""
    for part in parts:
        if len(text) + len(part) + len(end) + 2 > limit:
            break
        text += part + "\n\n"
    return text.rstrip() + end


def metadata(facts: CardFacts) -> str:
    """The YAML block that the hub reads, with the scores as a model index."""
    from huggingface_hub import EvalResult, ModelCardData

    source = facts.manifest["source"]
    rows = [
        EvalResult(
            task_type="token-classification",
            dataset_type=source,
            dataset_name=source,
            dataset_split=split,
            metric_type=name,
            metric_name=SCORES[name],
            metric_value=facts.metrics[split][name],
        )
        for split in SPLITS
        for name in ("f1", "precision", "recall", "accuracy")
    ]
    language = facts.manifest.get("language")
    card = ModelCardData(
        model_name=facts.model,
        base_model=_known(facts.training["base"], "name"),
        datasets=[source],
        language=language if language and language != "unknown" else None,
        library_name="transformers",
        license="other",  # the encoder's licence and the corpus's both bind; the sections name them
        license_name="encoder-and-corpus",
        metrics=["precision", "recall", "f1", "accuracy"],
        pipeline_tag="token-classification",
        tags=["token-classification", "named-entity-recognition"],
        eval_results=rows,
    )
    return card.to_yaml()


def description(facts: CardFacts) -> str:
    """What it is and how good it is, in a few sentences."""
    base = facts.training["base"]
    types = ", ".join(facts.manifest["entity_types"])
    scores = [
        f"{_number(facts.metrics[split]['f1'])} on {split} ({facts.metrics[split]['support']:,} entities)"
        for split in SPLITS
    ]
    return (
        f"Finds the named entities of a text and gives each its type ({types}), its place and a score. The encoder "
        f"{_known(base, 'name')} ({_known(base, 'license')}) was fine-tuned for token classification on "
        f"{facts.manifest['source']}. F1 {' and '.join(scores)}: whole entities, exact match, {facts.gate['mode']}."
    )


def uses(facts: CardFacts) -> str:
    """What it is for, and what it is known not to do, with the numbers that say so."""
    weakest, row = min(facts.metrics["test"]["per_type"].items(), key=lambda item: item[1]["f1"], default=("-", {}))
    lines = [
        f"Made for text like that of {facts.manifest['source']}: {_known(facts.manifest, 'description')}. Language: "
        f"{_known(facts.manifest, 'language')}. On other kinds of text it has not been measured.",
        f"F1 is {_number(facts.metrics['validation']['f1'])} on validation and {_number(facts.metrics['test']['f1'])} "
        "on test; fresh text lies further from the training data than either.",
    ]
    if row:
        lines.append(f"Weakest type on test: {weakest}, F1 {_number(row['f1'])}.")
    if facts.training["params"].get("encoding.context") == "document":
        alone = facts.metrics["validation"].get("sentence", {}).get("f1")
        if alone is not None:
            lines.append(
                f"It was trained on sentences with their neighbours: given one sentence at a time it scores "
                f"{_number(alone)} on validation. Send whole documents where you have them."
            )
    lines.append("The types are those of the corpus; nested or overlapping entities are not found.")
    lines.append("Scores of entities are probabilities of the network as it is; they have not been calibrated.")
    return "\n".join(f"- {line}" for line in lines)


def data(facts: CardFacts) -> str:
    """Source, licence, counts and fingerprint."""
    manifest = facts.manifest
    origin = manifest.get("origin") or manifest["source"]
    revision = f", revision {manifest['revision']}" if manifest.get("revision") else ""
    rows = [
        [
            split,
            *(f"{counts.get(name, 0):,}" for name in ("documents", "sentences", "tokens")),
            ", ".join(f"{name} {count:,}" for name, count in counts.get("entities", {}).items()) or "none",
        ]
        for split, counts in manifest["splits"].items()
    ]
    license_line = f"Licence of the data: {_known(manifest, 'license')}. No text of it is part of the model's files."
    checked = f" {_validated(facts.validation)}" if facts.validation else ""
    return (
        f"{_known(manifest, 'description')} (from {origin}{revision}). {license_line}{checked}\n\n"
        + table(["split", "documents", "sentences", "tokens", "entities"], rows)
        + f"\n\nFingerprint of the content (tokens and tags of all splits): `{manifest['fingerprint']}`."
    )


def procedure(facts: CardFacts) -> str:
    """Where and how long it was trained, and every parameter of it."""
    run = facts.training
    device = " · ".join(str(run[k]) for k in ("device", "cpu", "precision") if run.get(k))
    sizes = [f"{run[k]:,} {k}" for k in ("windows", "subwords", "words") if run.get(k)]
    time = f"{run['seconds'] / 60:,.1f} minutes"
    speed = f", {run['words_per_second']:,.0f} words a second" if run.get("words_per_second") else ""
    rows = [
        [f"`{name}`", f"`{value}`"]
        for name, value in run["params"].items()
        if name.split(".")[0] in ("train", "encoding", "model")
    ]
    amount = f" One epoch is {', '.join(sizes)}." if sizes else ""
    return (
        "transformers' Trainer with AdamW; the first subword of a word carries its tag. "
        f"Computed on {device}, {time} in all{speed}.{amount}\n\n" + table(["parameter", "value"], rows)
    )


def results(facts: CardFacts) -> str:
    """Both splits; in the windows of training, strict, and with each sentence alone."""
    rows = []
    for split in SPLITS:
        scores = facts.metrics[split]
        strict = {name: scores.get(f"{name}_strict") for name in ("precision", "recall", "f1")}
        rows.append([f"**{split}**", *_cells(scores)])
        rows.append([f"{split}, strict IOB2", *_cells(strict)])
        rows.append([f"{split}, each sentence alone", *_cells(scores.get("sentence", {}))])
    words = sum(facts.metrics[split]["words_without_prediction"] for split in SPLITS)
    return (
        table(["split", *SCORES.values()], rows)
        + f"\n\nWhole entities, exact match, micro average, {facts.gate['mode']}. Words without a prediction: {words}."
    )


def by_epoch(facts: CardFacts) -> str:
    """The table of history.csv."""
    if not facts.history:
        return "The training was not evaluated in between."
    names = list(facts.history[0])
    rows = [[_short(row[name]) for name in names] for row in facts.history]
    return "Scores are of the validation split.\n\n" + table([name.replace("_", " ") for name in names], rows)


def by_type(facts: CardFacts) -> str:
    """Precision, recall, F1 and support (gold entities) of each entity type on both splits."""
    rows = [
        [split, name, *(_number(row.get(k)) for k in ("precision", "recall", "f1", "f1_strict")), f"{row['support']:,}"]
        for split in SPLITS
        for name, row in facts.metrics[split]["per_type"].items()
    ]
    return table(["split", "type", "precision", "recall", "F1", "F1 strict", "support"], rows)


def beside_public(facts: CardFacts) -> str:
    """Our scores beside those that the public card states."""
    ours = facts.metrics["validation"]
    rows = [[SCORES[name], _number(ours.get(name)), f"{PUBLIC_CARD[name]:.4f}"] for name in SCORES]
    return (
        table(["", "this model, validation", f"public card of {PUBLIC_NAME}"], rows)
        + f"\n\nThe right column is quoted from the public card of {PUBLIC_NAME}: another encoder, another "
        "training, its own evaluation. It was not measured here. Losses may be averaged in another way."
    )


def verdict(facts: CardFacts) -> str:
    """What the gate said, rule by rule."""
    word = "Passed" if facts.gate["passed"] else "FAILED"
    reasons = "\n".join(f"- {rule['reason']}" for rule in facts.gate["rules"]) or "- no rule was set"
    return f"{word}, judged on {facts.gate['split']}, {facts.gate['mode']}:\n\n{reasons}"


def reproduction(facts: CardFacts) -> str:
    """The commands, and what must come out."""
    commit, version = facts.training["git_commit"], facts.registration.get("version")
    lines = [f"git checkout {commit}", "make train        # or, in an environment that is there: dvc repro"]
    if version:
        lines.insert(0, f"python -m tasks.register --reproduce {facts.model}/{version}   # parameters that differed")
    note = ""
    if facts.training.get("git_dirty"):
        note = "\n\nThe working tree had changes that the commit has not: the commit alone may not give this model."
    elif facts.training.get("git_dirty") is None:
        note = "\n\nThere was no git repository where it was trained, so no commit can be named."
    same = f"Seed {facts.training['params'].get('train.seed')}; the same machine and versions give the same weights."
    commands = "\n".join(lines)
    return f"```\n{commands}\n```\n\n{same}{note}"


def trace(facts: CardFacts) -> str:
    """Identifiers of everything that this model came from."""
    base, run = facts.training["base"], facts.training
    dirty = {True: "yes", False: "no"}.get(run.get("git_dirty"), "unknown")
    rows = [
        ["model version", f"{facts.model} {facts.registration.get('version', 'not registered yet')}"],
        ["MLflow run", f"`{facts.registration.get('mlflow_run_id') or run.get('mlflow_run_id')}`"],
        ["Prefect flow run", f"`{run.get('flow_run_id') or 'none, the stage ran by hand'}`"],
        ["git commit of the training", f"`{run['git_commit']}` (uncommitted changes: {dirty})"],
        ["data fingerprint", f"`{facts.manifest['fingerprint']}`"],
        ["encoder", f"{_known(base, 'name')} from {_known(base, 'origin')}, weights sha256 `{_known(base, 'sha256')}`"],
        *([f"dvc.lock, `{path}`", f"`{md5}`"] for path, md5 in facts.lock.items()),
    ]
    return table(["", ""], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table; a bar or a line break in a cell cannot break it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def _cells(scores: Mapping[str, Any]) -> list[str]:
    return [_number(scores.get(name)) for name in SCORES]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _short(value: str) -> str:
    """A number of a CSV file in four decimals, where it has more."""
    return f"{float(value):.4f}" if len(str(value).partition(".")[2]) > 4 else str(value) or "–"


def _known(facts: Mapping[str, Any], name: str) -> str:
    """The value, its final full stop taken off, or `unknown`."""
    return str(facts.get(name) or "unknown").rstrip(".")


def _validated(report: Mapping[str, Any]) -> str:
    splits = report.get("splits", {}).values()
    count, held = sum(s.get("expectations", 0) for s in splits), sum(s.get("held", 0) for s in splits)
    return f"Great Expectations held {held} of {count} expectations."
