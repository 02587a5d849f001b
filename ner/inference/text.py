"""Raw text to tokens and sentences, in the style of CoNLL-2003; each token with its place in the caller's string.

    for token in tokenize(text):
        assert text[token.start:token.end] == token.text

Offsets count code points of the string as it was given, as Python's slices do; nothing is normalised or stripped. spaCy
cuts tokens and sentences, by the rules of the model's language with CoNLL-2003's habits: a hyphen ends no word. On
validation, written as running text, 99.9 % of the corpus' own tokens come back. In scripts that put no space between
words (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan) every character is a token, whatever the language and
however long the text is. A line ends at LF, CR LF, CR, U+0085 or U+2028, a paragraph at a blank line or U+2029.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

LANGUAGE = "en"  # for spaCy: whose abbreviations and contractions are known, where nobody says another
LANGUAGE_KEY = "ner_language"  # key in the model's config.json: the language whose rules cut raw text
ANY_LANGUAGE = "xx"  # spaCy's rules that are of no language
LONGEST_RUN = 200  # characters without a space; what is longer is no name, and spaCy's time grows with its square
_NO_SPACE = re.compile(r"\S+")
_LONG_RUN = re.compile(rf"\S{{{LONGEST_RUN + 1},}}")
_NUMBER = re.compile(r"[+-]?[.,]?\d+(?:[.,:/-]\d+)*")  # 3.5  1,000  1996-08-22  6-3  .496
# of spaCy's exceptions these stay; smileys would swallow the ) of "Rome):"
_WORD = re.compile(r"(?!\d+\.)\w[\w'’.+]*|['’]\w+")
_QUOTES = '<>"“”„«»‹›()\\[\\]{}!?;…。、，！？；：（）「」『』《》【】؟،؛।'
_CUT_FIRST = re.compile(  # the 1. of lists; a letter of a script that puts no space between words, and the marks on it
    r"(?<![^\n\r\x85\u2028\u2029])\d{1,2}\.(?=\s)|"
    "[\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf\u0f00\u0f40-\u0f6c\u0f88-\u0f8c"
    "\u1000-\u102a\u103f\u1050-\u1055\u1780-\u17b3\u17d7\u17dc\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua48c\ua9e0-\ua9e4\uaa60-\uaa7a\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff]"
    "[\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f39\u0f71-\u0f87\u0f8d-\u0fbc"
    "\u102b-\u103e\u1056-\u1059\u17b4-\u17d3\u17dd\u200c\u200d\u3099\u309a\uaa7b-\uaa7d\ufe00-\ufe0f\U000e0100-\U000e01ef]*"
)
LINE_END = re.compile(r"(?>\r\n|[\n\r\x85\u2028])")
BLANK_LINE = re.compile(rf"{LINE_END.pattern}[^\S\n\r\x85\u2028\u2029]*{LINE_END.pattern}|\u2029")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LOCK = threading.Lock()  # spaCy's vocabulary is not made for several threads


class Token(NamedTuple):
    """`text[start:end]` is the token, but for half a surrogate pair, which is U+FFFD here."""

    text: str
    start: int
    end: int


def tokenize(text: str, language: str = LANGUAGE) -> list[Token]:
    """Split text into tokens, in order; every character but white space is in exactly one token. Empty text has none.

    A run of more than LONGEST_RUN characters without a space, in a script that has spaces, is cut simply: every mark is
    a token.
    """
    clean = without_surrogates(text)
    tokens = [Token(part[0], *part.span()) for part in _CUT_FIRST.finditer(clean)]
    spaced = _CUT_FIRST.sub(lambda part: " " * len(part[0]), clean) if tokens else clean
    done = 0
    for run in _LONG_RUN.finditer(spaced):
        tokens += _by_rules(spaced, done, run.start(), language)
        tokens += [Token(clean[start:end], start, end) for start, end in _simply(clean, *run.span())]
        done = run.end()
    tokens += _by_rules(spaced, done, len(clean), language)
    return sorted(tokens, key=lambda token: token.start)


def is_unspaced(character: str) -> bool:
    """Whether a character is a letter of a script that puts no space between words."""
    return _CUT_FIRST.match(character) is not None


def without_surrogates(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which no tokenizer takes."""
    return _SURROGATE.sub("\ufffd", text)


