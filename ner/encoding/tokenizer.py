"""The encoder's own tokenizer, loaded for text that is split into words, and the subwords of each token."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ner.errors import ModelError

Token = list[int]  # subword ids of one token
MAX_LENGTH = "ner_max_length"  # key in a model's config.json: the window that it was trained with, in subwords
PROBE = ["of", "Ab", "it's", "1", "."]  # what any tokenizer reads some of


def load_tokenizer(folder: Path | str) -> Any:
    """Load the fast tokenizer of a local folder, for text that is split into words.

    That of an encoder reads each word as it stands after a space; that of a model which was trained here (MAX_LENGTH
    in its config.json) as it read in training. Raises ModelError where the folder has none that is fast: only those say
    which subword is of which token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"the tokenizer of {folder} cannot be loaded ({reason}): choose another encoder.") from None
    if not tokenizer.is_fast:
        raise ModelError(f"{folder} has no fast tokenizer (tokenizer.json): choose an encoder that has one.")
    if not reads_apart(tokenizer) and not _is_trained(folder):
        tokenizer = _with_spaces(folder, tokenizer)
    if tokenizer.pad_token is None:  # any piece will do, since no position of padding is looked at
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.sep_token or tokenizer.unk_token
    return tokenizer


def reads_apart(tokenizer: Any) -> bool:
    """Whether words that are given apart are read as with a space between them, and not as if glued together."""
    apart = tokenizer(PROBE, is_split_into_words=True, add_special_tokens=False)["input_ids"]
    return bool(apart == tokenizer(" ".join(PROBE), add_special_tokens=False)["input_ids"])


def padding_id(tokenizer: Any) -> int:
    """Return the id that windows are padded with; 0 where the tokenizer has no special piece at all."""
    return 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)


def rewritten(tokenizer: Any, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Any:
    """Return a tokenizer as `change` makes it of the contents of tokenizer.json and tokenizer_config.json."""
    from transformers import AutoTokenizer

    with TemporaryDirectory() as name:
        tokenizer.save_pretrained(name)
        paths = [Path(name) / file for file in ("tokenizer.json", "tokenizer_config.json")]
        contents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        change(*contents)
        for path, content in zip(paths, contents, strict=True):
            path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        for old in Path(name).glob("vocab.*"):
            old.unlink()
        return AutoTokenizer.from_pretrained(name, local_files_only=True)


def _with_spaces(folder: Path | str, tokenizer: Any) -> Any:
    """Return the tokenizer so that it reads words apart: by its own setting, or else with a space put before each.

    The latter goes with it wherever it is saved. Where neither helps, the tokenizer is returned as it is.
    """
    from transformers import AutoTokenizer

    def ways() -> Iterator[Any]:
        yield AutoTokenizer.from_pretrained(folder, local_files_only=True, add_prefix_space=True)
        for is_first in (False, True):
            yield rewritten(tokenizer, partial(_put_space, is_first=is_first))

    return next(filter(reads_apart, ways()), tokenizer)


def _put_space(settings: dict[str, Any], config: dict[str, Any], is_first: bool) -> None:
    """Put a space before each text, as the first or the last step of normalisation."""
    space, present = [{"type": "Prepend", "prepend": " "}], settings.get("normalizer")
    steps = [present] if present else []
    settings["normalizer"] = {"type": "Sequence", "normalizers": space + steps if is_first else steps + space}
    config["tokenizer_class"] = "PreTrainedTokenizerFast"  # others make their own steps


def _is_trained(folder: Path | str) -> bool:
    config = Path(folder) / "config.json"
    return config.is_file() and MAX_LENGTH in json.loads(config.read_text(encoding="utf-8"))


def subwords(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[list[Token]]:
    """Return subword ids of every token of every sentence; each token has at least one."""
    if not sentences:
        return []
    encoding = tokenizer(
        [list(tokens) for tokens in sentences],
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        verbose=False,
    )
    result: list[list[Token]] = []
    for row, tokens in enumerate(sentences):
        pieces: list[Token] = [[] for _ in tokens]
        for subword, word in zip(encoding["input_ids"][row], encoding.word_ids(row), strict=True):
            if word is not None:
                pieces[word].append(subword)
        result.append([piece or [_unknown_id(tokenizer)] for piece in pieces])
    return result


def _unknown_id(tokenizer: Any) -> int:
    """Return what stands for a word that the tokenizer drops: the unknown piece, or what is nearest to it."""
    ids = (tokenizer.unk_token_id, tokenizer.mask_token_id)
    return next((piece for piece in ids if piece is not None), padding_id(tokenizer))


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that the tokenizer puts before and after a sequence, for example ([CLS], [SEP])."""
    bare = tokenizer(PROBE, is_split_into_words=True, add_special_tokens=False)["input_ids"]
    full = tokenizer(PROBE, is_split_into_words=True)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:start], full[start + len(bare) :]
