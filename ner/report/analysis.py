"""Error analysis: each mistake, suspected annotations, figures, and one page with it all.

analyse(Path("reports"))        # writes reports/mistakes, label_issues.csv, figures and report.html
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ner.common.escaping import in_spreadsheet
from ner.common.files import read_json, replacing_folder, write_text
from ner.common.tables import plain_table
from ner.data.entities import entity_table, mark_correct
from ner.data.predictions import Predictions, read_predictions
from ner.errors import NerError
from ner.evaluation.error_analysis import CATEGORIES, mistakes
from ner.report.drawing import SPLITS, write_figures
from ner.report.figures import FIGURES
from ner.report.label_issues import COLUMNS, find_label_issues, line_of, ranked
from ner.report.report_page import Findings, render

TABLES = {  # and their columns that are text, also where they read "NA" or "1"
    "history": (),
    "loss": (),
    "slices": ("split", "slice", "value"),
    "documents": ("split",),
    "thresholds": ("split",),
    "reliability": ("split", "temperature"),
    "confusion": ("split", "gold", "predicted"),
}
SAME = ["category", "gold_text", "gold_type", "predicted_text", "predicted_type"]  # of mistakes that are one, repeated
SCHEMA = pa.schema(
    [
        ("frequency", pa.int64()),
        *((name, pa.string()) for name in ("category", "wrong", "gold_text", "gold_type", "predicted_text")),
        ("predicted_type", pa.string()),
        ("score", pa.float64()),
        *((name, pa.int64()) for name in ("document_id", "sentence_id", "line")),
        *((f"{side}_{edge}", pa.int64()) for side in ("gold", "predicted") for edge in ("start", "end")),
        ("sentence", pa.string()),
    ]
)


def analyse(reports: Path) -> dict[str, Any]:
    """Write all of it into `reports`; return the mistakes of each split and the suspected annotations as tables.

    Raises NerError where the output of an earlier stage is missing.
    """
    metrics = read_json(reports / "metrics.json")
    tables = {name: read_table(reports / f"{name}.csv", words) for name, words in TABLES.items()}
    splits = {name: read_predictions(reports / "predictions", name) for name in SPLITS}
    temperature = metrics["temperature"]
    by_split = {name: mistakes_table(predictions, temperature) for name, predictions in splits.items()}
    issues = [find_label_issues(name, predictions, temperature) for name, predictions in splits.items()]
    issue_table = ranked(pd.concat(issues, ignore_index=True))
    with replacing_folder(reports / "mistakes") as folder:
        for name, table in by_split.items():
            rows = pa.Table.from_pandas(table, SCHEMA, preserve_index=False)
            pq.write_table(rows.replace_schema_metadata(None), folder / f"{name}.parquet")
    write_text(reports / "label_issues.csv", issues_csv(issue_table))
    findings = Findings(
        metrics=metrics,
        training=read_json(reports / "training.json"),
        tables=tables,
        mistakes=by_split,
        label_issues=issue_table,
        tokens={name: dict(zip(p.sentence_ids, p.tokens, strict=True)) for name, p in splits.items()},
        figures=write_figures(reports / "figures", metrics, tables, FIGURES),
    )
    write_text(reports / "report.html", render(findings))
    return {"mistakes": by_split, "label_issues": issue_table}


def mistakes_table(predictions: Predictions, temperature: float) -> pd.DataFrame:
    """Return a row per mistake with the columns of SCHEMA: the most frequent first, then the most confident, then in
    order.

    frequency: mistakes of the split that are the same in SAME. score: that of the predicted entity; of a missed one,
    the mean probability of the tags that the model chose on its words. line: of the mistake's first token.
    """
    confidences = predictions.by_sentence(predictions.probabilities(temperature).max(-1))
    gold, predicted = entity_table(predictions.gold), predictions.entities(temperature)
    mark_correct(gold, predicted)
    table = mistakes(gold, predicted)
    sentences = table["sentence"].to_list()
    for side in ("gold", "predicted"):
        spans = zip(sentences, table[f"{side}_start"], table[f"{side}_end"], strict=True)
        table[f"{side}_text"] = [None if pd.isna(a) else " ".join(predictions.tokens[i][a:b]) for i, a, b in spans]
    missed = zip(sentences, table["gold_start"], table["gold_end"], table["score"], strict=True)
    table["score"] = [float(np.mean(confidences[i][a:b])) if pd.isna(score) else score for i, a, b, score in missed]
    first = table[["gold_start", "predicted_start"]].min(axis=1)
    table["line"] = [line_of(predictions, i, int(token)) for i, token in zip(sentences, first, strict=True)]
    table["document_id"] = [predictions.document_ids[i] for i in sentences]
    table["sentence_id"] = [predictions.sentence_ids[i] for i in sentences]
    table["sentence"] = [" ".join(predictions.tokens[i]) for i in sentences]
    table["frequency"] = table.groupby(SAME, dropna=False)["category"].transform("size").astype(int)
    table = table.sort_values(["frequency", "score"], ascending=False, kind="stable", ignore_index=True)
    return table[SCHEMA.names]


def issues_csv(table: pd.DataFrame) -> str:
    """Return the suspected annotations as CSV for spreadsheets: text of the corpus in it is no formula."""
    shown = table[COLUMNS].assign(**{name: table[name].map(in_spreadsheet) for name in ("text", "sentence")})
    return shown.to_csv(index=False, lineterminator="\n")


def read_table(path: Path, words: Collection[str]) -> pd.DataFrame:
    """Read a CSV file of an earlier stage, all columns but `words` as numbers. Raises NerError where it is missing."""
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
    except FileNotFoundError:
        raise NerError(f"{path} is missing: run `dvc repro`, which makes it.") from None
    return table.assign(**{name: pd.to_numeric(table[name]) for name in table if name not in words})


def summary(done: dict[str, Any]) -> str:
    """Return a summary for the terminal: mistakes by category and split, and the number of suspected annotations."""
    rows = [["mistakes", *SPLITS]]
    counts = {split: table["category"].value_counts() for split, table in done["mistakes"].items()}
    rows += [[f"  {name}", *(f"{counts[split].get(name, 0):,}" for split in SPLITS)] for name in CATEGORIES]
    rows.append(["  all", *(f"{len(done['mistakes'][split]):,}" for split in SPLITS)])
    suspected = done["label_issues"]["split"].value_counts()
    rows.append(["label issues", *(f"{suspected.get(split, 0):,}" for split in SPLITS)])
    return plain_table(rows)
