"""Tokens to windows of subwords, and back: which sentences share a window, and which subword is labelled for its token.

The first subword of a token carries its tag (the token-classification guide of the Transformers documentation does the
same). No token is ever lost: a sentence that does not fit is cut into overlapping pieces, each token being read in the
piece where it has the most context; a token with no subword gets the unknown one; one longer than a window is cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ner.encoding.tokenizer import Token, special_tokens, subwords
from ner.errors import ParamsError

IGNORED = -100  # the index that cross-entropy leaves out


@dataclass(frozen=True)
class Window:
    """One input sequence of the encoder.

    input_ids: subword ids, special tokens included; at most max_length.
    positions: for each token read in this window, the index in input_ids of its first subword.
    The windows of a corpus, in order, read every token once and in order.
    """

    input_ids: list[int]
    positions: list[int]


def encode_windows(
    tokenizer: Any, sentences: Sequence[Sequence[str]], document_ids: Sequence[int] | None, max_length: int
) -> list[Window]:
    """Pack sentences into windows and return them.

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


def token_labels(window: Window, tag_ids: Sequence[int]) -> list[int]:
    """Return labels of a window's subwords: tag_ids (one per token read in it) at the first subwords, IGNORED
    elsewhere.
    """
    labels = [IGNORED] * len(window.input_ids)
    for position, tag_id in zip(window.positions, tag_ids, strict=True):
        labels[position] = tag_id
    return labels


def _pack(
    sentences: list[list[Token]], document_ids: Sequence[int] | None, room: int
) -> Iterator[tuple[list[Token], range]]:
    """Yield (tokens, which of them are read here) per window, `room` subwords at most."""
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
