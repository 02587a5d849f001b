"""The stored predictions of a split, which stage `predict` writes and every later stage reads, so that inference runs
once.

predictions = read_predictions(Path("reports/predictions"), "validation")       # or read_prediction_parts
probabilities = predictions.probabilities(temperature)      # [n_tokens, n_labels] of the whole split
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ner.data.entities import entity_table
from ner.data.prepared import to_lists
from ner.errors import NerError
from ner.inference.decoding import best_tags
from ner.inference.probability import softmax

LISTS, LOGITS = ("document_id", "sentence_id", "line", "tokens", "gold"), ("logits_document", "logits_alone")
FOLD = "fold"  # column of cross-validated predictions, from 0
ABOUT = ("labels", "context", "fingerprint")
PRECISION = "precision"  # beside them; not in files that were written before it was kept
PART = 5_000  # sentences: of a part that is scored
AGAIN = "run `dvc repro predict`, which makes it again"


@dataclass(frozen=True)
class Predictions:
    """Predictions of one split. Lists have a value per sentence; logits have a row per token, sentences one after the
    other.

    logits_document: sentences read with their neighbours; logits_alone: each by itself. Both float32 [n_tokens,
    n_labels]. context: which of them the model was trained for. precision: in which they were computed, bf16 or fp32;
    None where nobody knows. line: of the sentence's first token in the file that
    the corpus came from.
    """

    document_ids: list[int]
    sentence_ids: list[int]
    lines: list[int]
    tokens: list[list[str]]
    gold: list[list[str]]
    logits_document: np.ndarray
    logits_alone: np.ndarray
    labels: list[str]
    context: str
    fingerprint: str
    precision: str | None = None

    @property
    def logits(self) -> np.ndarray:
        """The logits that the model is judged by: in the context of its training."""
        return self.logits_document if self.context == "document" else self.logits_alone

    @property
    def words(self) -> int:
        """The number of tokens of the split."""
        return sum(map(len, self.tokens))

    def gold_ids(self) -> np.ndarray:
        """Return the label id of each token, [n_tokens]."""
        ids = {label: index for index, label in enumerate(self.labels)}
        return np.array([ids[tag] for tags in self.gold for tag in tags], int)

    def tags(self, logits: np.ndarray) -> list[list[str]]:
        """Return the best valid tags, by sentence (ner.inference.decoding); the temperature does not change them."""
        return [[self.labels[tag] for tag in best_tags(part, self.labels)] for part in self.by_sentence(logits)]

    def probabilities(self, temperature: float) -> np.ndarray:
        """Return calibrated probabilities of `logits`, float32 [n_tokens, n_labels]."""
        return softmax(self.logits, temperature)

    def entities(self, temperature: float) -> pd.DataFrame:
        """Return the predicted entities with their scores (ner.data.entities.entity_table)."""
        probabilities = self.by_sentence(self.probabilities(temperature))
        return entity_table(self.tags(self.logits), probabilities, self.labels)

    def by_sentence(self, rows: np.ndarray) -> list[np.ndarray]:
        """Split an array with a row per token into one per sentence."""
        return np.split(rows, np.cumsum([len(tokens) for tokens in self.tokens])[:-1]) if self.tokens else []


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write parquet: the lists as columns, the logits of a sentence as one list of n_tokens x n_labels numbers."""
    write_parts(path, [predictions])


def write_parts(path: Path, parts: Iterable[Predictions]) -> tuple[int, int]:
    """Write one split that comes in parts, one of them in memory at a time, and return its number of sentences and
    tokens.
    """
    writer, sentences, tokens = None, 0, 0
    try:
        for part in parts:
            table = _table(part)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            sentences, tokens = sentences + len(part.tokens), tokens + part.words
    finally:
        if writer:
            writer.close()
    return sentences, tokens


def _table(predictions: Predictions) -> pa.Table:
    about = {name: getattr(predictions, name) for name in (*ABOUT, PRECISION)}
    table = pa.table(
        {
            "document_id": predictions.document_ids,
            "sentence_id": predictions.sentence_ids,
            "line": predictions.lines,
            "tokens": pa.array(predictions.tokens, pa.list_(pa.string())),
            "gold": pa.array(predictions.gold, pa.list_(pa.string())),
            "predicted": pa.array(predictions.tags(predictions.logits), pa.list_(pa.string())),
            "predicted_alone": pa.array(predictions.tags(predictions.logits_alone), pa.list_(pa.string())),
            "logits_document": _lists(predictions.logits_document, predictions.tokens),
            "logits_alone": _lists(predictions.logits_alone, predictions.tokens),
        }
    )
    return table.replace_schema_metadata({"ner": json.dumps(about, ensure_ascii=False)})


