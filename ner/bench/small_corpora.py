"""What the chosen recipe makes of little data, beside the plain script of `ner bench-training`: F1, its interval, time.

Run     python -m ner.bench.small_corpora --train 20 --validation 40 --test 60 [--seed 43] [--but epochs=10]
Reads   data/prepared, models/base, models/base.json, params.yaml
Writes  reports/experiments/small_corpora.csv, a row a training as it ends; checkpoints/small_corpora while it runs

Taken are the first documents of each split, or sentences where no document is known. What has a row is not trained
again, and a killed training of ours goes on from its checkpoint. Of the plain trainings (batch and epochs) the one with
the best F1 on validation is scored on test, and no other is; nor is a recipe that differs (`--but`).
"""

import csv
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml

from ner.common.cli import run_stage
from ner.common.files import PARAMS, read_json, read_params, write_text
from ner.common.tables import to_csv
from ner.data.entities import entity_table, mark_correct, sentence_counts, unit_numbers
from ner.data.prepared import read_manifest, read_split, to_tags
from ner.data.subset import first_of
from ner.params import Params
from ner.tracking.training_log import TrainingLog, cpu_seconds

CSV, WORK = Path("reports/experiments/small_corpora.csv"), Path("checkpoints/small_corpora")
CELL = ["training data", "encoder", "recipe", "seed"]
HEAD = [*CELL, "epochs", "validation F1", "test F1", "95 % interval", "seconds", "processor seconds"]
CHOSEN, PLAIN = "chosen (auto)", "plain Trainer, batch {}, {} epochs"
PLAINS = ["8,3", "8,10", "8,20", "16,3", "16,10", "16,20"]
RATE = 5e-5  # of the plain script
Row = dict[str, str]


class Silent(TrainingLog):
    """Keeps how a training went, and tells MLflow nothing."""

    def __init__(self, reports: Path) -> None:
        super().__init__(reports, live=False)
        self.epochs = 0

    def write(self, log_history: list[dict[str, Any]], weights: str | None = None, kept: int | None = None) -> None:
        self.epochs = sum("eval_f1" in entry for entry in log_history)


@dataclass(frozen=True)
class Cell:
    """A corpus, an encoder and a seed. part: a folder like data/prepared; work: for models and checkpoints."""

    part: Path
    base: Path
    params: Params
    work: Path
    table: Path

    @property
    def names(self) -> Row:
        manifest = read_manifest(self.part)
        about, encoder = manifest["splits"]["train"], read_json(self.base.with_suffix(".json"))["name"]
        documents = f"{about['documents']} documents, " if 1 < about["documents"] < about["sentences"] else ""
        data = f"{Path(manifest['source']).name}, {documents}{about['sentences']} sentences"
        return {"training data": data, "encoder": encoder, "seed": str(self.params.train.seed)}

    def rows(self, recipe: str = "", whole: bool = False) -> list[Row]:
        """Return the rows of this cell whose recipe begins like that. whole: those of every cell."""
        if not self.table.exists():
            return []
        with self.table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        own = self.names.items()
        return [row for row in rows if whole or (row.items() >= own and row["recipe"].startswith(recipe))]

    def once(self, recipe: str, train: Callable[[], Row]) -> None:
        """Train unless there is a row, and add it."""
        if any(row["recipe"] == recipe for row in self.rows(recipe)):
            return
        wall, cpu = time.monotonic(), cpu_seconds()
        row = train()
        used = {"seconds": f"{time.monotonic() - wall:.0f}", "processor seconds": f"{cpu_seconds() - cpu:.0f}"}
        self.write({**self.names, "recipe": recipe, **used, **row})

    def write(self, row: Row) -> None:
        """Add a row, or replace the one of the same recipe."""
        rows, key = self.rows(whole=True), [row[name] for name in CELL]
        place = next((at for at, old in enumerate(rows) if [old[name] for name in CELL] == key), len(rows))
        rows[place : place + 1] = [row]
        write_text(self.table, to_csv(HEAD, [[each.get(name, "") for name in HEAD] for each in rows]))
        print(", ".join(row.get(name, "") for name in HEAD), flush=True)

    def chosen(self) -> Row:
        """Train by the recipe that params.yaml stands for, and return its epochs and F1."""
        from ner.training.run import train

        log, model = Silent(self.work / "reports"), self.work / "chosen"
        train(self.params, self.part, self.base, model, self.work / "checkpoints", log)
        return {"epochs": str(log.epochs), "validation F1": self.f1(model, "validation")[0]}

    def plain(self, batch: int, epochs: int) -> Row:
        """Train by the plain script, and return F1 on validation."""
        from transformers import set_seed

        from ner.bench.training_contenders import plain_trainer

        set_seed(self.params.train.seed)
        written = {"per_device_train_batch_size": batch, "num_train_epochs": epochs, "learning_rate": RATE}
        seed = {"seed": self.params.train.seed}
        trainer = plain_trainer(self.base, self.part, self.params, self.work / "scratch", **written, **seed)
        trainer.train()
        model = self.work / f"plain-{batch}-{epochs}"
        trainer.save_model(str(model))
        return {"epochs": str(epochs), "validation F1": self.f1(model, "validation", alone=True)[0]}

    def f1(self, model: Path, split: str, alone: bool = False) -> tuple[str, str]:
        """Return F1 of a model on a split, and its interval. alone: each sentence, the best tag of each token."""
        from ner.evaluation.bootstrap import f1, interval, resampled
        from ner.inference.decoding import best_tags
        from ner.inference.tagger import Tagger
        from ner.training.run import documents

        tagger, rows, evaluation = (
            Tagger.load(model, precision="auto"),
            read_split(self.part, split),
            self.params.evaluation,
        )
        logits = tagger.logits(rows.tokens, None if alone else documents(rows, self.params.encoding))
        ids = [scores.argmax(-1).tolist() if alone else best_tags(scores, tagger.labels) for scores in logits]
        labels = read_manifest(self.part)["labels"]
        gold, predicted = entity_table(to_tags(rows.tag_ids, labels)), entity_table(to_tags(ids, tagger.labels))
        mark_correct(gold, predicted)
        counts, (units, _) = sentence_counts(gold, predicted, len(ids)), unit_numbers(rows.document_ids)
        by_unit = np.stack([np.bincount(units, counts[:, kind]) for kind in range(3)], -1)
        low, high = interval(f1(resampled(by_unit, evaluation.resamples, evaluation.seed)), evaluation.confidence)
        return f"{float(f1(by_unit.sum(0))):.4f}", f"{low:.4f} to {high:.4f}"


