"""Keys of sentences that validation keeps in memory: some 50 bytes per sentence, whatever its length.

    keys = read_keys(batches, labels, file)
    copies = copy_places(all_keys)                     # of each split, where its documents stood before
    chunk = texts(own, others, first, last)            # the table `texts` of some sentences

Texts are compared by a hash of 64 bits: of ten million sentences two that differ would be taken for one with a
probability of one in 400,000.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ner.data.fingerprint import COMPARED_TOKENS
from ner.data.validation.profile import scripts_of

WORD_BREAK = "\t"  # between tokens where two texts are compared


class Keys(NamedTuple):
    """Keys of a split. Arrays have a value per sentence, in the order of the file.

    line: 0 where it is not known. text: the hash of its tokens. distinct: those of texts of COMPARED_TOKENS or more,
    sorted, and distinct_at: the sentence where each stands first; first_of_text: the same, sorted. tags: the distinct
    ones. entities: one a B- tag, by type. letters: of all tokens, by script; empty where nobody asked for them.
    """

    file: str
    document_id: np.ndarray
    sentence_id: np.ndarray
    line: np.ndarray
    tokens: np.ndarray
    text: np.ndarray
    distinct: np.ndarray
    distinct_at: np.ndarray
    first_of_text: np.ndarray
    tags: list[str]
    entities: dict[str, int]
    without_entity: int
    letters: dict[str, int]

    def places(self, index: np.ndarray) -> pd.Series:
        return places(self.file, self.line[index], self.document_id[index], self.sentence_id[index])

    def document_starts(self) -> np.ndarray:
        """Return where each run of sentences with one document_id begins."""
        ids = self.document_id
        return np.flatnonzero(np.concatenate([np.ones(min(1, len(ids)), bool), ids[1:] != ids[:-1]]))

    def of_one_id(self) -> np.ndarray:
        """Return the sentences whose pair of document_id and sentence_id is not unique."""
        pairs = (self.document_id.astype(np.int64) << 32) | (self.sentence_id.astype(np.int64) & 0xFFFFFFFF)
        order = np.argsort(pairs, kind="stable")
        alike = pairs[order][1:] == pairs[order][:-1]
        edge = np.zeros(min(1, len(pairs)), bool)
        return np.sort(order[np.concatenate([edge, alike]) | np.concatenate([alike, edge])])


def read_keys(batches: Iterable[pa.RecordBatch], labels: Sequence[str], file: str, with_letters: bool) -> Keys:
    """Read the keys of a split in one pass. labels: the name of each tag id; an id outside of it becomes the tag
    `#id`.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("document_id", "sentence_id", "line")}
    lengths_, texts_ = [], []
    tags: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    without = 0
    for batch in batches:
        for name, parts in columns.items():
            parts.append(batch[name].to_numpy(zero_copy_only=False))
        tokens, ids = batch["tokens"], batch["ner_tags"]
        lengths_.append(lengths(tokens).astype(np.int32))
        text = joined(pc.fill_null(tokens.flatten(), ""), tokens, WORD_BREAK)
        texts_.append(pd.util.hash_array(text.to_numpy(dtype=object), categorize=False))
        names = tag_names(ids, labels)
        tag_values, counts = np.unique(names[fitting(tokens, ids)[0]].astype(str), return_counts=True)
        tags.update(dict(zip(tag_values.tolist(), counts.tolist(), strict=True)))
        begins = np.array([name.startswith("B-") for name in names], bool)
        has = np.zeros(len(ids), bool)
        has[np.repeat(np.arange(len(ids)), lengths(ids))[begins]] = True
        without += int((~has).sum())
        if with_letters:
            letters.update(_letters(tokens))
    tokens, text = _whole(lengths_, np.int32), _whole(texts_, np.uint64)
    long = np.flatnonzero(tokens >= COMPARED_TOKENS)
    distinct, at = np.unique(text[long], return_index=True)
    return Keys(
        file,
        **{name: _whole(parts, np.int32) for name, parts in columns.items()},
        tokens=tokens,
        text=text,
        distinct=distinct,
        distinct_at=long[at],
        first_of_text=np.sort(long[at]),
        tags=sorted(tags),
        entities={tag[2:]: tags[tag] for tag in sorted(tags) if tag.startswith("B-")},
        without_entity=without,
        letters=dict(letters),
    )


def _whole(parts: list[np.ndarray], kind: Any) -> np.ndarray:
    return np.concatenate([np.empty(0, kind), *parts])


def _letters(tokens: pa.ListArray) -> Counter[str]:
    scripts: Counter[str] = Counter()
    for word in pc.value_counts(pc.fill_null(tokens.flatten(), "")).to_pylist():
        for script in scripts_of(word["values"]):
            scripts[script] += word["counts"]
    return scripts


def documents(keys: Keys) -> pd.DataFrame:
    """Return a row for each run of sentences of one document."""
    starts = keys.document_starts()
    return pd.DataFrame({"document_id": keys.document_id[starts], "place": keys.places(starts)})


def copy_places(splits: Mapping[str, Keys]) -> dict[str, pd.Series]:
    """Return, for each document of each split, where the same text stood first, in this split or an earlier one."""
    first: dict[bytes, tuple[str, int]] = {}
    places = {}
    for split, keys in splits.items():
        starts = keys.document_starts()
        copies: list[str | None] = [None] * len(starts)
        for number, part in enumerate(np.split(keys.text, starts[1:]) if len(starts) else []):
            digest = hashlib.blake2b(part.tobytes(), digest_size=16).digest()
            other, index = first.setdefault(digest, (split, int(starts[number])))
            if (other, index) != (split, starts[number]):
                copies[number] = splits[other].places(np.array([index])).iloc[0]
        places[split] = pd.Series(copies, dtype="str")
    return places


def texts(split: str, splits: Mapping[str, Keys], first: int, last: int) -> pd.DataFrame:
    """Return the table `texts` of the first occurrences among the sentences `first` to `last` of a split."""
    own = splits[split]
    index = own.first_of_text[slice(*np.searchsorted(own.first_of_text, [first, last]))]
    table = {"place": own.places(index).to_numpy()}
    for name, other in splits.items():
        if name != split:
            table[f"also_in_{name}"] = _elsewhere(own.text[index], other)
    return pd.DataFrame(table)


def _elsewhere(wanted: np.ndarray, other: Keys) -> pd.Series:
    places = pd.Series([None] * len(wanted), dtype="str")
    if len(other.distinct):
        at = np.minimum(np.searchsorted(other.distinct, wanted), len(other.distinct) - 1)
        same = np.flatnonzero(other.distinct[at] == wanted)
        places.iloc[same] = other.places(other.distinct_at[at[same]]).to_numpy()
    return places


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
    documents, sentences = (pd.Series(np.asarray(one)).astype(str) for one in (documents, sentences))
    return known.where(pd.Series(line) > 0, f"{file}, document " + documents + ", sentence " + sentences + end)
