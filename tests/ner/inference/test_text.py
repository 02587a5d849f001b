import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ner.errors import InputError
from ner.inference.annotate import annotate, entities
from ner.inference.text import paragraphs, rules_language, sentences, tokenize

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
NUMBERS = ("en", "de", "nb", "nn", "da", "hu", "ar", "fa", "el", "sr", "am", "xx")  # spaCy's rules differ in these
CHARACTERS = st.sampled_from(" .'’-\r\n\t\x85\u2028\u2029王กé🎉\u0301\u200dאבn'tU.S1")
TEXTS = st.text(st.one_of(st.characters(), CHARACTERS), max_size=60)


class CapitalsArePeople:
    """Stands for a trained model: a capitalised token is a person, the next one goes on with it."""

    labels = LABELS

    def predict(self, sentences, document_ids=None, progress=None):
        self.seen = list(zip(document_ids, sentences, strict=True))
        rows = []
        for tokens in sentences:
            is_name = [token[0].isupper() for token in tokens]
            tags = [(4 if i and is_name[i - 1] else 3) if name else 0 for i, name in enumerate(is_name)]
            rows.append(np.eye(5, dtype=np.float32)[tags] * 0.8 + 0.04)
        return rows


def words(text: str) -> list[str]:
    return [token.text for token in tokenize(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The U.N. met.", ["The", "U.N.", "met", "."]),
        ("U.S.-led talks", ["U.S.-led", "talks"]),
        ("BRUSSELS 1996-08-22", ["BRUSSELS", "1996-08-22"]),
        ("up 3.5, or 1,000 at 10:30", ["up", "3.5", ",", "or", "1,000", "at", "10:30"]),
        ("Smith's firm", ["Smith", "'s", "firm"]),
        ("Smith’s dogs’ bowl", ["Smith", "’s", "dogs", "’", "bowl"]),
        ("It didn't, we'll see", ["It", "did", "n't", ",", "we", "'ll", "see"]),
        ("O'Neill of AT&T", ["O'Neill", "of", "AT&T"]),
        ("German-born Mr. J. Smith", ["German-born", "Mr.", "J.", "Smith"]),
        ('"No," (he said)...', ['"', "No", ",", '"', "(", "he", "said", ")", "..."]),
        ("Paris🎉!", ["Paris", "🎉", "!"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("שלום, דוד.", ["שלום", ",", "דוד", "."]),
        ("<b>AT&T</b>", ["<", "b", ">", "AT&T", "<", "/b", ">"]),
        ("He left (for Rome): late", ["He", "left", "(", "for", "Rome", ")", ":", "late"]),
        ("in 1995. He", ["in", "1995", ".", "He"]),
        ("1. Anna\n2. Bo", ["1.", "Anna", "2.", "Bo"]),
        ("June 14.", ["June", "14", "."]),
        ("14.", ["14", "."]),
        ("Sao\u00a0Paulo\u2028Rio\x1cLima", ["Sao", "Paulo", "Rio", "Lima"]),
        ("a\x00b \x00", ["a\x00b", "\x00"]),
        ("ab" * 150 + "!?" + "👍🏽" * 2, ["ab" * 100, "ab" * 50, "!", "?", "👍🏽", "👍🏽"]),
        ("", []),
        (" \r\n\t", []),
    ],
)
def test_text_is_cut_as_the_corpus_is(text, expected):
    assert words(text) == expected


@given(TEXTS)
@example("\ud800 Anna\udfff")
def test_every_token_is_where_it_says_and_no_character_is_lost(text):
    tokens = tokenize(text)
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)  # half a surrogate pair is read as this
    assert all(text[token.start : token.end] == token.text for token in tokens)
    assert all(a.end <= b.start for a, b in zip(tokens, tokens[1:], strict=False))
    assert "".join(token.text for token in tokens) == "".join(text.split())


@pytest.mark.parametrize(
    ("part", "size"),
    [("a", 1_000_000), ("(", 1_000_000)]
    + [
        (part, 100_000)
        for part in ("'", "🎉", "e\u0301", "\u0301", "你好。", "שלום", "\x00", "1.", "http://a.", "a\u200d")
    ],
)
def test_a_megabyte_without_a_space_is_cut_in_seconds_and_nothing_is_lost(part, size):
    text = part * (size // len(part))
    started = time.process_time()
    tokens = tokenize(text)
    assert time.process_time() - started < 20
    assert "".join(token.text for token in tokens) == text


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("zh", "Apple公司在北京。", ["Apple", "公", "司", "在", "北", "京", "。"]),
        ("en", "東京へ", ["東", "京", "へ"]),
        ("th", "ชื่อ", ["ชื่", "อ"]),
        ("ko", "서울에 갔다.", ["서울에", "갔다", "."]),
        ("ar", "مرحبا، محمد", ["مرحبا", "،", "محمد"]),
        ("fr", "l'Assemblée", ["l'", "Assemblée"]),
        ("en", "l'Assemblée", ["l'Assemblée"]),
        ("xx", "Ana, Bo.", ["Ana", ",", "Bo", "."]),
        *((code, "a 14. (3.5.) 1969.", ["a", "14", ".", "(", "3.5", ".", ")", "1969", "."]) for code in NUMBERS),
        ("bo", "བོད་ལྗོངས", ["བོ", "ད", "་", "ལྗོ", "ང", "ས"]),
        ("ja", "ｱｲ東京とPari", ["ｱ", "ｲ", "東", "京", "と", "Pari"]),
    ],
)
def test_the_rules_of_the_language_cut_and_scripts_without_spaces_are_cut_by_character(language, text, expected):
    assert [token.text for token in tokenize(text, language)] == expected


