"""The flat tables that stage `validate` checks: Great Expectations does not read list cells.

table      a row for                                        columns beside `place`
split      the split                                        parquet_sha256, entities, label_drift; with a profile
                                                            drift_from_profile, entities_a_100_tokens,
                                                            sentences_without_entity, letters_of_new_scripts
tokens     each token                                       token, tag, token_chars, type (where an entity begins)
sentences  each sentence                                    document_id, sentence_id, sentence_tokens, sentence_tags,
                                                            tags
documents  each run of sentences of one document            document_id, copy_of
texts      each distinct sentence of 5 tokens or more       also_in_{split} for each other split
annotations  each annotated entity, where ingestion says    not_kept: the reason, none where it was kept
           what it could not keep (problems.csv)

`place` says where a row comes from, `train.txt, line 17`. Words of the corpus are in `tokens`, and in reasons.

The large ones, CHUNKED, are made of CHUNK sentences at a time, so that no split is ever whole in memory: of each
sentence there are its keys (ner/data/validation/sentence_keys.py), and a row a document.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ner.common.files import sha256_file
from ner.data.fingerprint import label_drift
from ner.data.prepared import PROBLEMS
from ner.data.sources.type_map import LEFT_OUT
from ner.data.validation.sentence_keys import (
    WORD_BREAK,
    Keys,
    copy_places,
    documents,
    fitting,
    joined,
    lengths,
    places,
    read_keys,
    starts,
    tag_names,
    texts,
)
from ner.errors import NerError

COLUMNS = ["document_id", "sentence_id", "line", "tokens", "ner_tags"]
CHUNK = 20_000  # sentences
CHUNKED = ("tokens", "sentences", "texts")

Tables = dict[str, pd.DataFrame]


class Prepared(NamedTuple):
    """One split as ingestion wrote it."""

    path: Path
    about: dict[str, Any]  # its entry in the manifest
    parquet_sha256: str  # of the file as it is now

    def batches(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows, `size` at a time. Raises NerError where the file cannot be read."""
        try:
            with pq.ParquetFile(self.path) as file:
                yield from file.iter_batches(size, columns=COLUMNS)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from None


def read_prepared(folder: Path, manifest: dict[str, Any]) -> dict[str, Prepared]:
    """Return the splits that the manifest names, in its order; an expectation checks that the files are the manifest's.

    Raises NerError where one is missing, or is no parquet file with the columns that ingestion writes.
    """
    splits = {}
    for split, about in manifest["splits"].items():
        path = folder / about["parquet"]
        try:
            missing = set(COLUMNS) - set(pq.read_schema(path).names)
            splits[split] = Prepared(path, about, sha256_file(path))
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None
        if missing:
            raise _unreadable(path, f"no column {', '.join(sorted(missing))}")
    return splits


def _unreadable(path: Path, error: Any) -> NerError:
    reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
    return NerError(f"{path} {reason}: run `dvc repro ingest`, which makes it again.")


