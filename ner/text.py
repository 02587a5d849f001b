"""Raw text, or tokens, to entities: tokens in the style of CoNLL-2003, each with its place in the caller's string.

    for entity in annotate(tagger, ["Smith's firm is in the U.S."])[0]:
        assert text[entity["start"]:entity["end"]] == entity["text"]

Offsets count code points of the string as it was given, as Python's slices do; nothing is normalised or stripped. spaCy
cuts tokens and sentences, by the rules of the model's language with CoNLL-2003's habits: a hyphen ends no word. On
validation, written as running text, 99.4 % of the corpus' own tokens come back. In scripts that put no space between
words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) every character is a token, whatever the language.
"""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from ner.decoding import best_tags
from ner.errors import InputError
from ner.probability import log_probabilities, span_score
from ner.tags import tags_to_spans

LANGUAGE = "en"  # for spaCy: whose abbreviations and contractions are known, where nobody says another
LANGUAGE_KEY = "ner_language"  # key in the model's config.json: the language whose rules cut raw text
ANY_LANGUAGE = "xx"  # spaCy's rules that are of no language
LONGEST_RUN = 200  # characters without a space; what is longer is no name, and spaCy's time grows with its square
_NO_SPACE = re.compile(r"\S+")
_LONG_RUN = re.compile(rf"\S{{{LONGEST_RUN + 1},}}")
_NUMBER = re.compile(
    r"[+-]?[.,]?\d+(?:[.,:/-]\d+)*|\d{1,2}\."
)  # 3.5  1,000  1996-08-22  6-3  .496  and the 1. of lists
_WORD = re.compile(r"\w[\w'’.+]*|['’]\w+")  # of spaCy's exceptions these stay; smileys would swallow the ) of "Rome):"
_QUOTES = '<>"“”„«»‹›()\\[\\]{}!?;…。、，！？；：（）「」『』《》【】؟،؛।'
_UNSPACED = (  # letters of scripts that put no space between words, and the marks that go on one of them
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf\u1000-\u102a\u103f\u1050-\u1055"
    "\u1780-\u17b3\u17d7\u17dc\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff",
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u17b4-\u17d3\u17dd\u3099\u309a\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef",
)
_BLANK_LINE = re.compile(r"(?:\r\n?|\n)[^\S\r\n]*(?:\r\n?|\n)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LOCK = threading.Lock()  # spaCy's vocabulary is not made for several threads


class Token(NamedTuple):
    """`text[start:end]` is the token, but for half a surrogate pair, which is U+FFFD here."""

    text: str
    start: int
    end: int


class Probabilities(Protocol):
    """What `annotate` needs of ner.prediction.Tagger; its `language`, LANGUAGE where it has none, cuts texts."""

    labels: list[str]

    def predict(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]: ...


def annotate(
    tagger: Probabilities,
    inputs: Sequence[str | Sequence[str]],
    min_score: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[dict[str, Any]]]:
    """The entities of each input, in order: type, start, end, text, score.

    inputs: a text (str), or the tokens of one (list of str), of any length. Offsets of tokens are those of
    `" ".join(tokens)`, and their entities also have token_start and token_end, half-open. An input is a document: its
    sentences share windows as they did in training, and never with another input. min_score: entities under it are
    left out. progress: called with (windows done, windows in all). Raises InputError for anything else than texts and
    tokens.
    """
    language = getattr(tagger, "language", LANGUAGE)
    documents = [_read(index, one, language) for index, one in enumerate(inputs)]
    rows = [
        (i, tokens, sentences(tokens, language))
        for i, (_, paragraphs_of_one) in enumerate(documents)
        for tokens in paragraphs_of_one
    ]
    flat = [[token.text for token in cut] for _, _, cuts in rows for cut in cuts]
    document_ids = [index for index, _, cuts in rows for _ in cuts]
    probabilities = iter(tagger.predict(flat, document_ids, progress))
    found: list[list[dict[str, Any]]] = [[] for _ in documents]
    for index, tokens, cuts in rows:
        whole = np.concatenate([next(probabilities) for _ in cuts])
        text = documents[index][0]
        some = entities(text, tokens, whole, tagger.labels, with_tokens=not isinstance(inputs[index], str))
        found[index] += [entity for entity in some if entity["score"] >= min_score]
    return found


def entities(
    text: str, tokens: Sequence[Token], probabilities: np.ndarray, labels: Sequence[str], with_tokens: bool = False
) -> list[dict[str, Any]]:
    """The entities that the best valid tags of `tokens` say (ner.decoding).

    probabilities: [n_tokens, n_labels]. score: ner.probability.span_score. with_tokens: add token_start, token_end.
    """
    best = best_tags(log_probabilities(probabilities), labels)
    found = []
    for span in tags_to_spans([labels[tag] for tag in best]):
        start, end = tokens[span.start].start, tokens[span.end - 1].end
        score = span_score(probabilities, *span, labels)
        entity = {"type": span.type, "start": start, "end": end, "text": text[start:end], "score": score}
        if with_tokens:
            entity |= {"token_start": span.start, "token_end": span.end}
        found.append(entity)
    return found


def tokenize(text: str, language: str = LANGUAGE) -> list[Token]:
    """Every character but white space is in exactly one token; tokens are in order. Empty text has none.

    A run of more than LONGEST_RUN characters without a space is cut simply: every mark is a token.
    """
    clean = _SURROGATE.sub("\ufffd", text)
    found: list[Token] = []
    done = 0
    for run in _LONG_RUN.finditer(clean):
        found += _by_rules(clean, done, run.start(), language)
        found += [Token(clean[start:end], start, end) for start, end in _simply(clean, *run.span())]
        done = run.end()
    return found + _by_rules(clean, done, len(clean), language)


def paragraphs(text: str, language: str = LANGUAGE) -> list[list[Token]]:
    """Tokens by paragraph; a blank line ends one. A single line break may be a wrapped line, so it ends nothing."""
    breaks = [match.start() for match in _BLANK_LINE.finditer(text)][::-1]
    found: list[list[Token]] = [[]]
    for token in tokenize(text, language):
        while breaks and breaks[-1] < token.start:
            breaks.pop()
            found.append([])
        found[-1].append(token)
    return [tokens for tokens in found if tokens]


def sentences(tokens: Sequence[Token], language: str = LANGUAGE) -> list[list[Token]]:
    """Cut a paragraph where spaCy's rules see a sentence end, in most scripts.

    Only windows are packed by it: an entity is never cut at a sentence end that was guessed wrong.
    """
    from spacy.tokens import Doc

    nlp = _pipeline(language)
    with _LOCK, nlp.memory_zone():
        doc = nlp.get_pipe("sentencizer")(Doc(nlp.vocab, words=[token.text for token in tokens]))
        return [list(tokens[sentence.start : sentence.end]) for sentence in doc.sents]


@cache
def rules_language(language: str | None) -> str:
    """spaCy's code of the rules that cut text of a language, given as a corpus or a model names it: `pt-BR` is pt.

    LANGUAGE where none is named, or one that spaCy does not have; ANY_LANGUAGE where it cuts that one by a dictionary.
    """
    import spacy
    from spacy.tokenizer import Tokenizer

    code = re.split(r"[-_]", (language or "").strip().lower())[0]
    if code in ("multilingual", "mul", ANY_LANGUAGE):
        return ANY_LANGUAGE
    try:
        spacy_class = spacy.util.get_lang_class(code) if re.fullmatch("[a-z]{2,3}", code) else None
    except ImportError:
        spacy_class = None
    if spacy_class is None:
        return LANGUAGE
    try:
        return code if isinstance(spacy_class().tokenizer, Tokenizer) else ANY_LANGUAGE
    except ImportError:  # the dictionary is not installed
        return ANY_LANGUAGE


@cache
def _pipeline(language: str) -> Any:
    """spaCy's tokenizer and sentence ends of a language, without a model."""
    import spacy
    from spacy.lang.char_classes import ALPHA, LIST_ELLIPSES, LIST_ICONS
    from spacy.util import compile_infix_regex

    nlp = spacy.blank(rules_language(language))
    nlp.add_pipe("sentencizer")
    comma, colon = rf"(?<=[{ALPHA}]),(?=[{ALPHA}])", rf"(?<=[{ALPHA}0-9])[:=](?=[{ALPHA}])"
    inside = [*LIST_ELLIPSES, *LIST_ICONS, r"--+", comma, colon, rf"[{_QUOTES}]", "[{}][{}]*".format(*_UNSPACED)]
    nlp.tokenizer.infix_finditer = compile_infix_regex(inside).finditer
    nlp.tokenizer.token_match = _NUMBER.fullmatch
    nlp.tokenizer.rules = {word: cut for word, cut in nlp.tokenizer.rules.items() if _WORD.fullmatch(word)}
    return nlp


def _by_rules(text: str, first: int, last: int, language: str) -> list[Token]:
    """spaCy's tokens of text[first:last]; white space that its rules take in ends a token here."""
    nlp = _pipeline(language)
    with _LOCK, nlp.memory_zone():  # what it remembers of these words goes with them
        cut = [(first + token.idx, token.text) for token in nlp.tokenizer(text[first:last])]
    spans = ((start + part.start(), start + part.end()) for start, word in cut for part in _NO_SPACE.finditer(word))
    return [Token(text[start:end], start, end) for start, end in spans]


def _simply(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Words of at most LONGEST_RUN characters, and marks one by one, each with what belongs to it for the reader."""
    start = first
    for here in range(first + 1, last):
        full = here - start >= LONGEST_RUN
        if (full or _is_mark(text[here]) or _is_mark(text[here - 1])) and not _goes_on(text[here - 1], text[here]):
            yield start, here
            start = here
    yield start, last


def _is_mark(character: str) -> bool:
    """Punctuation or a symbol."""
    return unicodedata.category(character)[0] in "PS"


def _goes_on(before: str, after: str) -> bool:
    """Whether one sign for the reader goes over the boundary: an accent, a joiner, a variation or a skin tone."""
    accent = unicodedata.category(after)[0] == "M" or "\U0001f3fb" <= after <= "\U0001f3ff"
    return accent or "\u200d" in (before, after)


def _read(index: int, one: Any, language: str) -> tuple[str, list[list[Token]]]:
    """An input as its text and the tokens of its paragraphs; tokens are one paragraph."""
    if isinstance(one, str):
        return one, paragraphs(one, language)
    if not isinstance(one, Sequence) or isinstance(one, bytes):
        raise InputError(f"input {index}: need a text or a list of tokens, got {type(one).__name__}.")
    tokens, start = [], 0
    for place, word in enumerate(one):
        if not isinstance(word, str) or not word.strip():
            raise InputError(f"input {index}, token {place}: need a string that is not blank, got {word!r:.60}.")
        tokens.append(Token(_SURROGATE.sub("\ufffd", word), start, start + len(word)))
        start += len(word) + 1
    return " ".join(one), [tokens] if tokens else []
