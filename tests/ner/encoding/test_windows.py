"""No token is lost, whatever the window; the first subword speaks for its token."""

import pytest

from ner.encoding.tokenizer import load_tokenizer, special_tokens, subwords
from ner.encoding.windows import IGNORED, encode_windows, token_labels
from ner.errors import ParamsError

SENTENCES = [
    "Marta Okafor joined Helvion Steel in Rotterdam on Monday .".split(),
    "Nobody was hurt .".split(),
    "It rained .".split(),
]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder):
    return load_tokenizer(tiny_encoder)


def read_back(windows):
    """The first subword of every token, in the order in which the windows read them."""
    return [window.input_ids[position] for window in windows for position in window.positions]


@pytest.mark.parametrize("max_length", [8, 9, 13, 24, 128])
@pytest.mark.parametrize("documents", [None, [0, 0, 0], [0, 0, 1]])
def test_every_token_is_read_once_and_in_order_whatever_the_window(tokenizer, max_length, documents):
    windows = encode_windows(tokenizer, SENTENCES, documents, max_length)
    firsts = [token[0] for sentence in subwords(tokenizer, SENTENCES) for token in sentence]
    assert read_back(windows) == firsts
    assert all(len(window.input_ids) <= max_length for window in windows)


def test_sentences_of_one_document_share_a_window_and_those_of_another_do_not(tokenizer):
    assert len(encode_windows(tokenizer, SENTENCES, [0, 0, 0], 128)) == 1
    assert [len(w.positions) for w in encode_windows(tokenizer, SENTENCES, [0, 0, 1], 128)] == [14, 3]
    assert [len(w.positions) for w in encode_windows(tokenizer, SENTENCES, None, 128)] == [10, 4, 3]


def test_a_sentence_longer_than_a_window_is_cut_where_each_token_keeps_context(tokenizer):
    sentence = ["a"] * 40
    windows = encode_windows(tokenizer, [sentence], None, 18)
    assert sum(len(window.positions) for window in windows) == 40
    inner = windows[1]
    assert inner.positions[0] > 2 and inner.positions[-1] < len(inner.input_ids) - 3


def test_a_token_longer_than_a_window_still_gets_a_prediction(tokenizer):
    windows = encode_windows(tokenizer, [["x" * 300, "rained"]], None, 16)
    assert sum(len(window.positions) for window in windows) == 2


def test_a_token_that_the_tokenizer_drops_becomes_the_unknown_subword(tokenizer):
    assert subwords(tokenizer, [["\u200b\u00ad", "rained"]])[0][0] == [tokenizer.unk_token_id]


def test_labels_sit_on_first_subwords_only(tokenizer):
    (window,) = encode_windows(tokenizer, [SENTENCES[0]], None, 128)
    labels = token_labels(window, range(10))
    assert [label for label in labels if label != IGNORED] == list(range(10))
    assert labels[0] == labels[-1] == IGNORED  # special tokens
    prefix, suffix = special_tokens(tokenizer)
    assert window.input_ids[:1] == prefix and window.input_ids[-1:] == suffix


def test_a_window_with_no_room_for_a_token_is_refused_with_the_key(tokenizer):
    with pytest.raises(ParamsError, match=r"encoding\.max_length: 2"):
        encode_windows(tokenizer, SENTENCES, None, 2)
