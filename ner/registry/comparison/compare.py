"""Two models on the same data: which one is better, by how much, and which sentences only one of them gets right.

Run     ner compare                 (challenger against champion)
        ner compare ner/3 ner/2     (any two versions: ner/3 or 3, ner@alias or the alias)
        ner compare reports         (the model of this checkout, registered or not, against the champion)
Reads   predictions/ in the MLflow runs of both, or reports/predictions; params.yaml [registry.model, evaluation]
Writes  reports/comparison: comparison.html, .md and .json; the same into the challenger's MLflow run,
        as comparison/3-against-2, and a line into the tag `comparison` of its version
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.common.files import read_params, replacing_folder, write_json, write_text
from ner.data.entities import entity_table, unit_numbers
from ner.data.predictions import Predictions
from ner.data.prepared import read_manifest
from ner.evaluation.comparison import (
    CHALLENGER,
    CHAMPION,
    one_line,
    only_one_right,
    outcome,
    right_sentences,
    sides,
    sign_test,
)
from ner.evaluation.comparison import verdict as say
from ner.params import EvaluationParams
from ner.registry.champion import compare
from ner.registry.comparison.candidates import Side, find_side, is_same, predict_lacking, read_both, same_data
from ner.registry.comparison.live import live_differences
from ner.tracking.mlflow_store import client, patience, registry_errors, upload

PREPARED, FOLDER = Path("data/prepared"), Path("reports/comparison")


def comparison(challenger: Side, champion: Side, splits: Sequence[str], params: EvaluationParams) -> dict[str, Any]:
    """Return what comparison.json holds. Raises NerError where the two have no predictions of the same data."""
    present = read_manifest(PREPARED)["fingerprint"] if (PREPARED / "manifest.json").exists() else None
    settings = {"resamples": params.resamples, "confidence": params.confidence, "seed": params.seed}
    data = same_data(challenger, champion, splits, present)
    results: dict[str, Any] = {}
    for split in splits:
        ours, theirs = read_both(challenger, champion, data, split)
        results[split] = numbers(ours, theirs, settings)
    names = challenger.name, champion.name
    first = splits[0]
    return {
        CHALLENGER: about(challenger),
        CHAMPION: about(champion),
        "fingerprint": ours.fingerprint,
        "live": live_differences(challenger.served_as, champion.served_as),
        "bootstrap": settings,
        "verdict": say(names, first, results[first], params.confidence),
        "line": one_line(names[1], first, results[first], params.confidence),
        "splits": {
            split: {"verdict": say(names, split, result, params.confidence), **result}
            for split, result in results.items()
        },
    }


def about(side: Side) -> dict[str, Any]:
    """Return the name, version and run of a model in the comparison."""
    return {"name": side.name, "short": side.short, "mlflow_run_id": side.run_id}


def numbers(ours: Predictions, theirs: Predictions, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison of a split: differences with intervals, and the sentences that only one gets right."""
    overall, by_type = compare(ours, theirs, settings)
    tags = [side.tags(side.logits) for side in (ours, theirs)]
    right = sides(*(right_sentences(ours.gold, predicted) for predicted in tags))
    support = entity_table(ours.gold)["type"].value_counts()
    units, unit = unit_numbers(ours.document_ids)
    rows = only_one_right(ours.tokens, ours.gold, *tags)
    for row in rows:
        index = row.pop("sentence")
        row |= {name: getattr(ours, f"{name}s")[index] for name in ("document_id", "sentence_id", "line")}
    return {
        "outcome": outcome(overall, tags[0] == tags[1]),
        "overall": {**overall, "support": int(support.sum())},
        "per_type": {name: {**interval, "support": int(support.get(name, 0))} for name, interval in by_type.items()},
        "unit": unit,
        "units": int(units.max(initial=-1)) + 1,
        "sentences": right,
        "p_sign": sign_test(right[CHALLENGER], right[CHAMPION]),
        "only_one_right": rows,
    }


def write(report: Mapping[str, Any], folder: Path) -> None:
    """Write the page, the text and the numbers in place of `folder`."""
    from ner.registry.comparison.page import html, markdown

    with replacing_folder(folder) as temporary:
        write_text(temporary / "comparison.html", html(report))
        write_text(temporary / "comparison.md", markdown(report))
        write_json(temporary / "comparison.json", report)


def log(report: Mapping[str, Any], challenger: Side, folder: Path) -> str:
    """Log it into the challenger's run and tag its version; returns the folder in the run. Raises RegistryError."""
    version, place = challenger.version, f"comparison/{report[CHALLENGER]['short']}-against-{report[CHAMPION]['short']}"
    with registry_errors(), patience():
        upload(client(), version.run_id, sorted(folder.iterdir()), place)
        client().set_model_version_tag(version.name, version.version, "comparison", report["line"])
    return place


def write_report(path: Path | None, content: Mapping[str, Any]) -> None:
    """Leave for the flow what it shows."""
    if path:
        write_json(path, content)


class Split(StrEnum):
    """A part of the data that two models are compared on."""

    VALIDATION = "validation"
    TEST = "test"


def main(
    challenger: Annotated[
        str, typer.Argument(help="ner/3, ner@alias, or reports: the model of this checkout.")
    ] = CHALLENGER,
    champion: Annotated[str, typer.Argument(help="The model to compare with; as above.")] = CHAMPION,
    split: Annotated[list[Split] | None, typer.Option(help="Only this split; the verdict is on the first.")] = None,
    predict: Annotated[
        bool, typer.Option("--predict", help="Predict the data first with a version that has no predictions.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Also write the comparison as JSON.")] = None,
) -> None:
    """Compare two models on the same data, and write and print the comparison."""
    params, splits = read_params(), [str(name) for name in split or Split]
    ours, theirs = (find_side(params.registry.model, reference) for reference in (challenger, champion))
    if is_same(ours, theirs):
        sentence = f"{ours.name} is both, so that there is nothing to compare."
        write_report(report, {"sentence": sentence})
        print(sentence, flush=True)
        return
    if predict:
        predict_lacking((ours, theirs), splits, params, PREPARED)
    result = comparison(ours, theirs, splits, params.evaluation)
    from ner.registry.comparison.page import markdown, terminal, text_rows

    write(result, FOLDER)
    place = log(result, ours, FOLDER) if ours.version else None
    content = {"sentence": result["verdict"], "markdown": markdown(result), "rows": text_rows(result)}
    write_report(report, {**content, "mlflow_run_id": result[CHALLENGER]["mlflow_run_id"], "place": place})
    print(f"{terminal(result)}\n\n{FOLDER / 'comparison.html'}", flush=True)
