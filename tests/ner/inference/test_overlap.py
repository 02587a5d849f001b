"""No word is unread whatever window and overlap, context is of the same document, and tags depend on neither."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ner.encoding.tokenizer import load_tokenizer, subwords
from ner.encoding.windows import encode_windows
from ner.errors import ParamsError
from ner.inference.annotate import annotate
from ner.inference.overlap import prediction_windows
from ner.inference.tagger import Tagger, batches

LABELS = ["O", "B-PER", "I-PER"]
LONG = "Marta Okafor joined Helvion Steel in Rotterdam on Monday and nobody was hurt . It rained . " * 12
SENTENCES = [part.split() for part in LONG.split(" . ") if part]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder):
    return load_tokenizer(tiny_encoder)


class TagsByWord(torch.nn.Module):
    """Stands for a model whose tag of a word depends on its first subword alone: what a window may not change."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(id2label=dict(enumerate(LABELS)), num_labels=len(LABELS))
        generator = torch.Generator().manual_seed(1)
        self.table = torch.randn(size, len(LABELS), generator=generator) * 4

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(logits=self.table[input_ids])


@pytest.mark.parametrize("overlap", [0, 1, 2, 5])
@pytest.mark.parametrize("max_length", [24, 40, 128])
@pytest.mark.parametrize("documents", [None, [0] * 8 + [1] * 16, list(range(24))])
def test_every_token_is_read_once_and_in_order(tokenizer, max_length, overlap, documents):
    windows = prediction_windows(tokenizer, SENTENCES, documents, max_length, overlap)
    firsts = [token[0] for sentence in subwords(tokenizer, SENTENCES) for token in sentence]
    assert [window.input_ids[place] for window in windows for place in window.positions] == firsts
    assert all(len(window.input_ids) <= max_length for window in windows)


def test_without_overlap_the_windows_are_those_of_training(tokenizer):
    documents = [0] * len(SENTENCES)
    assert prediction_windows(tokenizer, SENTENCES, documents, 32) == encode_windows(
        tokenizer, SENTENCES, documents, 32
    )


def test_inside_a_document_every_word_has_its_context_on_both_sides_and_none_of_another(tokenizer):
    other = [["nobody", "was", "hurt"]]
    alone = prediction_windows(tokenizer, SENTENCES, [0] * len(SENTENCES), 40, 6)
    windows = prediction_windows(tokenizer, SENTENCES + other, [0] * len(SENTENCES) + [1], 40, 6)
    assert windows[:-1] == alone
    widest = max(len(token) for sentence in subwords(tokenizer, SENTENCES) for token in sentence)
    for window in alone[1:-1]:
        before, after = window.positions[0] - 1, len(window.input_ids) - 1 - window.positions[-1]
        assert before + widest > 6 and after + widest > 6


def test_an_overlap_that_leaves_too_little_to_read_is_refused_with_the_key(tokenizer):
    with pytest.raises(ParamsError, match=r"prediction\.overlap: 10 .* 32: 7 at most"):
        prediction_windows(tokenizer, SENTENCES, None, 32, 10)


@settings(max_examples=40)
@given(text=st.lists(st.sampled_from([*LONG.split()[:17], "Anna", ".", "\n\n", "x" * 300]), max_size=120).map(" ".join))
def test_the_entities_are_the_same_whatever_the_window(tiny_encoder, text):
    tokenizer = load_tokenizer(tiny_encoder)
    model = TagsByWord(len(tokenizer))
    answers = [
        annotate(Tagger(model, tokenizer, window, overlap=overlap, batch_subwords=budget), [text])
        for window, overlap, budget in ((128, 0, 1024), (24, 0, 64), (24, 5, 1024), (48, 3, 1))
    ]
    assert all(answer == answers[0] for answer in answers)


@given(st.lists(st.integers(1, 300)), st.integers(1, 2000))
def test_batches_hold_every_window_once_and_pad_to_no_more_than_the_budget(lengths, budget):
    found = list(batches(lengths, budget))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_progress_counts_windows_to_the_end(tokenizer):
    seen = []
    tagger = Tagger(TagsByWord(len(tokenizer)), tokenizer, 24, batch_subwords=48)
    rows = tagger.predict(SENTENCES, None, lambda done, total: seen.append((done, total)))
    windows = len(prediction_windows(tokenizer, SENTENCES, None, 24))
    assert seen[-1] == (windows, windows) and [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert [len(row) for row in rows] == [len(sentence) for sentence in SENTENCES]
    assert np.concatenate(rows).sum(1) == pytest.approx(np.ones(sum(map(len, SENTENCES))))
