"""Stage `export`: the release in other formats, each scored and held against the gate like the model itself.

Run     python -m tasks.export
Reads   models/release, data/prepared, reports/predictions, reports/metrics.json, params.yaml [encoding, evaluation,
        export, gate, prediction, registry.model], and from the MLflow registry what the champion predicted
Writes  models/export/<format>: model.onnx, configuration, tokenizer, README.md;
        reports/export/<format>/predictions/{validation,test}.parquet; reports/export.json

A format that fails its gate is written and told with its reasons; `register_export` leaves it out. Without formats,
which is the default, no library of deep learning is loaded.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from ner.gate import SPLIT, SPLITS, Champion, judge_export
from ner.params import Params
from tasks.cli import run_stage
from tasks.io import read_json, read_params, replacing_folder, sha256_folder, write_json, write_text
from tasks.package import RELEASE, read_config
from tasks.registry import CARD
from tasks.tables import plain_table

PREPARED, EXPORTS = Path("data/prepared"), Path("models/export")
REPORT, PREDICTIONS = Path("reports/export.json"), Path("reports/export")
CALIBRATION_WINDOWS = 256  # of training: the range of every input, and which channels are outliers
WEIGHTS = "model.safetensors"
SCORES = ("precision", "recall", "f1", "f1_strict", "accuracy")


def export(params: Params, root: Path) -> dict[str, Any]:
    """Write every format and its verdict, and return what export.json holds.

    Raises ModelError where the release cannot be written as a graph, and NerError where a report is missing.
    """
    report: dict[str, Any] = {"source": None, "formats": {}}
    with replacing_folder(root / EXPORTS) as models, replacing_folder(root / PREDICTIONS) as predictions:
        if params.export.formats:
            report["source"] = source_digest(root / RELEASE)
            write_models(root, models, params.export.formats)
            for name in dict.fromkeys(params.export.formats):
                print(f"{name}: predicting validation and test", flush=True)
                predict_format(params, root, models / name, predictions / name)
                report["formats"][name] = judge_format(params, root, models / name, predictions / name)
                write_text(models / name / CARD, card(params.registry.model, name, report["formats"][name]))
    write_json(root / REPORT, report)
    return report


def source_digest(folder: Path) -> str:
    """Hex sha256 of the files that an export is made of."""
    return sha256_folder(folder, without=CARD)


def write_models(root: Path, models: Path, formats: tuple[str, ...]) -> None:
    """Make the graph once, and of it a folder for each format that ner.prediction.Tagger loads."""
    from ner.onnx_model import FILE, FORMAT, INT8
    from tasks.int8 import quantize
    from tasks.onnx_graph import write_graph

    release = root / RELEASE
    config = read_config(release)
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / FILE
        print("writing the model as a graph", flush=True)
        write_graph(release, graph)
        for name in dict.fromkeys(formats):
            folder = models / name
            folder.mkdir()
            for file in release.iterdir():
                if file.name not in (WEIGHTS, CARD, "config.json"):
                    shutil.copyfile(file, folder / file.name)
            write_json(folder / "config.json", dict(sorted({**config, FORMAT: name}.items())))
            if name == INT8:
                print(f"{name}: quantising", flush=True)
                quantize(graph, folder / FILE, calibration_windows(root), len(config["id2label"]))
            else:
                shutil.copyfile(graph, folder / FILE)


def calibration_windows(root: Path) -> list[list[int]]:
    """Subword ids of some windows from all over the training split."""
    from ner.encoding import encode_windows
    from ner.prediction import MAX_LENGTH, load_tokenizer
    from tasks.prepared import read_split

    tokenizer, split = load_tokenizer(root / RELEASE), read_split(root / PREPARED, "train")
    length = read_config(root / RELEASE).get(MAX_LENGTH, min(tokenizer.model_max_length, 512))
    windows = encode_windows(tokenizer, split.tokens, split.document_ids, length)
    return [window.input_ids for window in windows[:: -(-len(windows) // CALIBRATION_WINDOWS)]]


def predict_format(params: Params, root: Path, model: Path, folder: Path) -> None:
    """What `predict` does, with an exported model."""
    from tasks.predict import load_tagger, predict_parts
    from tasks.predictions import write_parts
    from tasks.prepared import read_manifest

    tagger, fingerprint = load_tagger(model, params), read_manifest(root / PREPARED)["fingerprint"]
    (folder / "predictions").mkdir(parents=True)
    for name in SPLITS:
        parts = predict_parts(tagger, root / PREPARED, name, params, fingerprint)
        write_parts(folder / "predictions" / f"{name}.parquet", parts)


def judge_format(params: Params, root: Path, model: Path, folder: Path) -> dict[str, Any]:
    """The entry of a format in export.json: sizes, scores, differences to the original, verdict with reasons."""
    from ner.onnx_model import FILE
    from tasks.champion import against_champion, bootstrap_settings, compare
    from tasks.outline import read_outline, read_training
    from tasks.predictions import read_prediction_parts, read_predictions
    from tasks.scored_split import score_split

    metrics, own = read_json(root / "reports" / "metrics.json"), folder / "predictions"
    outlines = {name: read_outline(own, name) for name in SPLITS}
    known, shared = read_training(root / PREPARED, {name: outline.distinct for name, outline in outlines.items()})
    scored: dict[str, Any] = {name: metrics[name] for name in ("mode", "fingerprint", "bootstrap", "temperature")}
    originals: dict[str, Champion] = {}
    for name in SPLITS:
        parts = read_prediction_parts(own, name)
        scored[name] = score_split(parts, outlines[name], metrics["temperature"], known, params.evaluation).scores
        scored[name]["shared_sentences"] = shared[name]
        ours = read_predictions(own, name)
        theirs = read_predictions(root / "reports" / "predictions", name)
        settings = bootstrap_settings(metrics, theirs)
        is_same = ours.tags(ours.logits) == theirs.tags(theirs.logits)
        originals[name] = Champion(
            name="fp32, safetensors",
            difference=compare(ours, theirs, settings)[0],
            confidence=settings["confidence"],
            is_same=is_same,
        )
    champion = against_champion(params.registry.model, scored, folder)
    return {
        "bytes": (model / FILE).stat().st_size,
        "original_bytes": (root / RELEASE / WEIGHTS).stat().st_size,
        **{name: headline(scored[name], originals[name]) for name in SPLITS},
        "gate": judge_export(scored, params.gate, params.export, champion, originals[SPLIT]),
    }


def headline(scores: dict[str, Any], original: Champion) -> dict[str, Any]:
    """What export.json holds of a split."""
    return {
        **{name: scores[name] for name in SCORES},
        "interval": scores["interval"]["f1"],
        "f1_alone": scores["sentence"]["f1"],
        "per_type": {name: row["f1"] for name, row in scores["per_type"].items()},
        "difference": {**original.difference, "same_tags": original.is_same},
    }


def card(model: str, name: str, entry: dict[str, Any]) -> str:
    """README.md of an exported model."""
    rows = "\n".join(
        f"| {split} | {scores['f1']:.4f} | {scores['difference']['other_f1']:.4f} | {_change(scores)} |"
        for split, scores in ((split, entry[split]) for split in SPLITS)
    )
    return (
        f"# {model}, exported as {name}\n\n"
        f"The same model in another format ({megabytes(entry['bytes'])} instead of "
        f"{megabytes(entry['original_bytes'])}), for ONNX Runtime on a CPU. What it is trained on, what it is for and "
        "under which licence, says the card of the version that it was exported from.\n\n"
        f"| split | F1 | F1 of the original | difference |\n|---|---|---|---|\n{rows}\n\n"
        "`ner.prediction.Tagger.load(folder)` loads it as it does the original.\n"
    )


def table(report: dict[str, Any]) -> str:
    """A row a format."""
    rows = [["format", "size", *(f"{split} F1" for split in SPLITS), f"difference on {SPLIT}", "gate"]]
    for name, entry in report["formats"].items():
        scores = [f"{entry[split]['f1']:.4f}" for split in SPLITS]
        verdict = "passed" if entry["gate"]["passed"] else "FAILED"
        rows.append([name, megabytes(entry["bytes"]), *scores, _change(entry[SPLIT]), verdict])
    return plain_table(rows)


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _change(scores: dict[str, Any]) -> str:
    low, high = scores["difference"]["interval"]
    return f"{scores['difference']['difference']:+.4f} ({low:+.4f} to {high:+.4f})"


def main() -> None:
    report = export(read_params(), Path())
    if not report["formats"]:
        print("export.formats is []: nothing to export", flush=True)
        return
    print(table(report), flush=True)
    for name, entry in report["formats"].items():
        for rule in entry["gate"]["rules"]:
            if not rule["passed"]:
                print(f"{name}: {rule['reason']}", flush=True)


if __name__ == "__main__":
    run_stage("export", main)