def changed(params: Params, seed: int, written: Sequence[str]) -> Params:
    """Return the parameters with a seed and with what is written as key=value of `train` or `encoding`."""
    blocks: dict[str, dict[str, Any]] = {"train": {"seed": seed}, "encoding": {}}
    for key, _, value in (text.partition("=") for text in written):
        blocks["encoding" if key in type(params.encoding).model_fields else "train"][key] = yaml.safe_load(value)
    return Params.model_validate({**(known := params.model_dump()), **{k: {**known[k], **blocks[k]} for k in blocks}})


def run(cell: Cell, plains: Sequence[str], but: Sequence[str]) -> None:
    """Add the rows that are not there yet; then the row of ours, and that of the best plain one, get F1 on test."""
    if but:
        return cell.once(f"chosen, but {', '.join(but)}", cell.chosen)
    cell.once(CHOSEN, cell.chosen)
    for batch, epochs in (map(int, plain.split(",")) for plain in plains):
        cell.once(PLAIN.format(batch, epochs), partial(cell.plain, batch, epochs))
    best = max(cell.rows("plain"), key=lambda row: float(row["validation F1"]), default=None)
    ours = cell.rows(CHOSEN)[0]
    for row, name in ((ours, "chosen"), (best, "plain-{}-{}")):
        if row and not row["test F1"]:
            numbers = [word for word in row["recipe"].replace(",", "").split() if word.isdigit()]
            f1, low_high = cell.f1(cell.work / name.format(*numbers), "test", alone=name != "chosen")
            cell.write({**row, "test F1": f1, "95 % interval": low_high})
    shutil.rmtree(cell.work, ignore_errors=True)


def main(
    train: Annotated[int, typer.Option(help="First documents of training, or sentences; 0: all.")] = 20,
    validation: Annotated[int, typer.Option(help="Likewise of validation.")] = 40,
    test: Annotated[int, typer.Option(help="Likewise of test.")] = 60,
    seed: Annotated[int, typer.Option(help="train.seed")] = 42,
    plain: Annotated[list[str] | None, typer.Option(help="Batch and epochs of a plain training: 8,10.")] = None,
    but: Annotated[
        list[str] | None, typer.Option(help="Another recipe: epochs=10; scored on validation alone.")
    ] = None,
    prepared: Annotated[Path, typer.Option(help="The prepared corpus.")] = Path("data/prepared"),
    base: Annotated[Path, typer.Option(help="The encoder.")] = Path("models/base"),
) -> None:
    """Train ours and the plain script on the first documents, and add their rows to the table."""
    from transformers import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    params = changed(read_params(Path(PARAMS)), seed, but or ())
    encoder = read_json(base.with_suffix(".json"))["name"]
    work = WORK / f"{read_manifest(prepared)['fingerprint'][:8]}-{train}-{encoder}-{seed}{'-'.join(['', *(but or ())])}"
    part = first_of(prepared, work / "part", {"train": train, "validation": validation, "test": test})
    run(Cell(part, base, params, work, CSV), PLAINS if plain is None else plain, but or ())


if __name__ == "__main__":
    run_stage("small_corpora", lambda: typer.run(main))
