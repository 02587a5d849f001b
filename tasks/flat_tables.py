"""The flat tables that the expectations of stage `validate` look at: Great Expectations reads no list cells.

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
"""

import csv
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ner.corpus import COMPARED_TOKENS, label_drift
from ner.errors import NerError
from tasks.entity_types import LEFT_OUT
from tasks.io import sha256_file
from tasks.prepared import PROBLEMS
from tasks.profile import scripts_of

COLUMNS = ["document_id", "sentence_id", "line", "tokens", "ner_tags"]
LINE_BREAK, WORD_BREAK = "\n", "\t"  # between sentences and tokens where two texts are compared

Tables = dict[str, pd.DataFrame]


class Prepared(NamedTuple):
    """One split as ingestion wrote it."""

    rows: pa.Table
    about: dict[str, Any]  # its entry in the manifest
    parquet_sha256: str  # of the file as it is now


def read_prepared(folder: Path, manifest: dict[str, Any]) -> dict[str, Prepared]:
    """The splits that the manifest names, in its order. Whether a file is the manifest's is for an expectation to say.

    Raises NerError where one is missing, or is no parquet file with the columns that ingestion writes.
    """
    splits = {}
    for split, about in manifest["splits"].items():
        path = folder / about["parquet"]
        try:
            splits[split] = Prepared(pq.read_table(path, columns=COLUMNS), about, sha256_file(path))
        except (OSError, pa.ArrowException) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            raise NerError(f"{path} {reason}: run `dvc repro ingest`, which makes it again.") from None
    return splits


def read_annotations(folder: Path, manifest: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The table `annotations` of each split whose reading the manifest tells; of files that were divided it is train's.

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
        kept = [""] * about["entities"]
        table = pd.DataFrame({"not_kept": [*reasons, *(None for _ in kept)], "place": [*places, *kept]}, dtype="object")
        split = key.rpartition("/")[2]  # of a join CORPUS/SPLIT
        tables.setdefault(split if split in manifest["splits"] else "train", []).append(table)
    return {split: pd.concat(parts, ignore_index=True) for split, parts in tables.items()}


def _listed(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Place and reason of each entity that was not kept, by split key."""
    found: dict[str, list[tuple[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["kind"] == "entity":
                    found.setdefault(row["split"], []).append((f"{row['file']}, {row['place']}", row["reason"]))
    except (OSError, KeyError) as error:
        raise NerError(f"{path} cannot be read ({error}): run `dvc repro ingest`, which makes it again.") from None
    return found


def build_tables(
    splits: dict[str, Prepared], labels: list[str], profile: dict[str, Any] | None = None
) -> dict[str, Tables]:
    """The tables of every split but `annotations`.

    labels: the name of each tag id; an id outside of it becomes the tag `#id`. profile: of the source's first delivery.
    """
    tables = {split: _rows(data, labels) for split, data in splits.items()}
    _mark_copies(tables)
    for split, own in tables.items():
        own["texts"] = _texts(split, tables)
    reference = _entities(tables["train"])
    for split, own in tables.items():
        del own["sentences"]["text"], own["documents"]["digest"]  # served their purpose; no words in what is reported
        counts = _entities(own)
        facts = (splits[split].parquet_sha256, sum(counts.values()), label_drift(counts, reference))
        names = ["parquet_sha256", "entities", "label_drift"]
        own["split"] = pd.DataFrame([facts], columns=names).assign(place=splits[split].about["parquet"])
        if profile:
            own["split"] = own["split"].assign(**_beside(profile, own, counts))
    return tables


def _beside(profile: dict[str, Any], own: Tables, counts: dict[str, int]) -> dict[str, float]:
    """What a split is held against its source's profile by, columns of its table `split`."""
    usual = {name: about["entities"] for name, about in profile["types"].items()}
    tokens, tags = own["tokens"]["token"].value_counts(), own["sentences"]["tags"]
    letters = new = 0
    for token, count in tokens.items():
        scripts = scripts_of(str(token))
        letters += count * len(scripts)
        new += count * sum(script not in profile["scripts"] for script in scripts)
    return {
        "drift_from_profile": label_drift(counts, usual),
        "entities_a_100_tokens": 100 * sum(counts.values()) / max(1, len(own["tokens"])),
        "sentences_without_entity": float((~tags.str.contains("B-", regex=False)).mean()) if len(tags) else 0.0,
        "letters_of_new_scripts": new / letters if letters else 0.0,
    }


def _rows(data: Prepared, labels: list[str]) -> Tables:
    rows, file = data.rows.combine_chunks(), data.about["file"]
    tokens, tags = rows["tokens"].combine_chunks(), rows["ner_tags"].combine_chunks()
    names = _tag_names(tags, labels)
    sentences = pd.DataFrame(
        {
            "document_id": rows["document_id"].to_numpy(),
            "sentence_id": rows["sentence_id"].to_numpy(),
            "sentence_tokens": _lengths(tokens),
            "sentence_tags": _lengths(tags),
            "tags": _joined(pa.array(names), tags, " "),
            "text": _joined(pc.fill_null(tokens.flatten(), ""), tokens, WORD_BREAK),
        }
    )
    line = rows["line"].to_numpy()
    sentences["place"] = _places(file, line, sentences["document_id"], sentences["sentence_id"])
    return {
        "tokens": _tokens(tokens, tags, names, sentences, line, file),
        "sentences": sentences,
        "documents": _documents(sentences),
    }


def _lengths(lists: pa.ListArray) -> np.ndarray:
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)])


