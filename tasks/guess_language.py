"""Which language a corpus is in, by the words that every text of a language has: spaCy's lists of stop words.

guess_language({"de": 12, "do": 7, "tribunal": 3}, {"LATIN": 1.0})      # pt
"""

import runpy
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

UNKNOWN = "unknown"
BY_SCRIPT = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "THAI": "th", "CJK": "zh"}  # without spaces, or alone
LEAST = 0.03  # of all words, each counted by how few languages have it as a stop word
LEAD = 1.5  # times the second best


def guess_language(words: Mapping[str, int], scripts: Mapping[str, float]) -> str:
    """Its code, `unknown` where no language stands out.

    words: how often each token occurs; scripts: the share of the letters in each (tasks.profile).
    """
    for script, language in BY_SCRIPT.items():
        if scripts.get(script, 0) > 0.2:
            return language
    counts: Counter[str] = Counter()
    for word, count in words.items():
        if word.isalpha():
            counts[word.lower()] += count
    languages = _languages_of_stop_words()
    found: Counter[str] = Counter()
    for word, count in counts.items():
        for language in languages.get(word, ()):
            found[language] += count / len(languages[word])  # type: ignore[assignment]
    ranked = [*found.most_common(2), ("", 0), ("", 0)]
    (best, score), (_, second) = ranked[:2]
    is_clear = score >= LEAST * counts.total() and score >= LEAD * second
    return best if best and is_clear else UNKNOWN


@cache
def _languages_of_stop_words() -> dict[str, list[str]]:
    """The languages that have a word among their stop words. The lists alone are read: the packages take long."""
    import spacy

    found: dict[str, list[str]] = {}
    for path in sorted((Path(spacy.__file__).parent / "lang").glob("*/stop_words.py")):
        try:
            words = runpy.run_path(str(path))["STOP_WORDS"]
        except (ImportError, KeyError):  # a list made of another module's
            continue
        for word in words:
            found.setdefault(word, []).append(path.parent.name)
    return found
