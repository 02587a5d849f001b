"""Tiny encoders with random weights, one for each architecture and kind of tokenizer that people use.

make("roberta", folder, sentences)      # config.json, model.safetensors and tokenizer as such an encoder has them
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as t
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
POSITIONS = 128  # of BERT and its like; RoBERTa counts from behind its padding, so that it has two more

Words = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Kind:
    """An architecture with its tokenizer. model: class and config; tokenizer: made of sentences."""

    model: str
    tokenizer: Callable[[Words], Any]
    config: dict[str, Any] = field(default_factory=dict)
    uncased: bool = False  # whether encoding.case: read gives it capitals
    distances: bool = False  # whether it counts distances alone, so that a window may have any length


def wordpiece(name: str, special: list[str] = BERT, lowercase: bool = False, **options: Any) -> Callable[[Words], Any]:
    def build(sentences: Words) -> Any:
        raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        raw.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        raw.train_from_iterator(text(sentences), trainers.WordPieceTrainer(vocab_size=400, special_tokens=special))
        return getattr(t, name)(vocab=raw.get_vocab(), do_lower_case=lowercase, model_max_length=POSITIONS, **options)

    return build


def trained_bytes(sentences: Words, special: list[str]) -> Tokenizer:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    raw.train_from_iterator(text(sentences), trainer)
    return raw


def byte_level(name: str, special: list[str]) -> Callable[[Words], Any]:
    def build(sentences: Words) -> Any:
        import json

        model = json.loads(trained_bytes(sentences, special).to_str())["model"]
        merges = [tuple(merge) for merge in model["merges"]]
        return getattr(t, name)(vocab=model["vocab"], merges=merges, model_max_length=POSITIONS)

    return build


def modern(sentences: Words) -> Any:
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    raw = trained_bytes(sentences, special)
    raw.normalizer = normalizers.NFC()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return t.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
        **dict(zip(names, special, strict=True)),
    )


def unigram(name: str, special: list[str], **options: Any) -> Callable[[Words], Any]:
    def build(sentences: Words) -> Any:
        import json

        raw = Tokenizer(models.Unigram())
        raw.normalizer, raw.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
        unknown = next(one for one in special if "unk" in one.lower())
        raw.train_from_iterator(
            text(sentences), trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token=unknown)
        )
        vocab = [tuple(entry) for entry in json.loads(raw.to_str())["model"]["vocab"]]
        return getattr(t, name)(vocab=vocab, model_max_length=POSITIONS, **options)

    return build


KINDS = {
    "bert-cased": Kind("Bert", wordpiece("BertTokenizer")),
    "bert-uncased": Kind("Bert", wordpiece("BertTokenizer", lowercase=True), uncased=True),
    "distilbert": Kind(
        "DistilBert",
        wordpiece("DistilBertTokenizer", lowercase=True),
        {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 48},
        uncased=True,
    ),
    "electra": Kind("Electra", wordpiece("ElectraTokenizer", lowercase=True), {"embedding_size": 16}, uncased=True),
    "mpnet": Kind(
        "MPNet",
        wordpiece("MPNetTokenizer", ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"], lowercase=True),
        {"max_position_embeddings": POSITIONS + 2},
        uncased=True,
    ),
    "roberta": Kind("Roberta", byte_level("RobertaTokenizer", ROBERTA), {"max_position_embeddings": POSITIONS + 2}),
    "xlm-roberta": Kind(
        "XLMRoberta", unigram("XLMRobertaTokenizer", ROBERTA), {"max_position_embeddings": POSITIONS + 2}
    ),
    "camembert": Kind(
        "Camembert",
        unigram(
            "CamembertTokenizer",
            ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", *ROBERTA[:1], "</s>", "<mask>"],
        ),
        {"max_position_embeddings": POSITIONS + 2},
    ),
    "deberta-v2": Kind(
        "DebertaV2",
        unigram("DebertaV2Tokenizer", ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"], do_lower_case=False),
        {
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_biased_input": False,
            "type_vocab_size": 0,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "norm_rel_ebd": "layer_norm",
            "position_buckets": 16,
            "share_att_key": True,
        },
        distances=True,
    ),
    "deberta-v3": Kind(
        "DebertaV2",
        unigram("DebertaV2Tokenizer", ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"], do_lower_case=False),
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
            "norm_rel_ebd": "layer_norm",
            "position_buckets": 16,
            "share_att_key": True,
            "max_relative_positions": -1,
        },
        distances=True,
    ),
    "albert": Kind(
        "Albert", unigram("AlbertTokenizer", ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]), {"embedding_size": 16}
    ),
    "modernbert": Kind(
        "ModernBert", modern, {"global_attn_every_n_layers": 3, "local_attention": 16, "num_hidden_layers": 5}
    ),
    "gpt2": Kind("GPT2", byte_level("GPT2Tokenizer", ["<|endoftext|>"]), {"n_positions": POSITIONS}),
}


def text(sentences: Words) -> Iterable[str]:
    return (" ".join(words) for words in sentences)


def make(name: str, folder: Path, sentences: Words, **config: Any) -> Path:
    """Write a tiny encoder of that kind; config: what is different in its config.json."""
    kind = KINDS[name]
    tokenizer = kind.tokenizer(sentences)
    special = {f"{one}_token_id": getattr(tokenizer, f"{one}_token_id") for one in ("pad", "bos", "eos", "cls", "sep")}
    sizes = {"max_position_embeddings": POSITIONS, **SIZES} | kind.config
    settings = getattr(t, kind.model + "Config")(**{"vocab_size": len(tokenizer), **sizes, **special, **config})
    torch.manual_seed(0)
    getattr(t, kind.model + "Model")(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
