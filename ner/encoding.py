"""Tokens to windows of subwords, and back: which sentences share a window, and which subword speaks for which token.

The first subword of a token carries its tag (the token-classification guide of the Transformers documentation does the
same). No token is ever lost: a sentence that does not fit is cut into overlapping pieces, each token being read in the
piece where it has the most context; a token with no subword gets the unknown one; one longer than a window is cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ner.errors import ParamsError

IGNORED = -100  # the index that cross-entropy leaves out

Token = list[int]  # subword ids of one token


@dataclass(frozen=True)
class Window:
    """One input of the encoder.

    input_ids: subword ids, special tokens included; at most max_length.
    positions: for each token read in this window, the index in input_ids of its first subword.
    The windows of a corpus, in order, read every token once and in order.
    """

    input_ids: list[int]
    positions: list[int]


def encode_windows(
    tokenizer: Any, sentences: Sequence[Sequence[str]], document_ids: Sequence[int] | None, max_length: int
) -> list[Window]:
    """Pack sentences into windows.

    sentences: tokens of each sentence; document_ids: one a sentence, and neighbours of equal id share a window where
    they fit; None gives each sentence its own. Raises ParamsError where max_length leaves no room for a token or is
    more than the encoder has positions for.
    """
    prefix, suffix = special_tokens(tokenizer)
    room = max_length - len(prefix) - len(suffix)
    if room < 1 or max_length > tokenizer.model_max_length:
        raise ParamsError(
            f"params.yaml, encoding.max_length: {max_length} does not suit this encoder, which takes "
            f"{len(prefix) + len(suffix) + 1} to {tokenizer.model_max_length} subwords."
        )
    windows = []
    for tokens, owned in _pack(subwords(tokenizer, sentences), document_ids, room):
        ids, positions = list(prefix), []
        for index, token in enumerate(tokens):
            if index in owned:
                positions.append(len(ids))
            ids.extend(token)
        windows.append(Window(ids + suffix, positions))
    return windows


def subwords(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[list[Token]]:
    """Subword ids of every token of every sentence; each token has at least one."""
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
    """Ids that the tokenizer puts before and after a sequence, for example ([CLS], [SEP])."""
    bare = tokenizer(["a"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    full = tokenizer(["a"], is_split_into_words=True)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:start], full[start + len(bare) :]


def token_labels(window: Window, tag_ids: Sequence[int]) -> list[int]:
    """Labels of a window's subwords: tag_ids (one a token read in it) at the first subwords, IGNORED elsewhere."""
    labels = [IGNORED] * len(window.input_ids)
    for position, tag_id in zip(window.positions, tag_ids, strict=True):
        labels[position] = tag_id
    return labels


def _pack(
    sentences: list[list[Token]], document_ids: Sequence[int] | None, room: int
) -> Iterator[tuple[list[Token], range]]:
    """Yield (tokens, which of them are read here) a window, `room` subwords at most."""
    open_tokens: list[Token] = []
    open_length, open_document = 0, None
    for index, sentence in enumerate(sentences):
        tokens = [token[:room] for token in sentence]
        length = sum(map(len, tokens))
        document = index if document_ids is None else document_ids[index]
        if open_tokens and (document != open_document or open_length + length > room):
            yield open_tokens, range(len(open_tokens))
            open_tokens, open_length = [], 0
        if length > room:
            yield from _cut(tokens, room)
            continue
        open_tokens = open_tokens + tokens
        open_length, open_document = open_length + length, document
    if open_tokens:
        yield open_tokens, range(len(open_tokens))


def _cut(tokens: list[Token], room: int) -> Iterator[tuple[list[Token], range]]:
    """Cut one long sentence into pieces that overlap by about half; a token is read where it is furthest from a cut."""
    pieces: list[tuple[int, int]] = []
    start = end = 0
    while end < len(tokens):
        length, end = 0, start
        while end < len(tokens) and length + len(tokens[end]) <= room:
            length += len(tokens[end])
            end += 1
        pieces.append((start, end))
        start = start + max(1, (end - start) // 2)
    first = 0
    for (start, end), following in zip(pieces, [*pieces[1:], None], strict=True):
        last = end if following is None else (following[0] + end) // 2
        last = max(last, following[0]) if following else last
        yield tokens[start:end], range(first - start, last - start)
        first = last