def paragraphs(text: str, language: str = LANGUAGE) -> list[list[Token]]:
    """Group tokens by paragraph; a blank line ends one. A single line break may be a wrapped line, so it ends
    nothing.
    """
    breaks = [match.start() for match in BLANK_LINE.finditer(text)][::-1]
    groups: list[list[Token]] = [[]]
    for token in tokenize(text, language):
        while breaks and breaks[-1] < token.start:
            breaks.pop()
            groups.append([])
        groups[-1].append(token)
    return [tokens for tokens in groups if tokens]


def sentences(tokens: Sequence[Token], language: str = LANGUAGE) -> list[list[Token]]:
    """Split a paragraph where spaCy's rules see a sentence end, in most scripts.

    Only windows are packed by it: an entity is never cut at a sentence end that was guessed wrong.
    """
    from spacy.tokens import Doc

    nlp = _pipeline(language)
    with _LOCK, nlp.memory_zone():
        doc = nlp.get_pipe("sentencizer")(Doc(nlp.vocab, words=[token.text for token in tokens]))
        return [list(tokens[sentence.start : sentence.end]) for sentence in doc.sents]


@cache
def rules_language(language: str | None) -> str:
    """Return spaCy's code of the rules that split text of a language, as a corpus or a model names it: `pt-BR` is pt.

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
    """Return spaCy's tokenizer and sentence ends of a language, without a model."""
    import spacy
    from spacy.attrs import IS_PUNCT
    from spacy.lang.char_classes import ALPHA, ALPHA_LOWER, LIST_ELLIPSES, LIST_ICONS
    from spacy.util import compile_infix_regex, compile_suffix_regex

    nlp = spacy.blank(rules_language(language))
    nlp.add_pipe("sentencizer")
    vocabulary: Any = nlp.vocab  # of a dozen facts about each word, the one by which sentence ends are told
    vocabulary.lex_attr_getters = {IS_PUNCT: vocabulary.lex_attr_getters[IS_PUNCT]}
    comma, colon = rf"(?<=[{ALPHA}]),(?=[{ALPHA}])", rf"(?<=[{ALPHA}0-9])[:=](?=[{ALPHA}])"
    inside = [*LIST_ELLIPSES, *LIST_ICONS, r"--+", comma, colon, rf"[{_QUOTES}]"]
    tokenizer: Any = nlp.tokenizer
    ends = [end for end in nlp.Defaults.suffixes or () if not re.fullmatch(end, "14.")]  # in Greek one is
    ends.append(rf"(?<=[\d{ALPHA_LOWER}])\.")  # "1969.", an ordinal by the rules of German and of others
    tokenizer.suffix_search = compile_suffix_regex(ends).search
    tokenizer.infix_finditer = compile_infix_regex(inside).finditer
    tokenizer.token_match = _NUMBER.fullmatch
    tokenizer.rules = {word: cut for word, cut in tokenizer.rules.items() if _WORD.fullmatch(word)}
    return nlp


def _by_rules(text: str, first: int, last: int, language: str) -> list[Token]:
    """Return spaCy's tokens of text[first:last]; white space inside one of them ends a token here."""
    nlp = _pipeline(language)
    with _LOCK, nlp.memory_zone():  # what it remembers of these words goes with them
        cut = [(first + token.idx, token.text) for token in nlp.tokenizer(text[first:last])]
    spans = ((start + part.start(), start + part.end()) for start, word in cut for part in _NO_SPACE.finditer(word))
    return [Token(text[start:end], start, end) for start, end in spans]


def _simply(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield words of at most LONGEST_RUN characters, and marks one by one, each with what belongs to it for the
    reader.
    """
    start = first
    for here in range(first + 1, last):
        full = here - start >= LONGEST_RUN
        if (full or _is_mark(text[here]) or _is_mark(text[here - 1])) and not _goes_on(text[here - 1], text[here]):
            yield start, here
            start = here
    yield start, last


def _is_mark(character: str) -> bool:
    """Whether a character is punctuation or a symbol."""
    return unicodedata.category(character)[0] in "PS"


def _goes_on(before: str, after: str) -> bool:
    """Whether one sign for the reader goes over the boundary: an accent, a joiner, a variation or a skin tone."""
    accent = unicodedata.category(after)[0] == "M" or "\U0001f3fb" <= after <= "\U0001f3ff"
    return accent or "\u200d" in (before, after)