def read_predictions(folder: Path, split: str) -> Predictions:
    """Return the predictions of one split. Raises NerError where the file is missing, not parquet, or not written by
    `predict`.
    """
    path = folder / f"{split}.parquet"
    with _readable(path):
        return _predictions(pq.read_table(path, columns=[*LISTS, *LOGITS]))


def read_prediction_parts(folder: Path, split: str, size: int = PART) -> Iterator[Predictions]:
    """Yield the predictions in parts of at most `size` sentences; at least one, maybe empty. Raises what
    read_predictions raises.
    """
    with _readable(folder / f"{split}.parquet"):
        for table in read_columns(folder, split, (*LISTS, *LOGITS), size):
            yield _predictions(table)


def read_about(folder: Path, split: str) -> dict[str, Any]:
    """Return `labels`, `context`, `fingerprint` and `precision` of the predictions. Raises what read_predictions
    raises.
    """
    path = folder / f"{split}.parquet"
    with _readable(path):
        return _about(pq.read_schema(path))


def read_folds(folder: Path, split: str) -> np.ndarray | None:
    """Return the fold of each sentence, whose model has not seen it; None of predictions that are not
    cross-validated. Raises what read_predictions raises.
    """
    path = folder / f"{split}.parquet"
    with _readable(path):
        return pq.read_table(path, columns=[FOLD])[FOLD].to_numpy() if FOLD in pq.read_schema(path).names else None


def write_pooled(path: Path, folds: Sequence[Path]) -> None:
    """Write the predictions of each fold as one file, its sentences in the order of their ids, with their FOLD."""
    tables = [pq.read_table(fold) for fold in folds]
    columns = [pa.array([number] * len(table), pa.int32()) for number, table in enumerate(tables)]
    pool = pa.concat_tables(t.append_column(FOLD, own) for t, own in zip(tables, columns, strict=True))
    pq.write_table(pool.sort_by("sentence_id"), path)


def read_columns(folder: Path, split: str, columns: Sequence[str], size: int = PART) -> Iterator[pa.Table]:
    """Yield some columns as they are on the disk, in the parts of read_prediction_parts; raises what that raises."""
    path = folder / f"{split}.parquet"
    with _readable(path), pq.ParquetFile(path) as file:
        _about(file.schema_arrow)
        if not file.metadata.num_rows:
            yield file.schema_arrow.empty_table().select(columns)
        for batch in file.iter_batches(size, columns=list(columns)):
            yield pa.Table.from_batches([batch]).select(columns)


def read_logits(folder: Path, split: str, size: int = PART) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the logits [n_tokens, n_labels] that the model is judged by, and the gold label ids [n_tokens], in
    parts.
    """
    about = read_about(folder, split)
    column = "logits_document" if about["context"] == "document" else "logits_alone"
    with _readable(folder / f"{split}.parquet"):
        for table in read_columns(folder, split, (column, "gold"), size):
            yield _rows(table[column], len(about["labels"])), _label_ids(table["gold"], about["labels"])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn any error of reading a file into a NerError of one sentence."""
    try:
        yield
    except FileNotFoundError:
        raise NerError(f"{path} is missing: run `dvc repro predict`, which makes it.") from None
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise NerError(f"{path} cannot be read ({str(error).splitlines()[0]}): {AGAIN}.") from None


def _about(schema: pa.Schema) -> dict[str, Any]:
    about = json.loads(schema.metadata[b"ner"])
    return {name: about[name] for name in ABOUT} | {PRECISION: about.get(PRECISION)}


def _predictions(table: pa.Table) -> Predictions:
    about = _about(table.schema)
    ids, texts = LISTS[:3], LISTS[3:]
    return Predictions(
        *(table[name].to_pylist() for name in ids),
        *(to_lists(table[name]) for name in texts),
        *(_rows(table[name], len(about["labels"])) for name in LOGITS),
        **about,
    )


def _label_ids(tags: pa.ChunkedArray, labels: Sequence[str]) -> np.ndarray:
    flat = tags.combine_chunks().flatten().dictionary_encode()
    ids = np.array([labels.index(tag) for tag in flat.dictionary.to_pylist()], int)
    return ids[flat.indices.to_numpy()]


def _lists(rows: np.ndarray, tokens: Sequence[Sequence[str]]) -> pa.LargeListArray:
    ends = np.cumsum([0, *(len(sentence) * rows.shape[1] for sentence in tokens)])
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), pa.array(rows.reshape(-1), pa.float32()))


def _rows(column: pa.ChunkedArray, labels: int) -> np.ndarray:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, labels)
