"""Raw text to tokens in the style of CoNLL-2003, each with its place in the caller's string, and tags back to entities.

    for entity in annotate(tagger, ["Smith's firm is in the U.S."])[0]:
        assert text[entity["start"]:entity["end"]] == entity["text"]

Offsets count code points of the string as it was given, as Python's slices do; nothing is normalised or stripped.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ner.probability import span_score
from ner.tags import tags_to_spans

# Whatever is no space, no punctuation and no symbol is part of a word: so combining marks of any script are.
_PUNCTUATION = r"!-/:-@\[-`{-~\u00a1-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7"
_PUNCTUATION += r"\u060c\u061b\u061f\u06d4\u0964\u0965\u2000-\u200b\u200e-\u206f\u20a0-\u20cf\u2190-\u27bf"
_PUNCTUATION += r"\u3000-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20\ufe0f\ufeff\U0001f000-\U0001faff"
_WORD = rf"[^\s{_PUNCTUATION}]"
_EMOJI = r"[\u2600-\u27bf\U0001f000-\U0001faff]"
_ABBREVIATION = "Mr|Mrs|Ms|Dr|Prof|St|Gen|Col|Capt|Lt|Sgt|Sen|Rep|Gov|Rev|Hon|Jr|Sr|Co|Corp|Inc|Ltd|Bros|No|vs"
TOKEN = re.compile(
    rf"""
      (?:[^\W\d_]\.){{2,}}(?:-{_WORD}+)*(?!{_WORD})     # U.N.  a.m.  U.S.-led
    | (?:{_ABBREVIATION})\.(?!{_WORD})                  # Mr.  Corp.
    | [A-Z]\.(?=\s+[A-Z])                               # the J. of J. Smith
    | ['’](?:s|S|m|d|ll|re|ve|LL|RE|VE)(?!{_WORD})      # the 's of Smith's
    | n['’]t(?!{_WORD})                                 # the n't of didn't
    | [+-]?\d+(?:[.,:/-]\d+)+(?!{_WORD})                # 3.5  1,000  1996-08-22  10:30  6-3
    | {_WORD}+?(?=n['’]t(?!{_WORD}))                    # the did of didn't
    | {_WORD}+(?:(?:[-&/.]|['’](?!(?:s|S|m|d|ll|re|ve|LL|RE|VE)(?!{_WORD}))){_WORD}+)*   # German-born  AT&T  O'Neill
    | {_EMOJI}[\ufe0f\u200d\u2600-\u27bf\U0001f000-\U0001faff]*
    | \.{{2,}} | -{{2,}} | `` | ''                      # marks of several characters
    | \S                                                # any other mark alone: no character is lost
    """,
    re.VERBOSE,
)
_BLANK_LINE = re.compile(r"(?:\r\n?|\n)[^\S\r\n]*(?:\r\n?|\n)")
_SENTENCE_END = (".", "!", "?")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Token(NamedTuple):
    """`text[start:end]` is the token."""

    text: str
    start: int
    end: int


class Probabilities(Protocol):
    """What `annotate` needs of ner.prediction.Tagger."""

    labels: list[str]

    def predict(
        self, sentences: Sequence[Sequence[str]], document_ids: Sequence[int] | None, batch_size: int
    ) -> list[np.ndarray]: ...


def tokenize(text: str) -> list[Token]:
    """Every character but white space is in exactly one token; tokens are in order. Empty text has none."""
    return [Token(match[0], *match.span()) for match in TOKEN.finditer(text)]


def paragraphs(text: str) -> list[list[Token]]:
    """Tokens by paragraph; a blank line ends one. A single line break may be a wrapped line, so it ends nothing."""
    breaks = [match.start() for match in _BLANK_LINE.finditer(text)]
    found: list[list[Token]] = [[]]
    for token in tokenize(text):
        while breaks and breaks[0] < token.start:
            breaks.pop(0)
            found.append([])
        found[-1].append(token)
    return [tokens for tokens in found if tokens]


def sentences(tokens: Sequence[Token]) -> list[list[Token]]:
    """Cut a paragraph after '.', '!' or '?' where a capital or a quote follows.

    Only windows are packed by it: an entity is never cut at a sentence end that was guessed wrong.
    """
    found: list[list[Token]] = [[]]
    for token in tokens:
        ended = bool(found[-1]) and found[-1][-1].text in _SENTENCE_END
        if ended and (token.text[0].isupper() or token.text[0] in "\"'`“‘"):
            found.append([])
        found[-1].append(token)
    return found


def annotate(tagger: Probabilities, texts: Sequence[str], batch_size: int = 32) -> list[list[dict[str, Any]]]:
    """The entities of each text, in order: type, start, end, text, score.

    A text is a document: its sentences share windows as they did in training, and never with another text.
    """
    rows = [(i, tokens, sentences(tokens)) for i, text in enumerate(texts) for tokens in paragraphs(text)]
    flat = [[_SURROGATE.sub("\ufffd", token.text) for token in cut] for _, _, cuts in rows for cut in cuts]
    document_ids = [index for index, _, cuts in rows for _ in cuts]
    probabilities = iter(tagger.predict(flat, document_ids, batch_size))
    found: list[list[dict[str, Any]]] = [[] for _ in texts]
    for index, tokens, cuts in rows:
        whole = np.concatenate([next(probabilities) for _ in cuts])
        found[index] += entities(texts[index], tokens, whole, tagger.labels)
    return found


def entities(text: str, tokens: Sequence[Token], probabilities: np.ndarray, labels: Sequence[str]) -> list[dict]:
    """The entities that the most probable tags of `tokens` say.

    probabilities: [n_tokens, n_labels]. score: ner.probability.span_score.
    """
    best = probabilities.argmax(-1)
    found = []
    for span in tags_to_spans([labels[tag] for tag in best]):
        start, end = tokens[span.start].start, tokens[span.end - 1].end
        score = span_score(probabilities, *span, labels)
        found.append({"type": span.type, "start": start, "end": end, "text": text[start:end], "score": score})
    return found
