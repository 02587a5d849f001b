"""Large corpora made of a small one, in CoNLL columns: for tasks/bench_growth.py.

words = read_words(Path("data/prepared"))
write_repeated(words, folder, 16)                 # the corpus 16 times; of a copy each sentence has words of its own
write_drawn(words, folder, 50_000_000)            # its tags again and again, under other words of the same tag

Exact copies would break what validation expects of a corpus (documents once, few sentences in two splits).
"""

import math
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from ner.conll import DOCSTART
from tasks.io import replacing_file
from tasks.prepared import read_manifest, read_split

FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
CHANGED = 4  # in a copy the first token of each sentence is changed, and after it one in so many
SEED = 42


class Words(NamedTuple):
    """One split: arrays with a value a token; ends: of each token, what stands between it and the next."""

    tokens: np.ndarray
    tags: np.ndarray
    begins: np.ndarray  # whether a sentence begins here
    ends: np.ndarray


def read_words(prepared: Path) -> dict[str, Words]:
    """The splits of a prepared corpus."""
    labels, found = read_manifest(prepared)["labels"], {}
    for name in FILES:
        split = read_split(prepared, name)
        sizes = np.array([len(tokens) for tokens in split.tokens])
        documents = np.array(split.document_ids)
        last = np.cumsum(sizes) - 1
        begins = np.zeros(sizes.sum(), bool)
        begins[last - sizes + 1] = True
        ends = np.full(sizes.sum(), "\n", dtype=object)
        ends[last] = "\n\n"
        ends[last[:-1][documents[1:] != documents[:-1]]] = f"\n\n{DOCSTART} O\n\n"
        tokens = np.array([token for tokens in split.tokens for token in tokens], dtype=object)
        tags = np.array([" " + labels[tag] for ids in split.tag_ids for tag in ids], dtype=object)
        found[name] = Words(tokens, tags, begins, ends)
    return found


def write_repeated(words: dict[str, Words], folder: Path, times: int) -> None:
    """The corpus so many times; the first is the corpus itself."""

    def copies(own: Words) -> Iterator[np.ndarray]:
        place = np.arange(len(own.tokens))
        for number in range(times):
            tokens = own.tokens.copy()
            if number:
                changed = own.begins | ((place + number) % CHANGED == 0)
                tokens[changed] += letters(number)
            yield tokens

    for split, name in FILES.items():
        _write(folder / name, words[split], copies(words[split]))


def write_drawn(words: dict[str, Words], folder: Path, tokens: int) -> None:
    """A corpus of so many tokens or a little more, its splits in proportion."""
    times = math.ceil(tokens / sum(len(own.tokens) for own in words.values()))
    rng = np.random.default_rng(SEED)

    def copies(own: Words) -> Iterator[np.ndarray]:
        places = [np.flatnonzero(own.tags == tag) for tag in np.unique(own.tags.astype(str))]
        for _ in range(times):
            drawn = own.tokens.copy()
            for same in places:
                drawn[same] = own.tokens[rng.choice(same, len(same))]
            yield drawn

    for split, name in FILES.items():
        _write(folder / name, words[split], copies(words[split]))


def letters(number: int) -> str:
    """A suffix for each number from 1 on: b, c, …, z, ba, bb."""
    found = ""
    while number:
        number, digit = divmod(number, len(ascii_lowercase))
        found = ascii_lowercase[digit] + found
    return found


def _write(path: Path, own: Words, copies: Iterator[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        for tokens in copies:
            stream.write(f"{DOCSTART} O\n\n")
            stream.write("".join(tokens + own.tags + own.ends))
