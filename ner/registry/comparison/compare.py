"""Two models on the same data: which one is better, by how much, and which sentences only one of them gets right.

Run     ner compare                 (challenger against champion)
        ner compare ner/3 ner/2     (any two versions: ner/3 or 3, ner@alias or the alias)
        ner compare reports         (the model of this checkout, registered or not, against the champion)
Reads   predictions/ in the MLflow runs of both, or reports/predictions; params.yaml [registry.model, evaluation]
Writes  reports/comparison: comparison.html, .md and .json; the same into the challenger's MLflow run,
        as comparison/3-against-2, and a line into the tag `comparison` of its version
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.common.files import read_params, replacing_folder, write_json, write_text
from ner.data.entities import entity_table, unit_numbers
from ner.data.predictions import Predictions, read_predictions
from ner.data.prepared import read_manifest
from ner.errors import NerError, RegistryError
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
from ner.evaluation.gate import SPLIT
from ner.params import EvaluationParams, Params
from ner.registry.champion import check_same_sentences, compare, cross_validated, run_of, shown, stored_predictions
from ner.registry.comparison.live import live_differences
from ner.registry.versions import resolve
from ner.tracking.mlflow_store import client, patience, registry_errors, upload

PREPARED, FOLDER = Path("data/prepared"), Path("reports/comparison")
HERE = "reports"  # names the model of this checkout
PREDICTIONS = Path("reports/predictions")
ADVICE = "run `ner compare` with the same names and --predict (the deployment: with predict=true)"
DIGITS = 16  # of a fingerprint, in the name of the folder in a run


@dataclass(frozen=True)
class Side:
    """A model in a comparison: a registered version, or the one in reports/."""

    version: Any  # None: without one

    @property
    def name(self) -> str:
        return shown(self.version) if self.version else "the model of this checkout"

    @property
    def short(self) -> str:
        return str(self.version.version) if self.version else "checkout"

    @property
    def served_as(self) -> str:
        """Return what the server calls the version: ner/3; empty without one."""
        return f"{self.version.name}/{self.version.version}" if self.version else ""

    @property
    def run_id(self) -> str | None:
        return run_of(self.version) if self.version else None


def find_side(model: str, reference: str) -> Side:
    """Return what `ner/3`, `3`, `ner@champion`, `champion` or `reports` means. Raises RegistryError."""
    if reference == HERE:
        return Side(None)
    if reference.isdecimal():
        reference = f"{model}/{reference}"
    elif not re.search("[@/]", reference.removeprefix("models:/")):
        reference = f"{model}@{reference}"
    return Side(resolve(reference))


def is_same(side: Side, other: Side) -> bool:
    """Return whether two sides are one version."""
    return (side.version and ref(side)) == (other.version and ref(other))


def ref(side: Side) -> tuple[str, str]:
    return side.version.name, str(side.version.version)


def same_data(challenger: Side, champion: Side, splits: Sequence[str], present: str | None) -> str:
    """Return the fingerprint (its first digits) of data that both have predicted: the present data where both have."""
    both = {side.name: predicted(side, splits) for side in (challenger, champion)}
    known = [side.version.tags.get("data_fingerprint") for side in (challenger, champion) if side.version]
    wanted = [fingerprint[:DIGITS] for fingerprint in (present, *known) if fingerprint]
    for fingerprint in (*wanted, *sorted(both[challenger.name])):
        if all(fingerprint in has for has in both.values()):
            return fingerprint
    lacking = [name for name, has in both.items() if not wanted or wanted[0] not in has]
    data = f"{' and '.join(splits)} of the data with fingerprint {wanted[0] if wanted else 'unknown'}"
    raise NerError(f"there are no predictions by {' and '.join(lacking)} for {data}: {ADVICE}.")


def predicted(side: Side, splits: Sequence[str]) -> set[str]:
    """Return the fingerprints (first digits) of data whose splits a side has all predicted."""
    if side.version is None:
        return {read_predictions(PREDICTIONS, splits[0]).fingerprint[:DIGITS]}
    with registry_errors():
        store, run_id = client(), run_of(side.version)
        folders = [entry.path for entry in store.list_artifacts(run_id, "predictions") if entry.is_dir]
        names = {folder: {Path(file.path).stem for file in store.list_artifacts(run_id, folder)} for folder in folders}
    return {Path(folder).name for folder in folders if names[folder] >= set(splits)}


def read_both(challenger: Side, champion: Side, fingerprint: str, split: str) -> tuple[Predictions, Predictions]:
    """Return what both predicted of a split. Raises NerError where that cannot be read or is of other sentences."""
    ours, theirs = (
        stored_predictions(side.version, fingerprint, split, ADVICE)
        if side.version
        else read_predictions(PREDICTIONS, split)
        for side in (challenger, champion)
    )
    check_same_sentences(theirs, ours, champion.name, split, ADVICE)
    return ours, theirs


def predict_lacking(sides: Sequence[Side], splits: Sequence[str], params: Params, prepared: Path) -> None:
    """Let each version of the registry do so whose run lacks predictions of the present data, or has damaged ones.

    Raises NerError where that is validation by a version that was cross-validated: it may have learnt it.
    """
    from ner.registry.predict_version import predict_version

    present = read_manifest(prepared)["fingerprint"]
    for side in sides:
        lacking = [name for name in splits if side.version and not has_readable(side.version, present, name)]
        if SPLIT in lacking and cross_validated(side.version):
            raise NerError(
                f"{side.name} was cross-validated, so that it may have learnt {SPLIT}: compare on test "
                "(`ner compare` with --split test)."
            )
        if lacking:
            predict_version(side.version, params, prepared, lacking)


def has_readable(version: Any, fingerprint: str, split: str) -> bool:
    """Return whether predictions of that data are in a version's run and can be read. Raises RegistryError."""
    try:
        return stored_predictions(version, fingerprint, split, ADVICE).fingerprint == fingerprint
    except RegistryError:
        raise
    except NerError:
        return False


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
