"""Keys of sentences that validation keeps in memory: some 30 bytes per sentence, whatever its length.

    keys = read_keys(batches, labels, file)
    copies = copy_places(all_keys)                     # of each split, where its documents stood before
    chunk = texts(own, others, first, last)            # the table `texts` of some sentences

Texts are compared by a hash of 64 bits: of ten million sentences two that differ would be taken for one with a
probability of one in 400,000.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ner.data.fingerprint import COMPARED_TOKENS
from ner.data.validation.profile import scripts_of

WORD_BREAK = "\t"  # between tokens, or tags, that stand in one cell: a type may have a space in its name
COLUMNS = {"document_id": np.int32, "sentence_id": np.int32, "line": np.int32, "tokens": np.int32, "text": np.uint64}


@dataclass(frozen=True)
class Keys:
    """Keys of a split.

    sentences: a row each, in the order of the file, with COLUMNS. line: 0 where it is not known; tokens: how many;
    text: their hash. tags: the distinct ones. entities: one a B- tag, by type. letters: of all tokens, by script; empty
    where nobody asked for them.
    """

    file: str
    sentences: pd.DataFrame
    tags: list[str]
    entities: dict[str, int]
    without_entity: int
    letters: dict[str, int]

    @cached_property
    def distinct(self) -> pd.DataFrame:
        """Return the sentences of COMPARED_TOKENS or more whose text stands there for the first time."""
        return self.sentences[self.sentences["tokens"] >= COMPARED_TOKENS].drop_duplicates("text")

    @cached_property
    def sentence_of_text(self) -> pd.Series:
        """Return the number of the first sentence of each distinct text, by the text's hash."""
        return pd.Series(self.distinct.index, index=self.distinct["text"])

    @cached_property
    def document_starts(self) -> pd.Series:
        """Return whether a run of sentences with one document_id begins at a sentence."""
        return self.sentences["document_id"] != self.sentences["document_id"].shift()

    def of_one_id(self) -> pd.DataFrame:
        """Return the sentences whose pair of document_id and sentence_id is not unique."""
        return self.sentences[self.sentences.duplicated(["document_id", "sentence_id"], keep=False)]

    def places(self, rows: pd.DataFrame) -> pd.Series:
        """Return where these sentences stand, with their index."""
        columns = (rows[name].to_numpy() for name in ("line", "document_id", "sentence_id"))
        return places(self.file, *columns).set_axis(rows.index)


def read_keys(batches: Iterable[pa.RecordBatch], labels: Sequence[str], file: str, with_letters: bool) -> Keys:
    """Read the keys of a split in one pass. labels: the name of each tag id; an id outside of it becomes the tag
    `#id`.
    """
    parts = [pd.DataFrame({name: np.empty(0, kind) for name, kind in COLUMNS.items()})]
    tags: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    without = 0
    for batch in batches:
        tokens, ids = batch["tokens"], batch["ner_tags"]
        text = joined(pc.fill_null(tokens.flatten(), ""), tokens, WORD_BREAK).to_numpy(dtype=object)
        columns = {name: batch[name].to_numpy(zero_copy_only=False) for name in ("document_id", "sentence_id", "line")}
        columns |= {"tokens": lengths(tokens), "text": pd.util.hash_array(text, categorize=False)}
        parts.append(pd.DataFrame(columns).astype(COLUMNS))
        names = tag_names(ids, labels)
        tags.update(names[fitting(tokens, ids)[0]].tolist())
        begins = np.array([name.startswith("B-") for name in names], bool)
        without += len(ids) - len(np.unique(np.repeat(np.arange(len(ids)), lengths(ids))[begins]))
        if with_letters:
            letters.update(_letters(tokens))
    return Keys(
        file,
        pd.concat(parts, ignore_index=True),
        tags=sorted(tags),
        entities={tag[2:]: tags[tag] for tag in sorted(tags) if tag.startswith("B-")},
        without_entity=without,
        letters=dict(letters),
    )


def _letters(tokens: pa.ListArray) -> Counter[str]:
    scripts: Counter[str] = Counter()
    for word in pc.value_counts(pc.fill_null(tokens.flatten(), "")).to_pylist():
        for script in scripts_of(word["values"]):
            scripts[script] += word["counts"]
    return scripts


def documents(keys: Keys) -> pd.DataFrame:
    """Return a row for each run of sentences of one document."""
    first = keys.sentences[keys.document_starts]
    return pd.DataFrame({"document_id": first["document_id"], "place": keys.places(first)}).reset_index(drop=True)


def copy_places(splits: Mapping[str, Keys]) -> dict[str, pd.Series]:
    """Return, for each document of each split, where the same text stood first, in this split or an earlier one."""
    parts = []
    for split, keys in splits.items():
        of_document = keys.sentences["text"].groupby(keys.document_starts.cumsum())
        text = of_document.agg(lambda hashes: hashes.to_numpy().tobytes()).to_numpy()
        parts.append(documents(keys).assign(text=text, split=split))
    every = pd.concat(parts, ignore_index=True)
    copies = every.groupby("text")["place"].transform("first").where(every.duplicated("text"))
    return {split: copies[every["split"] == split].reset_index(drop=True) for split in splits}


def texts(split: str, splits: Mapping[str, Keys], first: int, last: int) -> pd.DataFrame:
    """Return the table `texts` of the first occurrences among the sentences `first` to `last` of a split."""
    own = splits[split]
    rows = own.distinct.loc[first : last - 1]
    others = {f"also_in_{name}": _elsewhere(rows["text"], other) for name, other in splits.items() if name != split}
    return pd.DataFrame({"place": own.places(rows), **others}).reset_index(drop=True)


def _elsewhere(wanted: pd.Series, other: Keys) -> pd.Series:
    numbers = wanted.map(other.sentence_of_text).dropna()
    rows = other.sentences.loc[numbers.astype(int)]
    return other.places(rows).set_axis(numbers.index).reindex(wanted.index)


# ---- columns of parquet


def lengths(lists: pa.ListArray) -> np.ndarray:
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)


def starts(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)])


def tag_names(tags: pa.ListArray, labels: Sequence[str]) -> np.ndarray:
    ids = pc.fill_null(tags.flatten().cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    known = (ids >= 0) & (ids < len(labels))
    names = np.array(labels, dtype=object)[np.where(known, ids, 0)]
    names[~known] = [f"#{tag_id}" for tag_id in ids[~known]]
    return names


def fitting(tokens: pa.ListArray, tags: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """Return which tags have a token beside them, and the index of that token."""
    token_lengths, tag_lengths = lengths(tokens), lengths(tags)
    sentence = np.repeat(np.arange(len(tag_lengths)), tag_lengths)
    index = np.arange(len(sentence)) - starts(tag_lengths)[sentence]
    fits = index < token_lengths[sentence]
    return fits, starts(token_lengths)[sentence[fits]] + index[fits]


def joined(values: pa.Array, lists: pa.ListArray, separator: str) -> pd.Series:
    offsets = pa.array(starts(lengths(lists)), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, values.cast(pa.string())), separator).to_pandas()


def places(file: str, line: Any, documents: Any, sentences: Any, end: Any = "") -> pd.Series:
    """Return `FILE, line N`, or where the line is not known (0) `FILE, document N, sentence N` and `end`."""
    known = pd.Series(f"{file}, line " + pd.Series(line).astype(str), dtype="str")
    if (np.asarray(line) > 0).all():
        return known
    documents, sentences = (pd.Series(np.asarray(ids)).astype(str) for ids in (documents, sentences))
    return known.where(pd.Series(line) > 0, f"{file}, document " + documents + ", sentence " + sentences + end)
