"""The short table at the end of `make train`."""

from pathlib import Path

from flows.artifacts import MEASURES, score_rows
from flows.record import CARD, DATA_DOCS, GATE, METRICS, REGISTRATION, REPORT, TRAINING, Record
from ner.gate import headline


def render(record: Record, root: Path) -> str:
    """Plain text: stages, scores, verdict, model version, and where everything is."""
    blocks = ["\n".join(_stages(record)), "\n".join(_scores(record)), "\n".join(_facts(record, root))]
    return "\n\n".join(block for block in blocks if block)


def _stages(record: Record) -> list[str]:
    names = [stage.name for stage in record.stages]
    done = [f"{name} {record.outcomes[name].how if name in record.outcomes else 'not run'}" for name in names]
    return ["Stages      " + ", ".join(done)] if done else []


def _scores(record: Record) -> list[str]:
    rows = score_rows(record.read(METRICS))
    if not rows:
        return []
    head = "            " + "".join(f"{'F1' if name == 'f1' else name:>11}" for name in MEASURES)
    return [head] + [f"{row['split']:<12}" + "".join(f"{row.get(m, '–'):>11}" for m in MEASURES) for row in rows]


def _facts(record: Record, root: Path) -> list[str]:
    gate, registration, training = (record.read(path) for path in (GATE, REGISTRATION, TRAINING))
    facts: dict[str, str | None] = {}
    if gate:
        reasons = [rule["reason"] for rule in gate["rules"] if not rule["passed"]] or [gate["rules"][0]["reason"]]
        verdict = headline(gate) if gate["passed"] else headline(gate).replace("failed", "FAILED", 1)
        facts["Gate"] = f"{verdict}: {'; '.join(reasons)}"
    if registration:
        facts["Model"] = "{model} version {version}, alias {alias}".format_map(registration)
    facts["MLflow run"] = registration.get("mlflow_run_id") or training.get("mlflow_run_id")
    facts["Data Docs"] = _shown(record.report(DATA_DOCS), root)
    facts["Report"] = _shown(record.report(REPORT), root)
    facts["Model card"] = _shown(record.report(CARD), root)
    facts["All reports"] = _shown(record.folder / "reports", root)
    facts["UIs"] = "make up shows this run in the Prefect and MLflow UIs"
    return [f"{name:<12}{text}" for name, text in facts.items() if text]


def _shown(path: Path | None, root: Path) -> str | None:
    if path is None or not path.exists():
        return None
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
