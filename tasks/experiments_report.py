"""What the experiments found: experiments.json, and the table of it for people.

report = experiments_report(file, tree, manifest, results, failed, mlflow_run_id)
write_report(Path("reports/experiments"), report)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ner.bootstrap import difference, draws
from ner.comparison import BETTER, UNDECIDED, WORSE, outcome
from ner.errors import NerError
from ner.seed_summary import spread
from tasks.experiments_file import BASELINE, Experiments, Idea
from tasks.io import read_json, write_json, write_text
from tasks.sweep_report import number
from tasks.tables import plain_table

REPORT, TABLE, FIGURES = "experiments.json", "experiments.md", "figures"
READINGS = ("documents", "alone")
HEADER = [
    "idea", "why", "seeds", "F1 in documents", "F1 of sentences alone", "difference in documents", "difference alone",
    "seconds", "x baseline", "verdict",
]  # fmt: skip
WORDS = {BETTER: "better", UNDECIDED: "no difference", WORSE: "worse"}

Result = Mapping[str, Any]


def experiments_report(
    file: Experiments,
    tree: Mapping[str, Any],
    manifest: Mapping[str, Any],
    results: Mapping[str, Sequence[Result]],
    failed: Mapping[str, str],
    mlflow_run_id: str | None,
    costs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is in experiments.json. tree: the blocks of params.yaml; results: by name, one a seed; failed: reasons.

    costs: seconds by tasks/experiments_cost.py, if they were measured: then those are shown.
    """
    baseline, bootstrap = results.get(BASELINE, []), tree["evaluation"]
    machines = [dict(m) for m in dict.fromkeys(tuple(r["machine"].items()) for rs in results.values() for r in rs)]
    ideas = [_entry(BASELINE, "what the others are compared with", {}, tree, baseline, None)]
    for idea in file.ideas:
        found = results.get(idea.name, [])
        entry = _entry(idea.name, idea.why, idea.changes, tree, found, failed.get(idea.name))
        if found and baseline:
            entry |= compared(found, baseline, bootstrap)
        entry |= beyond_params(idea)
        ideas.append(entry)
    for entry in ideas if costs else ():
        cost = costs.get(entry["name"])
        entry |= {"seconds": cost and cost["seconds"], "ratio": cost and cost["ratio"]["median"], "cost": cost}
    return {
        "source": manifest["source"],
        "fingerprint": manifest["fingerprint"],
        "split": "validation",
        "train_documents": file.baseline.train_documents,
        "validation_documents": file.baseline.validation_documents,
        BASELINE: file.baseline.changes,
        "bootstrap": {name: bootstrap[name] for name in ("resamples", "confidence", "seed")},
        "machines": machines,
        "mlflow_run_id": mlflow_run_id,
        "timed": "a short training" if costs else "a training",
        "ideas": ideas,
    }


def beyond_params(idea: Idea) -> dict[str, Any]:
    """What an idea does that params.yaml has no key for, by name; empty for most."""
    given = idea.model_dump(include={"technique", "taught_by", "votes_with"}, exclude_none=True)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def _entry(
    name: str, why: str, changes: Mapping[str, Any], tree: Mapping[str, Any], found: Sequence[Result],
    reason: str | None,
) -> dict[str, Any]:  # fmt: skip
    seconds = [result["seconds"] for result in found if result["seconds"] is not None]
    return {
        "name": name,
        "why": why,
        "set": changes,
        "present": {block: {key: tree[block][key] for key in keys} for block, keys in changes.items()},
        "f1": {reading: spread([r[reading]["f1"] for r in found]) for reading in READINGS} if found else None,
        "seconds": sum(seconds) / len(seconds) if seconds else None,
        "ratio": 1.0 if name == BASELINE else None,
        "difference": None,
        "verdict": None if found else "failed" if reason else "not run yet",
        "reason": reason,
        "seeds": [_of_seed(result) for result in found],
    }


