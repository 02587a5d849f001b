"""The short table at the end of `make train`."""

from pathlib import Path
from typing import Any

from flows.runtime.artifacts import MEASURES, registered, score_rows
from flows.runtime.run_record import CARD, DATA_DOCS, GATE, METRICS, REGISTRATION, REPORT, TRAINING, Record
from flows.runtime.run_stage import CACHED, RAN
from ner.evaluation.gate import headline


def render(record: Record, root: Path) -> str:
    """Return the summary as plain text: stages, scores, verdict, model version, and where everything is."""
    blocks = ["\n".join(_stages(record)), "\n".join(_scores(record)), "\n".join(_facts(record, root))]
    return "\n\n".join(block for block in blocks if block)


def ending(record: Record) -> str:
    """Return the result of a run in a sentence: how many stages ran, the version, its F1."""
    ways = [outcome.how for outcome in record.outcomes.values()]
    ran, cached = ways.count(RAN), ways.count(CACHED)
    registration, f1 = record.read(REGISTRATION), record.read(METRICS).get("validation", {}).get("f1")
    facts = []
    if registration.get("version"):
        facts.append("{model} version {version} is registered".format_map(registration))
    if f1 is not None:
        facts.append(f"validation F1 {f1:.4f}")
    stages = f"{_count(ran)} ran, {cached} cached" if ran else f"All is up to date ({_count(cached)})"
    return ": ".join([stages, *([", ".join(facts)] if facts else [])]) + "."


def _stages(record: Record) -> list[str]:
    names = [stage.name for stage in record.stages]
    done = [f"{name} {record.outcomes[name].how if name in record.outcomes else 'not run'}" for name in names]
    return ["Stages      " + ", ".join(done)] if done else []


def _scores(record: Record) -> list[str]:
    rows = score_rows(record.read(METRICS))
    if not rows:
        return []
    width = max(12, *(len(row["split"]) + 2 for row in rows))
    head = " " * width + "".join(f"{'F1' if name == 'f1' else name:>11}" for name in MEASURES)
    return [head] + [f"{row['split']:<{width}}" + "".join(f"{row.get(m, '–'):>11}" for m in MEASURES) for row in rows]


def _facts(record: Record, root: Path) -> list[str]:
    gate, registration, training = (record.read(path) for path in (GATE, REGISTRATION, TRAINING))
    facts: dict[str, str | None] = {}
    if gate:
        reasons = [rule["reason"] for rule in gate["rules"] if not rule["passed"]] or [gate["rules"][0]["reason"]]
        verdict = headline(gate) if gate["passed"] else headline(gate).replace("failed", "FAILED", 1)
        facts["Gate"] = f"{verdict}: {'; '.join(reasons)}"
    if registration:
        facts["Model"] = registered(registration)
    facts["MLflow run"] = registration.get("mlflow_run_id") or training.get("mlflow_run_id")
    facts["Data Docs"] = _shown(record.report(DATA_DOCS), root)
    facts["Report"] = _shown(record.report(REPORT), root)
    facts["Model card"] = _shown(record.report(CARD), root)
    facts["All reports"] = _shown(record.folder / "reports", root)
    facts["Next"] = "\n            ".join(_next(registration))
    return [f"{name:<12}{text}" for name, text in facts.items() if text]


def _next(registration: dict[str, Any]) -> list[str]:
    """Return what to do with what the run has made: look, promote, serve, ask."""
    if not registration.get("version"):
        return ["make up shows this run in the Prefect and MLflow UIs"]
    name = "{model}/{version}".format_map(registration)
    return [
        "make up shows this run in the Prefect and MLflow UIs",
        f"to promote {name}, give it the alias champion on its page in the MLflow UI",
        f"make serve answers with the champion, ner serve --model {name} with this version, and says how to ask",
    ]


def _count(stages: int) -> str:
    return f"{stages} stage{'' if stages == 1 else 's'}"


def _shown(path: Path | None, root: Path) -> str | None:
    if path is None or not path.exists():
        return None
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