def read_annotations(folder: Path, manifest: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the table `annotations` of each split that the manifest's reading describes; of divided files it is
    train's.

    Raises NerError where problems.csv is missing, or lists another number of entities than the manifest.
    """
    reading = {split: about for split, about in (manifest.get("reading") or {}).items() if about.get("entities_in")}
    if not reading:
        return {}
    listed = _listed(folder / PROBLEMS)
    tables: dict[str, list[pd.DataFrame]] = {}
    for key, about in reading.items():
        rows, lost = listed.get(key, []), about["entities_in"] - about["entities"]
        if len(rows) != lost:
            raise NerError(
                f"{folder / PROBLEMS} lists {len(rows):,} entities of {key}, the manifest says {lost:,}: "
                "run `dvc repro ingest`, which makes both again."
            )
        places, reasons = [place for place, _ in rows], [None if LEFT_OUT in reason else reason for _, reason in rows]
        blanks = [""] * about["entities"]
        table = pd.DataFrame(
            {"not_kept": [*reasons, *(None for _ in blanks)], "place": [*places, *blanks]}, dtype="object"
        )
        split = key.rpartition("/")[2]  # of a join CORPUS/SPLIT
        tables.setdefault(split if split in manifest["splits"] else "train", []).append(table)
    return {split: pd.concat(parts, ignore_index=True) for split, parts in tables.items()}


def _listed(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Return place and reason of each entity that was left out, by split key."""
    entities: dict[str, list[tuple[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["kind"] == "entity":
                    entities.setdefault(row["split"], []).append((f"{row['file']}, {row['place']}", row["reason"]))
    except (OSError, KeyError) as error:
        raise NerError(f"{path} cannot be read ({error}): run `dvc repro ingest`, which makes it again.") from None
    return entities


class SplitTables:
    """The tables of one split. small: those that are whole in memory. sizes: rows of each, in a report's order."""

    def __init__(self, split: str, data: Prepared, labels: list[str], keys: dict[str, Keys], size: int) -> None:
        self.split, self.data, self.labels, self.keys, self.size = split, data, labels, keys, size
        own = keys[split]
        self.small: Tables = {"documents": documents(own)}
        self.sizes = {
            "tokens": int(own.sentences["tokens"].sum()),
            "sentences": len(own.sentences),
            "documents": len(self.small["documents"]),
            "texts": len(own.distinct),
            "split": 1,
        }

    def add(self, name: str, table: pd.DataFrame) -> None:
        """Add one more small table."""
        self.small[name], self.sizes[name] = table, len(table)

    def chunks(self) -> Iterator[Tables]:
        """Yield the tables CHUNKED, `size` sentences at a time; at least once, even without rows."""
        done = 0
        for batch in self.data.batches(self.size):
            yield self._of(batch, done)
            done += len(batch)
        if not done:
            schema = pq.read_schema(self.data.path)
            yield self._of(pa.record_batch([pa.array([], schema.field(c).type) for c in COLUMNS], COLUMNS), 0)

    def _of(self, batch: pa.RecordBatch, first: int) -> Tables:
        return _rows(batch, self.labels, self.data.about["file"]) | {
            "texts": texts(self.split, self.keys, first, first + len(batch))
        }

    def summaries(self) -> Tables:
        """Return small tables on which the expectations of a whole chunked table hold just as well.

        tokens: each distinct tag once. sentences: one row, as long as they are on average. ids: the sentences whose id
        others have too.
        """
        own = self.keys[self.split]
        twice = own.of_one_id()
        return {
            "tokens": pd.DataFrame({"tag": pd.Series(own.tags, dtype="str"), "place": ""}),
            "sentences": pd.DataFrame({"sentence_tokens": [own.sentences["tokens"].mean()], "place": [""]}),
            "ids": twice[["document_id", "sentence_id"]].assign(place=own.places(twice)),
        }


def build_tables(
    splits: dict[str, Prepared], labels: list[str], profile: dict[str, Any] | None = None, size: int = CHUNK
) -> dict[str, SplitTables]:
    """Return the tables of every split but `annotations`.

    labels: the name of each tag id; an id outside of it becomes the tag `#id`. profile: of the source's first delivery.
    size: sentences that are in memory at a time.
    """
    keys = {
        split: read_keys(data.batches(size), labels, data.about["file"], profile is not None)
        for split, data in splits.items()
    }
    tables = {split: SplitTables(split, data, labels, keys, size) for split, data in splits.items()}
    copies, reference = copy_places(keys), keys["train"].entities
    for split, own in tables.items():
        own.small["documents"]["copy_of"] = copies[split]
        counts = keys[split].entities
        facts = (splits[split].parquet_sha256, sum(counts.values()), label_drift(counts, reference))
        table = pd.DataFrame([facts], columns=["parquet_sha256", "entities", "label_drift"])
        table = table.assign(place=splits[split].about["parquet"])
        own.add("split", table.assign(**_beside(profile, keys[split])) if profile else table)
    return tables


def split_tables(
    prepared: Path, manifest: dict[str, Any], profile: dict[str, Any] | None, size: int = CHUNK
) -> dict[str, SplitTables]:
    """Return the tables of every split."""
    tables = build_tables(read_prepared(prepared, manifest), manifest["labels"], profile, size)
    for split, annotations in read_annotations(prepared, manifest).items():
        tables[split].add("annotations", annotations)
    return tables


def _beside(profile: dict[str, Any], own: Keys) -> dict[str, float]:
    """Return the columns of the table `split` that compare a split with its source's profile."""
    usual = {name: about["entities"] for name, about in profile["types"].items()}
    letters, tokens = sum(own.letters.values()), int(own.sentences["tokens"].sum())
    new = sum(count for script, count in own.letters.items() if script not in profile["scripts"])
    return {
        "drift_from_profile": label_drift(own.entities, usual),
        "entities_a_100_tokens": 100 * sum(own.entities.values()) / max(1, tokens),
        "sentences_without_entity": own.without_entity / max(1, len(own.sentences)),
        "letters_of_new_scripts": new / letters if letters else 0.0,
    }


def _rows(batch: pa.RecordBatch, labels: list[str], file: str) -> Tables:
    """Return the tables `tokens` and `sentences` of some rows."""
    tokens, tags = batch["tokens"], batch["ner_tags"]
    names, line = tag_names(tags, labels), batch["line"].to_numpy(zero_copy_only=False)
    sentences = pd.DataFrame(
        {
            "document_id": batch["document_id"].to_numpy(zero_copy_only=False),
            "sentence_id": batch["sentence_id"].to_numpy(zero_copy_only=False),
            "sentence_tokens": lengths(tokens),
            "sentence_tags": lengths(tags),
            "tags": joined(pa.array(names, pa.string()), tags, WORD_BREAK),
        }
    )
    sentences["place"] = places(file, line, sentences["document_id"], sentences["sentence_id"])
    return {"tokens": _tokens(tokens, tags, names, sentences, line, file), "sentences": sentences}


def _tokens(
    tokens: pa.ListArray, tags: pa.ListArray, names: np.ndarray, sentences: pd.DataFrame, line: np.ndarray, file: str
) -> pd.DataFrame:
    """Return a row per token. A token without a tag has none; a tag without a token has no row: `sentences` counts
    both.
    """
    sizes = lengths(tokens)
    sentence = np.repeat(np.arange(len(sizes)), sizes)
    index = np.arange(len(sentence)) - starts(sizes)[sentence]
    fits, where = fitting(tokens, tags)
    tag = np.full(len(sentence), None, dtype=object)
    tag[where] = names[fits]
    token = pc.fill_null(tokens.flatten(), "").to_pandas().astype("str")
    token_line = np.where(line[sentence] > 0, line[sentence] + index, 0)
    documents, ids = (sentences[name].to_numpy()[sentence] for name in ("document_id", "sentence_id"))
    place = places(file, token_line, documents, ids, ", token " + pd.Series(index).astype(str))
    tag = pd.Series(tag, dtype="str")
    types = tag.where(tag.str.startswith("B-", na=False), None).str.removeprefix("B-")
    return pd.DataFrame({"token": token, "tag": tag, "token_chars": token.str.len(), "type": types, "place": place})