def _of_seed(result: Result) -> dict[str, Any]:
    scores = {reading: {k: v for k, v in result[reading].items() if k != "counts"} for reading in READINGS}
    return {"seed": result["seed"], **scores, **{name: result[name] for name in ("seconds", "mlflow_run_id")}}


def compared(found: Sequence[Result], baseline: Sequence[Result], bootstrap: Mapping[str, Any]) -> dict[str, Any]:
    """Differences to the baseline with the same seeds, the ratio of the seconds, and the verdict."""
    theirs = {result["seed"]: result for result in baseline}
    pairs = [(result, theirs[result["seed"]]) for result in found if result["seed"] in theirs]
    if not pairs:
        return {}
    both = [pair for pair in pairs if None not in (pair[0]["seconds"], pair[1]["seconds"])]
    ours, other = (sum(pair[side]["seconds"] for pair in both) for side in (0, 1))
    differences = {reading: _difference(pairs, reading, bootstrap) for reading in READINGS}
    return {
        "difference": differences,
        "ratio": ours / other if both else None,
        "verdict": verdict(differences, len(pairs)),
    }


def _difference(pairs: Sequence[tuple[Result, Result]], reading: str, bootstrap: Mapping[str, Any]) -> dict[str, Any]:
    """The paired bootstrap over documents, whose entities are counted over all seeds, and the difference by seed."""
    ours, theirs = (sum(np.array(pair[side][reading]["counts"]) for pair in pairs) for side in (0, 1))
    drawn = draws(len(ours), bootstrap["resamples"], bootstrap["seed"])
    said = difference(ours, theirs, drawn, bootstrap["confidence"])
    by_seed = [one[reading]["f1"] - other[reading]["f1"] for one, other in pairs]
    found = outcome(said, is_same=False)
    if (found == BETTER and min(by_seed) <= 0) or (found == WORSE and max(by_seed) >= 0):
        found = UNDECIDED  # the documents agree, the seeds do not
    return {"difference": said["difference"], "interval": said["interval"], "by_seed": by_seed, "outcome": WORDS[found]}


def verdict(differences: Mapping[str, Any], seeds: int) -> str:
    """In words: of sentences in documents, and where it is another one, of sentences alone."""
    whole, alone = (differences[reading]["outcome"] for reading in READINGS)
    text = whole if whole == alone else f"{whole} in documents, {alone} alone"
    return text if seeds > 1 or text == WORDS[UNDECIDED] else f"{text} (one seed)"


def write_report(folder: Path, report: dict[str, Any]) -> list[Path]:
    """Write experiments.json, experiments.md and the picture; returns their paths, the picture last."""
    from tasks.experiments_figure import write_picture

    write_json(folder / REPORT, report)
    pictures = write_picture(folder / FIGURES, report)
    write_text(folder / TABLE, page(report))
    return [folder / REPORT, folder / TABLE, *pictures]


def page(report: Mapping[str, Any]) -> str:
    """The table in Markdown, and how it was made."""
    rows = table_rows(report)
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(HEADER))
    changed = [f"- `{idea['name']}`: {_changes(idea)}" for idea in report["ideas"] if idea["name"] != BASELINE]
    return "\n".join(
        ["# Experiments", "", *lines, "", f"![F1 and seconds]({FIGURES}/experiments.png)", "", _how(report), "",
         *(["What each changes:", "", *changed, ""] if changed else [])]
    )  # fmt: skip


def report_table(report: Mapping[str, Any]) -> str:
    """The table for a terminal, without the reasons why."""
    return plain_table([[*row[:1], *row[2:]] for row in table_rows(report)])


def table_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """HEADER, then a row an idea."""
    return [list(HEADER), *(_row(idea) for idea in report["ideas"])]


