"""Statistics of a corpus: entity counts, a fingerprint of its content, and how much its splits share."""

import hashlib
from collections.abc import Iterable, Sequence
from math import fsum

SPLITS = ("train", "validation", "test")
COMPARED_TOKENS = 5  # between splits; a shorter sentence ("London 1996-08-28") repeats by chance


class Fingerprint:
    """The sha256 over the tokens and tags of every split, whatever the file format they came in; splits in order.

    Two mirrors of one corpus have the same fingerprint even where one of them lost the document boundaries. Canonical
    form: `split NAME`, then a line `token TAB tag` a token and an empty line a sentence, joined by LF, in UTF-8.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def begin(self, split: str) -> None:
        self._digest.update(f"split {split}\n".encode())

    def add(self, tokens: Sequence[str], tags: Sequence[str]) -> None:
        """Add the next sentence of the split that was begun last."""
        lines = "".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True))
        self._digest.update(f"{lines}\n".encode())

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def label_drift(counts: dict[str, int], reference: dict[str, int]) -> float:
    """Return the total variation distance, 0 to 1, between two distributions of entity types; 1 where one has no
    entities.

    Source: half the L1 distance of the two relative frequencies.
    """
    total, reference_total = sum(counts.values()), sum(reference.values())
    if not total or not reference_total:
        return 0.0 if total == reference_total else 1.0
    types = counts.keys() | reference.keys()
    # exact, so in whatever order a set of names comes
    return fsum(abs(counts.get(t, 0) / total - reference.get(t, 0) / reference_total) for t in types) / 2


def distinct_sentences(sentences: Iterable[Sequence[str]]) -> set[bytes]:
    """Return a 128-bit hash of each distinct sentence of COMPARED_TOKENS or more."""
    return {_digest(tokens) for tokens in sentences if len(tokens) >= COMPARED_TOKENS}


def _digest(tokens: Sequence[str]) -> bytes:
    return hashlib.blake2b("\0".join(tokens).encode("utf-8", "surrogatepass"), digest_size=16).digest()