@pytest.mark.parametrize(
    ("named", "used"),
    [
        ("pt-BR", "pt"),
        ("PT", "pt"),
        ("ja", "xx"),
        ("multilingual", "xx"),
        ("unknown", "en"),
        (None, "en"),
        ("qq", "en"),
    ],
)
def test_a_language_without_rules_of_its_own_is_cut_all_the_same(named, used):
    assert rules_language(named) == used


def test_texts_are_cut_in_the_language_of_the_model():
    tagger = CapitalsArePeople()
    tagger.language = "fr"
    annotate(tagger, ["l'Anna"])
    assert tagger.seen == [(0, ["l'", "Anna"])]


def test_several_threads_may_ask_at_once():
    texts = [f"Anna {i} met Bo. Then Cleo left." * 20 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokenize, texts)) == [tokenize(text) for text in texts]


@pytest.mark.parametrize("language", ["en", "zh", "th"])
@pytest.mark.parametrize("script", ["王海平在北原港见到了。", "สวัสดี", "東京へ行った、", "ខ្ញុំទៅ", "王a海1平Rome在。"])
def test_a_text_of_any_length_is_cut_as_its_beginning_is(script, language):
    once, often = tokenize(script, language), tokenize(script * 50, language)
    assert [token.text for token in often] == [token.text for token in once] * 50
    assert not [token for token in once if len(token.text) > 4]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_a_line_end_of_any_kind_ends_no_paragraph_and_a_blank_line_does(end):
    text = f"It was Ilka{end}Brandvold.{end} \t{end}Then{end}{end}{end}Bo\u2029Cleo"
    parts = [[token.text for token in part] for part in paragraphs(text)]
    assert parts == [["It", "was", "Ilka", "Brandvold", "."], ["Then"], ["Bo"], ["Cleo"]]
    found = annotate(CapitalsArePeople(), [text])[0]
    assert [text[e["start"] : e["end"]] for e in found] == ["It", f"Ilka{end}Brandvold", "Then", "Bo", "Cleo"]


