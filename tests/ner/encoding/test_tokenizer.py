"""Tokenizers of several kinds read words that are given apart as they stand in a text, and lose none of them."""

import json
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ner.encoding.tokenizer import MAX_LENGTH, load_tokenizer, padding_id, reads_apart, special_tokens, subwords
from ner.encoding.windows import encode_windows
from ner.errors import ModelError

TEXT = ["Marta Okafor moved from Kelmouth to Rotterdam on 3 May", "Okafor didn't move from Rotterdam to Kelmouth ."] * 4
WORDS = TEXT[1].split()


def byte_level(**options: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)


def split_first() -> pre_tokenizers.PreTokenizer:
    cut = Regex(r"'[a-z]+| ?[a-zA-Z]+|[0-9]| ?[^\sa-zA-Z0-9]+|\s+")
    return pre_tokenizers.Sequence([pre_tokenizers.Split(cut, "isolated"), byte_level(use_regex=False)])


def digits_first() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])


def metaspace() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Metaspace(prepend_scheme="never")


GLUED = [byte_level, split_first, digits_first, metaspace]
NORMALIZERS = [None, normalizers.NFC(), normalizers.Sequence([normalizers.Strip(), normalizers.Lowercase()])]


def save(folder: Path, model, pre_tokenizer, trainer, normalizer=None, **special: str) -> Path:
    raw = Tokenizer(model)
    if normalizer:
        raw.normalizer = normalizer
    raw.pre_tokenizer = pre_tokenizer
    raw.train_from_iterator(TEXT, trainer)
    if special.get("cls_token"):
        ends = [(special[name], raw.token_to_id(special[name])) for name in ("cls_token", "sep_token")]
        raw.post_processor = processors.TemplateProcessing(single=f"{ends[0][0]} $A {ends[1][0]}", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=raw, **special).save_pretrained(folder)
    return folder


@pytest.fixture(params=[(pre, norm) for pre in GLUED for norm in range(len(NORMALIZERS))])
def glued(request, tmp_path) -> Path:
    """A tokenizer that reads split words as if glued together, as ModernBERT's and many since are saved."""
    pre, norm = request.param
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]"], initial_alphabet=alphabet
    )
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return save(tmp_path / "glued", models.BPE(), pre(), trainer, NORMALIZERS[norm], **names)


def test_a_word_is_read_as_after_a_space_and_is_so_wherever_the_tokenizer_is_saved(glued, tmp_path):
    assert not reads_apart(AutoTokenizer.from_pretrained(glued))
    tokenizer = load_tokenizer(glued)
    first = [tokenizer.convert_ids_to_tokens(pieces)[0] for pieces in subwords(tokenizer, [WORDS])[0]]
    assert all(piece[0] in "Ġ▁" for piece in first)
    assert sum(subwords(tokenizer, [WORDS])[0], []) == tokenizer(" ".join(WORDS), add_special_tokens=False)["input_ids"]
    tokenizer.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved/config.json").write_text('{"model_type": "modernbert"}')
    again = load_tokenizer(tmp_path / "saved")
    assert subwords(again, [WORDS]) == subwords(tokenizer, [WORDS])
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()  # not put before it twice


def test_offsets_are_those_of_the_text_as_it_was_given(glued):
    text = " ".join(WORDS)
    found = load_tokenizer(glued)(text, add_special_tokens=False, return_offsets_mapping=True)
    read = [text[start:end].strip() for start, end in found["offset_mapping"]]
    assert "".join(read) == "".join(WORDS)


def test_a_model_that_was_trained_with_glued_words_goes_on_reading_them_so(glued):
    plain = AutoTokenizer.from_pretrained(glued)
    (glued / "config.json").write_text(json.dumps({"model_type": "bert", MAX_LENGTH: 128}))
    assert subwords(load_tokenizer(glued), [WORDS]) == subwords(plain, [WORDS])


@pytest.mark.parametrize(
    ("special", "padding"),
    [({"eos_token": "<|end|>"}, "<|end|>"), ({"sep_token": "<|end|>"}, "<|end|>"), ({}, None)],
)
def test_a_tokenizer_without_padding_pads_with_another_special_piece(tmp_path, special, padding):
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>", "other"])
    tokenizer = load_tokenizer(save(tmp_path / "t", models.BPE(), pre_tokenizers.ByteLevel(), trainer, **special))
    assert tokenizer.pad_token == padding and padding_id(tokenizer) == 0
    assert special_tokens(tokenizer) == ([], [])


@pytest.mark.parametrize(("special", "piece"), [({"mask_token": "[M]"}, "[M]"), ({}, "[PAD]")])
def test_a_word_that_the_tokenizer_drops_is_read_as_a_special_piece(tmp_path, special, piece):
    trainer = trainers.BpeTrainer(vocab_size=100, special_tokens=["[PAD]", "[CLS]", "[SEP]", "[M]"])
    drops = normalizers.Replace("a", "")
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", **special}
    folder = save(tmp_path / "t", models.BPE(), pre_tokenizers.Whitespace(), trainer, drops, **names)
    tokenizer = load_tokenizer(folder)
    assert special_tokens(tokenizer) == ([1], [2])
    assert subwords(tokenizer, [["Okafor", "a", "北"]])[0][1:] == [[tokenizer.convert_tokens_to_ids(piece)]] * 2
    (window,) = encode_windows(tokenizer, [["a", "aa"]], None, 16)
    assert window.positions == [1, 2]


def test_a_tokenizer_that_cannot_be_loaded_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unheard"}}')
    with pytest.raises(ModelError, match="the tokenizer of .* cannot be loaded") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)
