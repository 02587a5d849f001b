"""Two models on the same data: which one is better, by how much, and which sentences only one of them gets right.

Run     python -m tasks.compare                 (challenger against champion; make compare)
        python -m tasks.compare ner/3 ner/2     (any two versions: ner/3 or 3, ner@alias or the alias)
        python -m tasks.compare reports         (the model of this checkout, registered or not, against the champion)
        --predict                               (lets whichever version lacks that predict data/prepared first)
        --split test                            (both splits by default; the verdict is on the first one given)
Reads   predictions/ in the MLflow runs of both, or reports/predictions; params.yaml [registry.model, evaluation]
Writes  reports/comparison: comparison.html, .md, .json and difference.png; the same into the challenger's MLflow run,
        as comparison/3-against-2, and a line into the tag `comparison` of its version
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.comparison import CHALLENGER, CHAMPION, one_line, only_one_right, outcome, right_sentences, sides, sign_test
from ner.comparison import verdict as say
from ner.entities import entity_table, unit_numbers
from ner.gate import SPLITS
from ner.params import EvaluationParams
from tasks.champion import compare
from tasks.cli import run_stage
from tasks.comparison_figure import PICTURE
from tasks.comparison_page import html, markdown, terminal, text_rows
from tasks.figures import write_figures
from tasks.io import read_params, replacing_folder, write_json, write_text
from tasks.predictions import Predictions
from tasks.prepared import read_manifest
from tasks.sides import Side, find_side, is_same, predict_lacking, read_both, same_data
from tasks.store import client, patience, registry_errors, upload

PREPARED, FOLDER = Path("data/prepared"), Path("reports/comparison")


def comparison(challenger: Side, champion: Side, splits: Sequence[str], params: EvaluationParams) -> dict[str, Any]:
    """What comparison.json holds. Raises NerError where the two have no predictions of the same data."""
    present = read_manifest(PREPARED)["fingerprint"] if (PREPARED / "manifest.json").exists() else None
    settings = {"resamples": params.resamples, "confidence": params.confidence, "seed": params.seed}
    data = same_data(challenger, champion, splits, present)
    found: dict[str, Any] = {}
    for split in splits:
        ours, theirs = read_both(challenger, champion, data, split)
        found[split] = numbers(ours, theirs, settings)
    names = challenger.name, champion.name
    first = splits[0]
    return {
        CHALLENGER: about(challenger),
        CHAMPION: about(champion),
        "fingerprint": ours.fingerprint,
        "bootstrap": settings,
        "verdict": say(names, first, found[first], params.confidence),
        "line": one_line(names[1], first, found[first], params.confidence),
        "splits": {
            split: {"verdict": say(names, split, told, params.confidence), **told} for split, told in found.items()
        },
    }


def about(side: Side) -> dict[str, Any]:
    """Who a side is."""
    return {"name": side.name, "short": side.short, "mlflow_run_id": side.run_id}


def numbers(ours: Predictions, theirs: Predictions, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison of a split: the differences with their intervals, and the sentences that only one gets right."""
    overall, by_type = compare(ours, theirs, settings)
    tags = [side.tags(side.logits) for side in (ours, theirs)]
    right = sides(*(right_sentences(ours.gold, found) for found in tags))
    support = entity_table(ours.gold)["type"].value_counts()
    units, unit = unit_numbers(ours.document_ids)
    rows = only_one_right(ours.tokens, ours.gold, *tags)
    for row in rows:
        index = row.pop("sentence")
        row |= {name: getattr(ours, f"{name}s")[index] for name in ("document_id", "sentence_id", "line")}
    return {
        "outcome": outcome(overall, tags[0] == tags[1]),
        "overall": {**overall, "support": int(support.sum())},
        "per_type": {name: {**said, "support": int(support.get(name, 0))} for name, said in by_type.items()},
        "unit": unit,
        "units": int(units.max(initial=-1)) + 1,
        "sentences": right,
        "p_sign": sign_test(right[CHALLENGER], right[CHAMPION]),
        "only_one_right": rows,
    }


def write(found: Mapping[str, Any], folder: Path) -> None:
    """Write the page, the text, the numbers and the picture in place of `folder`."""
    with replacing_folder(folder) as temporary:
        (picture,) = write_figures(temporary / "figures", dict(found), {}, {"difference": PICTURE})
        picture = picture.replace(temporary / picture.name)
        (temporary / "figures").rmdir()
        write_text(temporary / "comparison.html", html(found, picture))
        write_text(temporary / "comparison.md", markdown(found))
        write_json(temporary / "comparison.json", found)


def log(found: Mapping[str, Any], challenger: Side, folder: Path) -> str:
    """Log it into the challenger's run and tag its version; returns the folder in the run. Raises RegistryError."""
    version, place = challenger.version, f"comparison/{found[CHALLENGER]['short']}-against-{found[CHAMPION]['short']}"
    with registry_errors(), patience():
        upload(client(), version.run_id, sorted(folder.iterdir()), place)
        client().set_model_version_tag(version.name, version.version, "comparison", found["line"])
    return place


def report(path: Path | None, told: Mapping[str, Any]) -> None:
    """Leave for the flow what it shows."""
    if path:
        write_json(path, told)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.compare", description="Compare two models on the same data.")
    parser.add_argument("challenger", nargs="?", default=CHALLENGER, help="ner/3, ner@alias, or `reports`")
    parser.add_argument("champion", nargs="?", default=CHAMPION, help="the other one")
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=list(SPLITS), help="default: both")
    parser.add_argument("--predict", action="store_true", help="let a version that has not predict data/prepared first")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write what the flow shows as JSON")
    arguments = parser.parse_args()
    params = read_params()
    named = arguments.challenger, arguments.champion
    challenger, champion = (find_side(params.registry.model, reference) for reference in named)
    if is_same(challenger, champion):
        sentence = f"{challenger.name} is both, so that there is nothing to compare."
        report(arguments.report, {"sentence": sentence})
        print(sentence, flush=True)
        return
    if arguments.predict:
        predict_lacking((challenger, champion), arguments.split, params, PREPARED)
    found = comparison(challenger, champion, arguments.split, params.evaluation)
    write(found, FOLDER)
    place = log(found, challenger, FOLDER) if challenger.version else None
    told = {"sentence": found["verdict"], "markdown": markdown(found), "rows": text_rows(found)}
    report(arguments.report, {**told, "mlflow_run_id": found[CHALLENGER]["mlflow_run_id"], "place": place})
    print(f"{terminal(found)}\n\n{FOLDER / 'comparison.html'}", flush=True)


if __name__ == "__main__":
    run_stage("compare", main)
