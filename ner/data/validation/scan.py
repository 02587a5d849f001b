"""One pass over each prepared split: all that validation, the profile and `ner new-data` know of it.

    scans = read_scans(Path("data/prepared"), manifest)
    scans["train"].place(3)                                  # where sentence 3 stands: "train.txt, line 17"

In memory stay some 40 bytes a sentence, whatever its length, and each distinct token. Texts are compared by a hash of
64 bits: of ten million sentences two that differ would be taken for one with a probability of one in 400,000.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ner.common.files import sha256_file
from ner.data.fingerprint import COMPARED_TOKENS, label_drift
from ner.data.prepared import unreadable
from ner.errors import TagError
from ner.tags import first_orphan, split_tag

BATCH = 20_000  # sentences in memory at a time
IDS = ("document_id", "sentence_id", "line")
COLUMNS = (*IDS, "tokens", "ner_tags")
OUTSIDE, BEGIN, INSIDE, NO_TAG = range(4)
KINDS = {"O": OUTSIDE, "B": BEGIN, "I": INSIDE}


class Fault(NamedTuple):
    """The first tag of a sentence that is not IOB2. token: its number in the sentence."""

    token: int
    reason: str


@dataclass
class Scan:
    """What is known of a split.

    about: its entry in the manifest. sentences: an array for each of IDS, for the number of `tokens`, `tags` and
    `entities`, and for the hash of the `text`, with a value a sentence; line 0 is not known. tokens: the distinct ones
    in the order of the file, with their `count` and the `row` of the first. tags: the same by name. A row counts the
    tokens of the split from 0. faults: by the number of the sentence.
    """

    path: Path
    about: dict[str, Any]
    parquet_sha256: str
    sentences: dict[str, np.ndarray] = field(default_factory=dict)
    tokens: pa.Table = field(default_factory=lambda: _counted(pa.array([], pa.string()), np.empty(0, np.int64)))
    tags: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: dict[int, Fault] = field(default_factory=dict)

    @property
    def entities(self) -> dict[str, int]:
        """Return the number of entities of each type."""
        return {tag[2:]: self.tags[tag][0] for tag in sorted(self.tags) if tag.startswith("B-")}

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Return the number of tokens, sentences, documents and distinct texts."""
        return {
            "tokens": int(self.sentences["tokens"].sum()),
            "sentences": len(self.sentences["tokens"]),
            "documents": len(self.documents),
            "texts": len(self.texts),
        }

    @cached_property
    def documents(self) -> np.ndarray:
        """Return the first sentence of each run of sentences that have one document_id."""
        ids = self.sentences["document_id"]
        return np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])) if len(ids) else np.empty(0, int)

    @cached_property
    def document_texts(self) -> np.ndarray:
        """Return a hash of the text of each document."""
        texts = self.sentences["text"]
        if not len(texts):
            return texts
        lengths = np.diff(np.append(self.documents, len(texts)))
        position = np.arange(len(texts)) - np.repeat(self.documents, lengths)
        return np.add.reduceat(texts * (2 * position.astype(np.uint64) + np.uint64(1)), self.documents)

    @cached_property
    def texts(self) -> np.ndarray:
        """Return the sentences of COMPARED_TOKENS or more whose text stands there for the first time."""
        long = np.flatnonzero(self.sentences["tokens"] >= COMPARED_TOKENS)
        return np.sort(long[np.unique(self.sentences["text"][long], return_index=True)[1]])

    @cached_property
    def letters(self) -> Counter[str]:
        """Return how many letters of all tokens each script has."""
        scripts: Counter[str] = Counter()
        for token, count in zip(self.tokens["token"].to_pylist(), self.tokens["count"].to_pylist(), strict=True):
            for script in scripts_of(token):
                scripts[script] += count
        return scripts

    @cached_property
    def records(self) -> pa.ChunkedArray | None:
        """Return file and record of each sentence of a corpus that is no file of lines; None for columns."""
        if "place" not in pq.read_schema(self.path).names:
            return None
        return pq.read_table(self.path, columns=["place"])["place"]

    def place(self, sentence: int, token: int = 0, name_token: bool = False) -> str:
        """Return `FILE, line N`, or the record; where neither is known `FILE, document N, sentence N`, and the token if
        asked.
        """
        if self.records is not None and (record := self.records[sentence].as_py()):
            return record + f", token {token}" * name_token
        document, number, line = (int(self.sentences[name][sentence]) for name in IDS)
        if line > 0:
            return f"{self.about['file']}, line {line + token}"
        return f"{self.about['file']}, document {document}, sentence {number}" + f", token {token}" * name_token

    def place_of_token(self, row: int) -> str:
        ends = np.cumsum(self.sentences["tokens"])
        sentence = int(np.searchsorted(ends, row, side="right"))
        return self.place(sentence, row - int(ends[sentence] - self.sentences["tokens"][sentence]), name_token=True)


