"""The release in other formats, each scored and held against the gate like the model itself.

export(params, Path())        # models/release of a checkout -> models/export, reports/export, reports/export.json

Without formats no library of deep learning is loaded.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from ner.common.files import read_json, replacing_folder, sha256_folder, write_json, write_text
from ner.common.tables import plain_table
from ner.evaluation.gate import SPLIT, SPLITS, Champion, judge_export
from ner.params import Params
from ner.registry.release import GATE, RELEASE, read_config
from ner.registry.versions import CARD

PREPARED, EXPORTS = Path("data/prepared"), Path("models/export")
LIST = "formats.json"  # the names of the folders beside it
REPORT, PREDICTIONS = Path("reports/export.json"), Path("reports/export")
CALIBRATION_WINDOWS = 256  # of training: the range of every input
WEIGHTS = "model.safetensors"
SCORES = ("precision", "recall", "f1", "f1_strict", "accuracy")


def export(params: Params, root: Path) -> dict[str, Any]:
    """Write every format and its verdict, and return what export.json holds.

    Raises ModelError where the release cannot be written as a graph, and NerError where a report is missing.
    """
    report: dict[str, Any] = {"source": None, "formats": {}}
    formats = params.export.formats if read_json(root / GATE)["passed"] else ()
    with replacing_folder(root / EXPORTS) as models, replacing_folder(root / PREDICTIONS) as predictions:
        for folder in (models, predictions):
            write_json(folder / LIST, list(formats))  # DVC warns of an empty folder whenever it sees one
        if formats:
            report["source"] = source_digest(root / RELEASE)
            write_models(root, models, formats)
            for name in dict.fromkeys(formats):
                print(f"{name}: predicting validation and test", flush=True)
                predict_format(params, root, models / name, predictions / name)
                report["formats"][name] = judge_format(params, root, models / name, predictions / name)
                write_text(models / name / CARD, card(params.registry.model, name, report["formats"][name]))
    write_json(root / REPORT, report)
    return report


def source_digest(folder: Path) -> str:
    """Return Hex sha256 of the files that an export is made of."""
    return sha256_folder(folder, without=CARD)


def write_models(root: Path, models: Path, formats: tuple[str, ...]) -> None:
    """Make the graph once, and of it a folder for each format that ner.inference.tagger.Tagger loads."""
    from ner.export.int8 import quantize
    from ner.export.onnx_graph import write_graph
    from ner.inference.onnx import FILE, FORMAT, INT8

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
    """Return subword ids of some windows from all over the training split."""
    from ner.data.prepared import read_split
    from ner.encoding.tokenizer import MAX_LENGTH, load_tokenizer
    from ner.encoding.windows import encode_windows

    tokenizer, split = load_tokenizer(root / RELEASE), read_split(root / PREPARED, "train")
    length = read_config(root / RELEASE).get(MAX_LENGTH, min(tokenizer.model_max_length, 512))
    windows = encode_windows(tokenizer, split.tokens, split.document_ids, length)
    return [window.input_ids for window in windows[:: -(-len(windows) // CALIBRATION_WINDOWS)]]


def predict_format(params: Params, root: Path, model: Path, folder: Path) -> None:
    """Predict the splits with an exported model, as stage `predict` does with the trained one."""
    from ner.data.predict_splits import load_tagger, predict_parts
    from ner.data.predictions import write_parts
    from ner.data.prepared import read_manifest

    tagger, fingerprint = load_tagger(model, params), read_manifest(root / PREPARED)["fingerprint"]
    (folder / "predictions").mkdir(parents=True)
    for name in SPLITS:
        parts = predict_parts(tagger, root / PREPARED, name, params, fingerprint)
        write_parts(folder / "predictions" / f"{name}.parquet", parts)


def judge_format(params: Params, root: Path, model: Path, folder: Path) -> dict[str, Any]:
    """Return the entry of a format in export.json: sizes, scores, differences to the original, verdict with reasons."""
    from ner.data.predictions import read_prediction_parts, read_predictions
    from ner.evaluation.split_scores import read_outline, score_split
    from ner.evaluation.training_overlap import read_training
    from ner.inference.onnx import FILE
    from ner.registry.champion import against_champion, bootstrap_settings, compare

    metrics, own = read_json(root / "reports" / "metrics.json"), folder / "predictions"
    outlines = {name: read_outline(own, name) for name in SPLITS}
    known, shared = read_training(root / PREPARED, {name: outline.distinct for name, outline in outlines.items()})
    scored: dict[str, Any] = {name: metrics[name] for name in ("mode", "fingerprint", "bootstrap", "temperature")}
    originals: dict[str, Champion] = {}
    for name in SPLITS:
        parts = read_prediction_parts(own, name)
        scored[name] = score_split(parts, outlines[name], metrics["temperature"], [known], params.evaluation).scores
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
    """Return what export.json holds of a split."""
    return {
        **{name: scores[name] for name in SCORES},
        "interval": scores["interval"]["f1"],
        "f1_alone": scores["sentence"]["f1"],
        "per_type": {name: row["f1"] for name, row in scores["per_type"].items()},
        "difference": {**original.difference, "same_tags": original.is_same},
    }


def card(model: str, name: str, entry: dict[str, Any]) -> str:
    """Return README.md of an exported model."""
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
        "`ner.inference.tagger.Tagger.load(folder)` loads it as it does the original.\n"
    )


def table(report: dict[str, Any]) -> str:
    """Return a row a format."""
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
