"""The encoder's own tokenizer, loaded for text that is split into words, and the subwords of each token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ner.errors import ModelError

Token = list[int]  # subword ids of one token


def load_tokenizer(folder: Path | str) -> Any:
    """Load the fast tokenizer of a local folder, for text that is split into words.

    Raises ModelError where the folder has none that is fast: only those say which subword is of which token.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not tokenizer.is_fast:
        raise ModelError(f"{folder} has no fast tokenizer (tokenizer.json): choose an encoder that has one.")
    if getattr(tokenizer, "add_prefix_space", None) is False:  # byte-level BPE takes words only with a space before
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, add_prefix_space=True)
    return tokenizer


def subwords(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[list[Token]]:
    """Return subword ids of every token of every sentence; each token has at least one."""
    if not sentences:
        return []
    encoding = tokenizer(
        [list(tokens) for tokens in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        verbose=False,
    )
    result: list[list[Token]] = []
    for row, tokens in enumerate(sentences):
        pieces: list[Token] = [[] for _ in tokens]
        for subword, word in zip(encoding["input_ids"][row], encoding.word_ids(row), strict=True):
            if word is not None:
                pieces[word].append(subword)
        result.append([piece or [tokenizer.unk_token_id] for piece in pieces])
    return result


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that the tokenizer puts before and after a sequence, for example ([CLS], [SEP])."""
    bare = tokenizer(["a"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    full = tokenizer(["a"], is_split_into_words=True)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:start], full[start + len(bare) :]