def scripts_of(token: str) -> tuple[str, ...]:
    """Return the script of each letter of a token, as Unicode's names of characters begin: LATIN, CYRILLIC, CJK."""
    return tuple(
        unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0] for letter in token if letter.isalpha()
    )


def read_scans(folder: Path, manifest: dict[str, Any], size: int = BATCH) -> dict[str, Scan]:
    """Return a scan of each split that the manifest names. size: sentences that are in memory at a time.

    An id outside of the manifest's labels becomes the tag `#id`. Raises NerError where a file is missing, or is no
    parquet with the columns that ingestion writes; an expectation checks that it is the manifest's.
    """
    scans = {}
    for split, about in manifest["splits"].items():
        path = folder / about["parquet"]
        try:
            if missing := set(COLUMNS) - set(pq.read_schema(path).names):
                raise unreadable(path, f"no column {', '.join(sorted(missing))}")
            scans[split] = Scan(path, about, sha256_file(path))
            _read(scans[split], manifest["labels"], size)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(path, error) from None
    return scans


def _read(scan: Scan, labels: Sequence[str], size: int) -> None:
    parts: list[dict[str, np.ndarray]] = [
        {name: np.empty(0, np.int32) for name in (*IDS, "tokens", "tags", "entities")}
        | {"text": np.empty(0, np.uint64)}
    ]
    sentences = rows = 0
    with pq.ParquetFile(scan.path) as file:
        for batch in file.iter_batches(size, columns=list(COLUMNS)):
            tokens = batch["tokens"]
            part = {name: batch[name].to_numpy(zero_copy_only=False).astype(np.int32) for name in IDS}
            part |= {"tokens": _lengths(tokens), "tags": _lengths(batch["ner_tags"])}
            words = pc.fill_null(tokens.flatten(), "").cast(pa.string())
            joined = pc.binary_join(pa.ListArray.from_arrays(_starts(part["tokens"]), words), "\t").to_pylist()
            part["text"] = np.fromiter(map(hash, joined), np.int64, len(joined)).view(np.uint64)
            counted = _counted(words, np.arange(rows, rows + len(words)))
            scan.tokens = _summed(pa.concat_tables([scan.tokens, counted]))
            part["entities"] = _add_tags(scan, batch["ner_tags"], part, labels, sentences, rows)
            parts.append(part)
            sentences, rows = sentences + len(batch), rows + len(words)
    scan.tokens = scan.tokens.sort_by("row")
    scan.sentences = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _counted(words: pa.Array, rows: np.ndarray) -> pa.Table:
    counts = pa.array(np.ones(len(words), np.int64))
    return _summed(pa.table({"token": words, "count": counts, "row": pa.array(rows, pa.int64())}))


def _summed(table: pa.Table) -> pa.Table:
    sums = table.group_by("token").aggregate([("count", "sum"), ("row", "min")])
    return pa.table({"token": sums["token"], "count": sums["count_sum"], "row": sums["row_min"]})


