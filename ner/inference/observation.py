"""What monitoring keeps of a prediction: counts and confidences, and no text; it travels with the model.

    reading = Reading(tagger, Vocabulary.read(folder))       # stands in the tagger's place
    answers = annotate(reading, inputs)
    reading.observations(answers)                             # a dict an input, KEYS

A version that was registered with its reference (stage `reference`) has the words of its training as hashes.
"""

import base64
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = "reference.json"  # beside the model's files
OBSERVED = "observed"  # key of an answer where NER_OBSERVE is set
SURE = 0.9  # a token whose tag is less probable counts as unsure
BITS_A_WORD = 32  # so that one unseen word in 32 at most passes for a seen one
COUNTS = ("tokens", "sentences", "letters", "subwords", "unseen", "capitals", "unsure")
KEYS = (*COUNTS, "confidence", "types", "scores")
_DIGITS = str.maketrans("0123456789", "0000000000")


@dataclass(frozen=True)
class Vocabulary:
    """The words of the training data, digits normalised: a bitmap of their hashes (Bloom, 1970, with one hash).

    bits: a power of two of them. No word can be read off it, but whoever has it can try words.
    """

    bits: bytes

    @classmethod
    def of(cls, words: Iterable[str]) -> "Vocabulary":
        """Return the vocabulary of `words`."""
        hashes = {zlib.crc32(word.translate(_DIGITS).encode("utf-8", "replace")) for word in words}
        size = 1 << max(10, math.ceil(math.log2(BITS_A_WORD * max(len(hashes), 1))))
        flags = np.zeros(size, bool)
        flags[[hashed & (size - 1) for hashed in hashes]] = True
        return cls(np.packbits(flags).tobytes())

    def unseen(self, words: Iterable[str]) -> int:
        """Return how many of the words are not in the vocabulary."""
        bits, mask, count = self.bits, 8 * len(self.bits) - 1, 0
        for word in words:
            place = zlib.crc32(word.translate(_DIGITS).encode("utf-8", "replace")) & mask
            count += not bits[place >> 3] & (128 >> (place & 7))
        return count

    def to_text(self) -> str:
        """Return the vocabulary as JSON holds it."""
        return base64.b64encode(zlib.compress(self.bits, 9)).decode()

    @classmethod
    def from_text(cls, text: str) -> "Vocabulary":
        return cls(zlib.decompress(base64.b64decode(text)))

    @classmethod
    def read(cls, folder: Path | str) -> "Vocabulary | None":
        """Return the vocabulary of a model folder; None where the model was packaged without a reference."""
        path = Path(folder) / REFERENCE
        return cls.from_text(json.loads(path.read_text(encoding="utf-8"))["vocabulary"]) if path.is_file() else None


class Reading:
    """A tagger for one call of ner.inference.annotate, which remembers the probabilities of each input."""

    def __init__(self, tagger: Any, vocabulary: Vocabulary | None) -> None:
        self.labels, self._tagger, self._vocabulary = tagger.labels, tagger, vocabulary
        self.language = getattr(tagger, "language", "en")
        self._read: dict[int, list[tuple[Sequence[str], np.ndarray]]] = {}

    def predict(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]:
        """Return the tagger's probabilities. document_ids: the number of the input that each sentence belongs to."""
        probabilities = self._tagger.predict(sentences, document_ids, progress)
        for index, tokens, rows in zip(document_ids or (), sentences, probabilities, strict=True):
            self._read.setdefault(index, []).append((tokens, rows))
        return probabilities

    def observations(self, answers: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Return a dict with KEYS for each input. answers: all its entities, as annotate gives them."""
        observations = []
        sentences_read = [tokens for parts in self._read.values() for tokens, _ in parts]
        lengths = iter(_lengths(self._tagger.tokenizer, sentences_read))
        subwords = {index: sum(next(lengths) for _ in parts) for index, parts in self._read.items()}
        for index, entities in enumerate(answers):
            parts = self._read.get(index, [])
            sentences = [tokens for tokens, _ in parts]
            sure = np.concatenate([rows.max(-1) for _, rows in parts]) if parts else np.empty(0)
            observations.append(_observe(sentences, sure, entities, subwords.get(index, 0), self._vocabulary))
        return observations


def observe(
    sentences: Sequence[Sequence[str]],
    sure: np.ndarray,
    entities: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    vocabulary: Vocabulary | None,
) -> dict[str, Any]:
    """Return the observation of one text, a dict with KEYS.

    sentences: its tokens; sure: how probable the best tag of each token is, [n_tokens]; entities: each with type and
    score. confidence: the mean of `sure`, None of nothing. unseen: None without a vocabulary.
    """
    return _observe(sentences, sure, entities, sum(_lengths(tokenizer, sentences)), vocabulary)


def _observe(
    sentences: Sequence[Sequence[str]],
    sure: np.ndarray,
    entities: Sequence[Mapping[str, Any]],
    subwords: int,
    vocabulary: Vocabulary | None,
) -> dict[str, Any]:
    tokens = [token for sentence in sentences for token in sentence]
    return {
        "tokens": len(tokens),
        "sentences": len(sentences),
        "letters": sum(map(len, tokens)),
        "subwords": subwords,
        "unseen": vocabulary.unseen(tokens) if vocabulary else None,
        "capitals": sum(token != token.lower() for token in tokens),
        "unsure": int((sure < SURE).sum()),
        "confidence": round(float(sure.mean()), 6) if len(sure) else None,
        "types": dict(sorted(Counter(str(entity["type"]) for entity in entities).items())),
        "scores": [round(float(entity["score"]), 4) for entity in entities],
    }


def _lengths(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[int]:
    """Return how many subwords each sentence has."""
    words = [list(tokens) for tokens in sentences]
    if not any(words):
        return [0] * len(words)
    encoding = tokenizer(words, is_split_into_words=True, add_special_tokens=False, verbose=False)
    return list(map(len, encoding["input_ids"]))