def _tag_names(tags: pa.ListArray, labels: list[str]) -> np.ndarray:
    ids = pc.fill_null(tags.flatten().cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    known = (ids >= 0) & (ids < len(labels))
    names = np.array(labels, dtype=object)[np.where(known, ids, 0)]
    names[~known] = [f"#{tag_id}" for tag_id in ids[~known]]
    return names


def _joined(values: pa.Array, lists: pa.ListArray, separator: str) -> pd.Series:
    offsets = pa.array(_starts(_lengths(lists)), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, values.cast(pa.string())), separator).to_pandas()


def _places(file: str, line: np.ndarray, documents: pd.Series, sentences: pd.Series, end: Any = "") -> pd.Series:
    """`FILE, line N`, or where the line is not known (0) `FILE, document N, sentence N` and `end`."""
    without = "document " + documents.astype(str) + ", sentence " + sentences.astype(str) + end
    return f"{file}, " + pd.Series("line " + pd.Series(line).astype(str)).where(line > 0, without)


def _tokens(
    tokens: pa.ListArray, tags: pa.ListArray, names: np.ndarray, sentences: pd.DataFrame, line: np.ndarray, file: str
) -> pd.DataFrame:
    """A row a token. A token without a tag has none; a tag without a token has no row: `sentences` counts both."""
    lengths, starts = _lengths(tokens), _starts(_lengths(tokens))
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    index = np.arange(starts[-1]) - starts[sentence]
    tag_lengths = _lengths(tags)
    tag_sentence = np.repeat(np.arange(len(tag_lengths)), tag_lengths)
    tag_index = np.arange(len(names)) - _starts(tag_lengths)[tag_sentence]
    fits = tag_index < lengths[tag_sentence]
    tag = np.full(starts[-1], None, dtype=object)
    tag[starts[tag_sentence[fits]] + tag_index[fits]] = names[fits]
    token = pc.fill_null(tokens.flatten(), "").to_pandas().astype("str")
    owner = sentences.iloc[sentence].reset_index(drop=True)
    token_line = np.where(line[sentence] > 0, line[sentence] + index, 0)
    end = ", token " + pd.Series(index).astype(str)
    place = _places(file, token_line, owner["document_id"], owner["sentence_id"], end)
    tag = pd.Series(tag, dtype="str")
    types = tag.where(tag.str.startswith("B-", na=False), None).str.removeprefix("B-")
    return pd.DataFrame({"token": token, "tag": tag, "token_chars": token.str.len(), "type": types, "place": place})


def _documents(sentences: pd.DataFrame) -> pd.DataFrame:
    run = (sentences["document_id"] != sentences["document_id"].shift()).cumsum()
    groups = sentences.groupby(run, sort=False)
    documents = groups[["document_id", "place"]].first().reset_index(drop=True)
    digests = [hashlib.sha256(LINE_BREAK.join(text).encode()).hexdigest() for _, text in groups["text"]]
    documents["digest"] = pd.Series(digests, dtype="str")
    return documents


def _mark_copies(tables: dict[str, Tables]) -> None:
    """Give `documents` the column copy_of: the place where the same text stood first, in this split or one before."""
    every = pd.concat([own["documents"][["digest", "place"]] for own in tables.values()], ignore_index=True)
    first = every.groupby("digest")["place"].transform("first")
    copy_of = first.where(every.duplicated("digest"), None)
    done = 0
    for own in tables.values():
        count = len(own["documents"])
        own["documents"]["copy_of"] = copy_of.iloc[done : done + count].to_numpy()  # by position
        done += count


def _texts(split: str, tables: dict[str, Tables]) -> pd.DataFrame:
    distinct = {name: _distinct(own["sentences"]) for name, own in tables.items()}
    texts = distinct[split]
    return pd.DataFrame(
        {"place": texts.to_numpy()}
        | {
            f"also_in_{name}": texts.index.to_series().map(found).to_numpy()
            for name, found in distinct.items()
            if name != split
        }
    )


def _distinct(sentences: pd.DataFrame) -> pd.Series:
    """The place of each text of COMPARED_TOKENS or more, indexed by the text; of repeated ones the first."""
    long = sentences[sentences["sentence_tokens"] >= COMPARED_TOKENS].drop_duplicates("text")
    return long.set_index("text")["place"]


def _entities(tables: Tables) -> dict[str, int]:
    """Entities of each type, one a B- tag."""
    tag = tables["tokens"]["tag"]
    counts = tag[tag.str.startswith("B-", na=False)].str.removeprefix("B-").value_counts()
    return {str(name): int(count) for name, count in sorted(counts.items())}
