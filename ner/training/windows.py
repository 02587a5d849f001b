"""The windows of a training: neighbours of one document together and, for some of them, drawn anew each epoch, their
sentences one by one, so that the model also learns single sentences.
"""

import random
from collections.abc import Sequence
from typing import Any

from ner.encoding.windows import Window, encode_windows


class TrainingWindows:
    """Windows of a split, and which of them an epoch reads.

    sentences, document_ids, max_length: as encode_windows takes them. share: of the windows that an epoch reads
    sentence by sentence. `windows` holds the packed ones, then those of single sentences; either part reads every token
    once and in order. `pick` draws the indices of one epoch, which read every token once.
    """

    def __init__(
        self,
        tokenizer: Any,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None,
        max_length: int,
        share: float,
    ) -> None:
        self.windows = encode_windows(tokenizer, sentences, document_ids, max_length)
        self.packed, self.share = len(self.windows), share
        self.parts: list[list[int]] = [[index] for index in range(self.packed)]
        if share and document_ids is not None:
            alone = encode_windows(tokenizer, sentences, None, max_length)
            self.parts = _within(self.windows, alone)
            self.windows = self.windows + alone

    def pick(self, chance: random.Random) -> list[int]:
        """Return indices into `windows` of what one epoch reads."""
        taken = set(chance.sample(range(self.packed), round(self.share * self.packed)))
        return [own for index in range(self.packed) for own in (self.parts[index] if index in taken else [index])]


def _within(packed: list[Window], alone: list[Window]) -> list[list[int]]:
    """Return for each packed window the indices, in packed + alone, of the windows that read the same tokens."""
    parts, following = [], iter(enumerate(alone, len(packed)))
    for window in packed:
        own, left = [], len(window.positions)
        while left > 0:
            index, sentence = next(following)
            own.append(index)
            left -= len(sentence.positions)
        parts.append(own)
    return parts