def _row(idea: Mapping[str, Any]) -> list[str]:
    f1, told = idea["f1"], idea["difference"]
    return [
        idea["name"],
        idea["why"],
        ", ".join(str(one["seed"]) for one in idea["seeds"]) or "–",
        *(_spread(f1[reading]) if f1 else "–" for reading in READINGS),
        *(_between(told[reading]) if told else "–" for reading in READINGS),
        f"{idea['seconds']:.0f}" if idea["seconds"] is not None else "–",
        f"{idea['ratio']:.2f}" if idea["ratio"] is not None else "–",
        idea["verdict"] or ("baseline" if idea["name"] == BASELINE else "–"),
    ]


def _spread(of: Mapping[str, Any]) -> str:
    return f"{of['mean']:.4f} ({of['min']:.4f}–{of['max']:.4f})"


def _between(said: Mapping[str, Any]) -> str:
    low, high = said["interval"]
    return f"{said['difference']:+.4f} ({low:+.4f} to {high:+.4f})"


def _changes(idea: Mapping[str, Any]) -> str:
    technique = {"technique": idea["technique"]} if idea.get("technique") else {}
    models = [
        f"{words} the baseline's models of seeds {', '.join(map(str, idea[name]))}"
        for name, words in (("taught_by", "taught by"), ("votes_with", "votes with"))
        if name in idea
    ]
    return ", ".join(filter(None, [_values({**idea["set"], **technique}), *models]))


def _values(changes: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{block}.{key} {number(value)}" for block, keys in changes.items() for key, value in keys.items())


def _how(report: Mapping[str, Any]) -> str:
    numbers = [
        f"{number_of} documents of {split}"
        for split in ("train", "validation")
        if (number_of := report[f"{split}_documents"]) is not None
    ]
    part = f", {' and '.join(numbers)}" if numbers else ""
    machines = "; ".join(", ".join(f"{k} {v}" for k, v in machine.items()) for machine in report["machines"])
    base = f" Baseline: params.yaml with {_values(report[BASELINE])}." if report[BASELINE] else ""
    bootstrap = report["bootstrap"]
    seconds = (
        "Seconds: of training on a few documents, in rounds, by turns with the baseline, on an idle machine"
        if report["timed"] == "a short training"
        else "Seconds: of training, evaluation after each epoch included, beside whatever else ran"
    )
    failed = "".join(f" {idea['name']} failed: {idea['reason']}" for idea in report["ideas"] if idea["reason"])
    return (
        f"Data: {report['source']}{part}. All numbers are of validation; test was not looked at.{base} F1: mean over "
        "the seeds (lowest–highest). Differences: to the baseline with the same seeds, with the "
        f"{bootstrap['confidence']:.0%} interval of a paired bootstrap over documents ({bootstrap['resamples']:,} "
        "resamples, entities counted over all seeds); better or worse where it leaves out 0 and every seed says the "
        f"same. {seconds} ({machines or 'nothing run yet'}).{failed}"
    )


def to_apply(path: Path, name: str) -> dict[str, Any]:
    """An idea in the form that sweep_report.applied takes. Raises NerError for one that was not run, or a technique."""
    if not path.exists():
        raise NerError(f"{path} is missing: run `make experiments`, which writes it.")
    ideas = {i["name"]: i for i in read_json(path)["ideas"] if i["seeds"] and i["name"] != BASELINE}
    beyond = [key for key in ("technique", "taught_by", "votes_with") if ideas.get(name, {}).get(key)]
    if beyond:
        what = ", ".join(ideas[name]["technique"] if beyond == ["technique"] else beyond)
        raise NerError(
            f"--apply {name}: params.yaml has no key for its technique ({what}): it has to become a parameter of stage "
            "train first."
        )
    if name not in ideas:
        raise NerError(f"--apply {name}: {path} has no such idea with results; it has {', '.join(ideas) or 'none'}.")
    return {"proposed": ideas[name]["set"], "present": {"values": ideas[name]["present"]}}