def _add_tags(
    scan: Scan, tags: pa.ListArray, part: dict[str, np.ndarray], labels: Sequence[str], sentences: int, rows: int
) -> np.ndarray:
    """Count the tags that have a token beside them, note faults, and return the entities of each sentence."""
    ids = pc.fill_null(tags.flatten().cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    distinct, code = np.unique(ids, return_inverse=True)
    names = np.array([labels[i] if 0 <= i < len(labels) else f"#{i}" for i in distinct.tolist()], dtype=object)
    sentence = np.repeat(np.arange(len(part["tags"])), part["tags"])
    starts = _starts(part["tags"])
    index = np.arange(len(ids)) - starts[sentence]
    fits = np.flatnonzero(index < part["tokens"][sentence])
    which, first, counts = np.unique(code[fits], return_index=True, return_counts=True)
    places = rows + _starts(part["tokens"])[sentence[fits]] + index[fits]
    for name, place, count in zip(names[which], places[first].tolist(), counts.tolist(), strict=True):
        before, row = scan.tags.get(name, (0, place))
        scan.tags[name] = (before + count, row)
    kind, entity_type = (np.array(column, int)[code] for column in _kinds(names))
    previous = np.where(index > 0, np.roll(entity_type, 1), -1)
    wrong = (kind == NO_TAG) | ((kind == INSIDE) & (entity_type != previous))
    for number in np.unique(sentence[wrong]).tolist():
        scan.faults[sentences + number] = _fault(names[code[starts[number] : starts[number + 1]]].tolist())
    return np.bincount(sentence[kind == BEGIN], minlength=len(part["tags"])).astype(np.int32)


def _kinds(names: Iterable[str]) -> tuple[list[int], list[int]]:
    """Return the kind of each tag, and the number of its type."""
    pairs = []
    for name in names:
        try:
            prefix, entity_type = split_tag(name)
            pairs.append((KINDS[prefix], entity_type))
        except TagError:
            pairs.append((NO_TAG, name))
    types = {name: number for number, name in enumerate(dict.fromkeys(["", *(name for _, name in pairs)]), -1)}
    return [kind for kind, _ in pairs], [types[name] for _, name in pairs]


def _fault(tags: Sequence[str]) -> Fault:
    try:
        index = first_orphan(tags) or 0
    except TagError as error:
        return Fault(0, str(error))
    return Fault(index, f"{tags[index]} after {tags[index - 1] if index else 'the start of the sentence'}")


def _lengths(lists: pa.ListArray) -> np.ndarray:
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


# ---- splits beside each other


def copies(scans: Mapping[str, Scan]) -> dict[str, dict[int, str]]:
    """Return, for each split, where the same document stood first: by the number of each document that is a copy."""
    every = np.concatenate([np.empty(0, np.uint64), *(scan.document_texts for scan in scans.values())])
    _, first, inverse = np.unique(every, return_index=True, return_inverse=True)
    copy_of, done = first[inverse], 0
    ends = np.cumsum([len(scan.documents) for scan in scans.values()])
    result: dict[str, dict[int, str]] = {}
    for split, scan in scans.items():
        numbers = np.arange(done, done + len(scan.documents))
        copied = numbers[copy_of[numbers] < numbers]
        result[split] = {}
        for number in copied.tolist():
            at = int(np.searchsorted(ends, copy_of[number], side="right"))
            owner = list(scans.values())[at]
            # its number, counted from the last of its split
            result[split][number - done] = owner.place(int(owner.documents[copy_of[number] - ends[at]]))
        done += len(numbers)
    return result


def shared(own: Scan, other: Scan) -> dict[int, int]:
    """Return the sentences of a split whose text is in another one, too, each with the sentence there."""
    texts, known = own.sentences["text"][own.texts], other.sentences["text"][other.texts]
    common, here, there = np.intersect1d(texts, known, assume_unique=True, return_indices=True)
    return dict(sorted(zip(own.texts[here].tolist(), other.texts[there].tolist(), strict=True)))


def beside(own: Scan, train: Scan, profile: Mapping[str, Any] | None) -> dict[str, float]:
    """Return what compares a split with training and, where there is one, with its source's profile."""
    sizes, letters = own.sizes, own.letters if profile else Counter[str]()
    facts = {"label_drift": label_drift(own.entities, train.entities)}
    if profile is None:
        return facts
    usual = {name: about["entities"] for name, about in profile["types"].items()}
    new = sum(count for script, count in letters.items() if script not in profile["scripts"])
    without = int((own.sentences["entities"] == 0).sum())
    return facts | {
        "drift_from_profile": label_drift(own.entities, usual),
        "entities_a_100_tokens": 100 * sum(own.entities.values()) / max(1, sizes["tokens"]),
        "sentences_without_entity": without / max(1, sizes["sentences"]),
        "letters_of_new_scripts": new / letters.total() if letters else 0.0,
    }
