"""Upper case for an encoder that was pretrained on lower case: two extra entries (Capitalised, UPPER CASE) for each
piece.

The tokenizer of an uncased encoder throws the main sign of a name away. Here each piece of its WordPiece vocabulary
gets two twins, one with a capital first letter and one in capitals, and the tokenizer no longer lower-cases: a word in
lower case, in capitals or with a first capital is cut as before, only into twins. The embedding of a twin is that of
its piece plus a vector that all pieces of its kind share, which starts at zero and is learnt in fine-tuning.

    tokenizer, twins = read_case(tokenizer)
    add_twins(model, twins)         # before training
    merge_twins(model)              # after it

Merged, the sums are an ordinary embedding matrix, so that anyone's `from_pretrained` loads tokenizer and model, and
neither reads more subwords than before. What is mixed (iPhone, McGrath) may be cut into more pieces.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ner.encoding.tokenizer import rewritten

LOWER, CAPITAL, UPPER = range(3)  # kinds of pieces


@dataclass(frozen=True)
class Twins:
    """The entries of a vocabulary and their upper-case copies (twins), by their ids.

    plain: for each id that of the piece whose embedding it has; kinds: LOWER, CAPITAL or UPPER. As long as each other.
    """

    plain: list[int]
    kinds: list[int]


def is_uncased(tokenizer: Any) -> bool:
    """Whether it is a WordPiece tokenizer, as BERT's, that lower-cases."""
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    normalizer = settings.get("normalizer") or {}
    return settings["model"]["type"] == "WordPiece" and bool(normalizer.get("lowercase"))


def read_case(tokenizer: Any) -> tuple[Any, Twins]:
    """Return a cased tokenizer, made of one for which is_uncased holds, and the plain piece of each new piece.

    Accents are taken off as before. Ids of old pieces stay.
    """
    twins: list[Twins] = []

    def change(settings: dict[str, Any], config: dict[str, Any]) -> None:
        strips = settings["normalizer"].get("strip_accents") is not False
        settings["normalizer"] |= {"lowercase": False, "strip_accents": strips}
        config |= {"do_lower_case": False, "strip_accents": strips}
        added = {token["content"]: token["id"] for token in settings["added_tokens"]}
        twins.append(_extend(settings["model"]["vocab"], added))

    return rewritten(tokenizer, change), twins[0]


def _extend(vocabulary: dict[str, int], added: dict[str, int]) -> Twins:
    """Add the twins to the vocabulary in the order of the ids, behind those of the added tokens, which have none."""
    plain = list(range(max(*vocabulary.values(), *added.values()) + 1))
    kinds = [LOWER] * len(plain)
    for piece, index in sorted(vocabulary.items(), key=lambda item: item[1]):
        if piece in added or (piece.startswith("[") and piece.endswith("]") and len(piece) > 1):
            continue
        for twin, kind in _written(piece):
            if twin not in vocabulary and twin not in added:
                vocabulary[twin] = len(plain)
                plain.append(index)
                kinds.append(kind)
    return Twins(plain, kinds)


def _written(piece: str) -> Iterator[tuple[str, int]]:
    """Yield the other spellings of a piece; a piece within a word has no capital of its own, only capitals."""
    prefix = "##" if piece.startswith("##") and len(piece) > 2 else ""
    letters = piece.removeprefix(prefix)
    ways = (
        [(letters.upper(), UPPER)]
        if prefix
        else [(letters[0].upper() + letters[1:], CAPITAL), (letters.upper(), UPPER)]
    )
    for way, kind in ways:
        if way.lower() == letters != way:
            yield prefix + way, kind


class CaseEmbedding(nn.Module):
    """Embeddings of a vocabulary with twins: row of the plain piece plus the vector of the kind."""

    def __init__(self, words: nn.Embedding, twins: Twins) -> None:
        super().__init__()
        self.words = words
        self.plain: torch.Tensor
        self.kinds: torch.Tensor
        self.case = nn.Parameter(torch.zeros(2, words.embedding_dim))
        self.register_buffer("plain", torch.tensor(twins.plain), persistent=False)
        self.register_buffer("kinds", torch.tensor(twins.kinds), persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return vectors [..., hidden] of ids [...]."""
        vectors = torch.cat([self.case.new_zeros(1, self.case.shape[1]), self.case])
        return self.words(self.plain[ids]) + nn.functional.embedding(self.kinds[ids], vectors)

    def merged(self) -> nn.Embedding:
        """Return an ordinary embedding with the same values."""
        with torch.no_grad():
            everything = torch.arange(len(self.plain), device=self.case.device)
            return nn.Embedding.from_pretrained(self(everything), freeze=False, padding_idx=self.words.padding_idx)


def add_twins(model: Any, twins: Twins) -> None:
    """Replace the model's word embeddings by a CaseEmbedding."""
    model.set_input_embeddings(CaseEmbedding(model.get_input_embeddings(), twins))


def merge_twins(model: Any) -> None:
    """Replace the CaseEmbedding by the summed embeddings; without twins nothing changes."""
    embedding = model.get_input_embeddings()
    if isinstance(embedding, CaseEmbedding):
        model.set_input_embeddings(embedding.merged())
        model.config.vocab_size = len(embedding.plain)
