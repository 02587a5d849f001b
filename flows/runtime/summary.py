"""The short table at the end of `make train`."""

from pathlib import Path
from typing import Any

from flows.runtime.run_record import CARD, DATA_DOCS, GATE, METRICS, REGISTRATION, REPORT, TRAINING, Record
from flows.runtime.run_stage import CACHED, RAN
from ner.evaluation.gate import headline, split_name

MEASURES = ("precision", "recall", "f1", "accuracy")


def render(record: Record, root: Path) -> str:
    """Return the summary as plain text: stages, scores, verdict, model version, and where everything is."""
    blocks = ["\n".join(_stages(record)), "\n".join(_scores(record)), "\n".join(_facts(record, root))]
    return "\n\n".join(block for block in blocks if block)


def ending(record: Record) -> str:
    """Return the result of a run in a sentence: how many stages ran, the version, its F1."""
    ways = [outcome.how for outcome in record.outcomes.values()]
    ran, cached = ways.count(RAN), ways.count(CACHED)
    registration, metrics = record.read(REGISTRATION), record.read(METRICS)
    f1 = metrics.get("validation", {}).get("f1")
    facts = []
    if registration.get("version"):
        facts.append("{model} version {version} is registered".format_map(registration))
    if f1 is not None:
        facts.append(f"{split_name(metrics)} F1 {f1:.4f}")
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
    facts["Next"] = "\n            ".join(_next(record, registration))
    return [f"{name:<12}{text}" for name, text in facts.items() if text]


def _next(record: Record, registration: dict[str, Any]) -> list[str]:
    """Return what to do with what the run has made: look, promote, serve, ask."""
    look = "make up shows this run in the Prefect and MLflow UIs" if record.flow_run_id else "make up starts both UIs"
    if not registration.get("version"):
        return [look]
    name = "{model}/{version}".format_map(registration)
    return [
        look,
        f"to promote {name}, give it the alias champion on its page in the MLflow UI",
        f"make serve answers with the champion, ner serve --model {name} with this version, and says how to ask",
    ]


def _count(stages: int) -> str:
    return f"{stages} stage{'' if stages == 1 else 's'}"


def _shown(path: Path | None, root: Path) -> str | None:
    if path is None or not path.exists():
        return None
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def registered(registration: dict[str, Any]) -> str:
    """Return the version and its alias in words, or that there is none."""
    if registration.get("reason"):
        return "not registered, because the gate failed"
    version = f" version {registration['version']}" if registration["version"] else ""
    return f"{registration['model']}{version}, alias {registration['alias']}"


def score_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a split: precision, recall, F1, accuracy, F1 in strict mode, support, and the interval of F1.

    The test split has a second row where its annotations were corrected.
    """
    columns = (*MEASURES, "f1_strict", "support")
    titles = {"validation": split_name(metrics), "test": "test", "test_corrected": "test, corrected"}
    return [
        {"split": title, **picked(scores, columns), **spread(scores.get("interval", {}).get("f1"))}
        for split, title in titles.items()
        if (scores := metrics.get(split))
    ]


def number(value: Any) -> Any:
    """Return a number as text: four decimals for a float, a dash for None."""
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else value


def picked(scores: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    return {column: number(scores[column]) for column in columns if column in scores}


def spread(interval: Any) -> dict[str, str]:
    """Return the interval of an F1 as a cell; no cell where the report has none."""
    return {"interval of f1": f"{interval[0]:.4f} to {interval[1]:.4f}"} if interval else {}
