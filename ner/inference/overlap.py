"""Overlapping windows of a long document for prediction: each sentence is read with some of its neighbours.

With overlap 0 they are those of training (ner.encoding.windows.encode_windows): whole sentences side by side, where
only a
sentence that is longer than a window is cut, into pieces that overlap by about half. With more, each window also has
about that many subwords of its neighbours, or more, at either end where the document goes on: context, not scored.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any

from ner.encoding.tokenizer import Token, special_tokens, subwords
from ner.encoding.windows import Window, encode_windows
from ner.errors import ParamsError

OVERLAP = "ner_overlap"  # key in the model's config.json: the overlap that it was evaluated with


def prediction_windows(
    tokenizer: Any,
    sentences: Sequence[Sequence[str]],
    document_ids: Sequence[int] | None,
    max_length: int,
    overlap: int = 0,
) -> list[Window]:
    """Return windows that read every token once, in order, with unread tokens of neighbours as context.

    sentences, document_ids, max_length: as ner.encoding.windows.encode_windows takes them, which with overlap 0 does it
    all.
    overlap: subwords at either end of a window that are there for context only, where the document has them. Raises
    ParamsError where that leaves less than half of a window to be read.
    """
    if not overlap:
        return encode_windows(tokenizer, sentences, document_ids, max_length)
    prefix, suffix = special_tokens(tokenizer)
    room = max_length - len(prefix) - len(suffix)
    if 4 * overlap > room:
        raise ParamsError(
            f"params.yaml, prediction.overlap: {overlap} subwords at either end leave too little of a window of "
            f"{max_length}: {room // 4} at most."
        )
    ids = range(len(sentences)) if document_ids is None else document_ids
    pieces = subwords(tokenizer, sentences)
    windows = []
    for _, group in groupby(range(len(pieces)), key=lambda index: ids[index]):
        document = [[token[:room] for token in pieces[index]] for index in group]
        tokens = [token for sentence in document for token in sentence]
        for first, last in _regions(document, room - 2 * overlap):
            windows.append(_widened(tokens, first, last, room, prefix, suffix))
    return windows


def _regions(document: list[list[Token]], size: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) tokens of what each window reads: whole sentences of `size` subwords in all, or a part of
    one.
    """
    first = last = used = 0
    for sentence in document:
        length = sum(map(len, sentence))
        if used and used + length > size:
            yield first, last
            first, used = last, 0
        for token in sentence:
            if used and length > size and used + len(token) > size:
                yield first, last
                first, used = last, 0
            used, last = used + len(token), last + 1
    if last > first:
        yield first, last


def _widened(tokens: list[Token], first: int, last: int, room: int, prefix: list[int], suffix: list[int]) -> Window:
    """Return the window that reads tokens[first:last], with context from both sides alike, or from one where the other
    ends.
    """
    free = room - sum(map(len, tokens[first:last]))
    before, after = tokens[max(0, first - free) : first][::-1], tokens[last : last + free]
    left = _fitting(before, free // 2)
    right = _fitting(after, free - sum(map(len, before[:left])))
    left = _fitting(before, free - sum(map(len, after[:right])))
    ids, positions = list(prefix), []
    for index in range(first - left, last + right):
        if first <= index < last:
            positions.append(len(ids))
        ids += tokens[index]
    return Window(ids + suffix, positions)


def _fitting(tokens: Sequence[Token], room: int) -> int:
    """Return how many of the first tokens have at most `room` subwords together."""
    return sum(1 for total in accumulate(map(len, tokens)) if total <= room)
