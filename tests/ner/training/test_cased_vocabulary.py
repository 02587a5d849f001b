"""Upper case for an encoder that lower-cases: words are cut as before, and what is merged computes the same."""

import pytest
import torch
from transformers import AutoModelForTokenClassification

from ner.encoding.tokenizer import load_tokenizer, subwords
from ner.training.cased_vocabulary import CAPITAL, LOWER, UPPER, add_twins, is_uncased, merge_twins, read_case

WORDS = [
    "marta",
    "Marta",
    "MARTA",
    "Okafor",
    "okafor",
    "HELVION",
    "in",
    "IN",
    "A",
    "1996",
    ",",
    "Élysée",
    "élysée",
    "B2",
]


@pytest.fixture(scope="module")
def read(tiny_encoder):
    plain = load_tokenizer(tiny_encoder)
    return plain, *read_case(plain)


def test_words_are_cut_as_before_and_only_their_case_is_added(read):
    plain, cased, twins = read
    before, now = subwords(plain, [WORDS])[0], subwords(cased, [WORDS])[0]
    assert [[twins.plain[piece] for piece in word] for word in now] == before
    kinds = {word: {twins.kinds[piece] for piece in pieces} for word, pieces in zip(WORDS, now, strict=True)}
    assert kinds["marta"] == {LOWER} and kinds["MARTA"] == {UPPER}
    assert kinds["Marta"] - {LOWER} == {CAPITAL} and kinds["1996"] == kinds[","] == {LOWER}


def test_mixed_words_lose_no_letter_that_the_vocabulary_has(read):
    _, cased, _ = read
    pieces = cased.tokenize("McMarta")
    assert "".join(piece.removeprefix("##") for piece in pieces) == "McMarta"


def test_special_tokens_and_old_ids_stay(read):
    plain, cased, _ = read
    assert cased.all_special_ids == plain.all_special_ids
    assert {piece: cased.get_vocab()[piece] for piece in plain.get_vocab()} == plain.get_vocab()
    assert not is_uncased(cased) and is_uncased(plain)


def test_the_merged_model_is_an_ordinary_one_with_the_same_values(read, tiny_encoder, tmp_path):
    plain, cased, twins = read
    torch.manual_seed(1)
    model = AutoModelForTokenClassification.from_pretrained(tiny_encoder, num_labels=3).eval()
    ids = cased([WORDS], is_split_into_words=True, return_tensors="pt")
    old = model(**plain([WORDS], is_split_into_words=True, return_tensors="pt")).logits
    add_twins(model, twins)
    with torch.no_grad():
        assert torch.allclose(model(**ids).logits, old, atol=1e-6)  # vectors of zeros: the model that it was
        model.get_input_embeddings().case.normal_()
        expected = model(**ids).logits
        assert not torch.allclose(expected, old, atol=1e-3)
    merge_twins(model)
    model.save_pretrained(tmp_path)
    cased.save_pretrained(tmp_path)
    again = AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    ids = load_tokenizer(tmp_path)([WORDS], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(again(**ids).logits, expected, atol=1e-6)
