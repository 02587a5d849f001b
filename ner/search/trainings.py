"""Trainings beside the main one, each in a folder of its own: one that was killed goes on, one that is done is kept.

    folder = training_folder(params, prepared, base, Path("checkpoints/seeds"))
    scores = kept_result(params, folder, "seed 43", train, score)    # train: calls train_once

No library of deep learning is loaded before something is trained or scored.
"""

import gc
import hashlib
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ner.common.files import read_json, sha256_file, write_json
from ner.common.stages import read_stages, written
from ner.errors import ParamsError
from ner.params import Params

OWN = ("ner/search/seeds.py", "ner/search/trainings.py", "tasks/seeds.py")  # of stage seeds; neither train nor score
ROOT = Path(__file__).resolve().parents[2]
Tags = list[list[str]]


def check_one_process(params: Params, what: str) -> None:
    """Raise ParamsError where several processes would train. what: `a sweep`, for example."""
    if params.train.processes > 1:
        raise ParamsError(
            f"params.yaml, train.processes: {what} trains in one process; set it to 1, not {params.train.processes}."
        )


def training_folder(params: Params, prepared: Path, base: Path, parent: Path) -> Path:
    """Return the folder of one training, named by data, encoder, code and parameters (with the seed)."""
    from ner.data.prepared import read_manifest
    from ner.training.checkpoints import checkpoint_key

    return parent / f"{checkpoint_key(params, read_manifest(prepared)['fingerprint'], base)}-{training_code()[:8]}"


def training_code() -> str:
    """Return Hex sha256 of the code that shapes the weights."""
    return code_of("train")


@cache
def code_of(stage: str, without: tuple[str, ...] = ()) -> str:
    """Return Hex sha256 of the code that dvc.yaml names as dependencies of a stage, with all files of a folder."""
    stages = read_stages(ROOT)
    outs = [out for other in stages.values() for out in written(other)]
    deps = [Path(dep) for dep in stages[stage]["deps"] if dep not in without]
    code = [ROOT / dep for dep in deps if not any(dep.is_relative_to(out) for out in outs)]
    files = [file for path in code for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    sources = [file for file in files if file.is_file() and "__pycache__" not in file.parts]
    return hashlib.sha256("".join(map(sha256_file, sources)).encode()).hexdigest()


def kept_result(
    params: Params, folder: Path, title: str, train: Callable[[], Path], score: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """Return what `score` makes of the model that `train` gives; of it all no more than that and the reports stay.

    What a killed run has left in `folder` is not done again. A result by another scorer, or of what was predicted with
    other parameters, is.
    """
    result = folder / "result.json"
    scorer = f"{code_of('seeds', without=OWN)} {params.prediction.model_dump_json()}"
    known = read_json(result) if result.exists() else {}
    if known.pop("scored_by", None) == scorer:
        print(f"{title}: scored before, in {result}", flush=True)
        return known
    model = train()
    print(f"{title}: scoring", flush=True)
    scores = score(model)
    write_json(result, {**scores, "scored_by": scorer})
    remove_weights(folder)
    return scores


def train_once(params: Params, prepared: Path, base: Path, folder: Path, title: str, log: Any = None) -> Path:
    """Return folder/model, trained unless a killed run has come so far; its reports are in folder/reports."""
    from ner.tracking.training_log import TrainingLog
    from ner.training.run import train

    model, reports = folder / "model", folder / "reports"
    if model.exists() and (reports / "training.json").exists():  # the latter is what a training writes last
        print(f"{title}: trained before, in {model}", flush=True)
        return model
    print(f"{title}: training", flush=True)
    train(params, prepared, base, model, folder / "checkpoints", log or TrainingLog(reports))
    gc.collect()  # a Trainer refers to itself: without this its weights and moments are still there with the next one's
    return model


def remove_weights(folder: Path) -> None:
    """Remove the model and the checkpoints of a training."""
    gc.collect()
    for left in ("model", "checkpoints"):
        shutil.rmtree(folder / left, ignore_errors=True)


def predicted_tags(tagger: Any, prepared: Path, name: str, params: Params) -> tuple[Tags, Tags]:
    """Return gold and predicted tags of a split, read in the context that the model was trained in."""
    from ner.common.progress import on_progress
    from ner.data.prepared import read_split, to_tags
    from ner.inference.decoding import best_tags

    split = read_split(prepared, name)
    documents = split.document_ids if params.encoding.context == "document" else None
    logits = tagger.logits(split.tokens, documents, on_progress(name, " windows"))
    predicted = to_tags([best_tags(rows, tagger.labels) for rows in logits], tagger.labels)
    return to_tags(split.tag_ids, tagger.labels), predicted