@given(TEXTS)
def test_paragraphs_and_sentences_hold_every_token_once_and_in_order(text):
    again = [token for paragraph in paragraphs(text) for cut in sentences(paragraph) for token in cut]
    assert again == tokenize(text)


@given(TEXTS)
def test_entities_are_the_callers_own_characters(text):
    for entity in annotate(CapitalsArePeople(), [text])[0]:
        assert text[entity["start"] : entity["end"]] == entity["text"]


def test_a_blank_line_ends_an_entity_and_a_wrapped_line_does_not():
    found = annotate(CapitalsArePeople(), ["New\nYork\r\n\r\nAnna"])[0]
    assert [entity["text"] for entity in found] == ["New\nYork", "Anna"]


def test_each_text_is_a_document_of_its_own_and_empty_ones_have_no_entities():
    tagger = CapitalsArePeople()
    found = annotate(tagger, ["Anna left. Bo stayed.", "", "Cleo"])
    assert [[entity["text"] for entity in row] for row in found] == [["Anna", "Bo"], [], ["Cleo"]]
    assert tagger.seen == [(0, ["Anna", "left", "."]), (0, ["Bo", "stayed", "."]), (2, ["Cleo"])]


def test_an_entity_is_not_cut_where_a_sentence_end_was_guessed():
    text = "He met Mr. X ! Y"
    tokens = tokenize(text)
    probabilities = np.eye(5, dtype=np.float32)[[0, 0, 0, 3, 4, 4]]
    (found,) = entities(text, tokens, probabilities, LABELS)
    assert found["text"] == "X ! Y"


def test_the_score_is_that_of_evaluation():
    probabilities = np.array([[0.1, 0.0, 0.0, 0.9, 0.0], [0.3, 0.0, 0.0, 0.0, 0.7]], dtype=np.float32)
    (found,) = entities("Anna Berg", tokenize("Anna Berg"), probabilities, LABELS)
    assert found["score"] == pytest.approx(0.9 * 0.7)
    assert (found["type"], found["start"], found["end"]) == ("PER", 0, 9)


def test_half_a_surrogate_pair_does_not_reach_the_tokenizer():
    tagger = CapitalsArePeople()
    annotate(tagger, ["\ud800 Anna"])
    assert tagger.seen[0][1][0] == "\ufffd"


def test_tokens_come_back_as_they_were_cut_with_offsets_in_the_joined_text():
    tokens = ["Mr.Anna", "Berg-", "left", ".", "Bo"]
    (found,) = annotate(CapitalsArePeople(), [tokens])
    text = " ".join(tokens)
    assert [(e["text"], e["token_start"], e["token_end"]) for e in found] == [("Mr.Anna Berg-", 0, 2), ("Bo", 4, 5)]
    assert all(text[e["start"] : e["end"]] == e["text"] for e in found)


def test_texts_and_tokens_may_come_together_and_only_tokens_have_token_places():
    found = annotate(CapitalsArePeople(), ["Anna", ["Anna"], []])
    assert [set(row[0]) & {"token_start"} if row else None for row in found] == [set(), {"token_start"}, None]


def test_entities_under_the_least_score_are_left_out():
    text = "Anna left"
    (all_of_them,), (none,) = (
        annotate(CapitalsArePeople(), [text]),
        annotate(CapitalsArePeople(), [text], min_score=0.99),
    )
    assert len(all_of_them) == 1 and none == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (5, "input 1: need a text or a list of tokens, got int"),
        (None, "got NoneType"),
        (b"Anna", "got bytes"),
        (["Anna", " "], "input 1, token 1: need a string that is not blank"),
        (["Anna", None], "got None"),
        ([["Anna"]], "token 0"),
    ],
)
def test_what_is_neither_text_nor_tokens_is_refused_with_its_place(wrong, said):
    with pytest.raises(InputError, match=said):
        annotate(CapitalsArePeople(), ["Anna", wrong])
