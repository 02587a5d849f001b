"""One prediction core for evaluation, serving and batch: tokens in, a probability for each tag of each token out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ner.encoding import Window, encode_windows
from ner.errors import ModelError
from ner.probability import TEMPERATURE, softmax

MAX_LENGTH = "ner_max_length"  # key in the model's config.json: the window that it was trained with, in subwords


class Tagger:
    """A token-classification model and its tokenizer, from a folder that `save_pretrained` wrote."""

    def __init__(
        self, model: Any, tokenizer: Any, max_length: int, device: str = "cpu", temperature: float = 1.0
    ) -> None:
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.device = device
        self.temperature = temperature
        self.labels: list[str] = [model.config.id2label[i] for i in range(model.config.num_labels)]

    @classmethod
    def load(cls, folder: Path | str, device: str = "cpu") -> "Tagger":
        """Load from `folder` alone: no network, safetensors only, no code of the model's own.

        Raises ModelError where the folder is missing or incomplete.
        """
        from transformers import AutoModelForTokenClassification

        folder = Path(folder)
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise ModelError(f"{folder} holds no {name}: run `dvc repro train`, which writes the model.")
        model = AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        tokenizer = load_tokenizer(folder)
        max_length = getattr(model.config, MAX_LENGTH, min(tokenizer.model_max_length, 512))
        return cls(model, tokenizer, max_length, device, getattr(model.config, TEMPERATURE, 1.0))

    def predict(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None = None,
        batch_size: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]:
        """Probability of each tag for each token, by the model's temperature where it was calibrated.

        Takes what `logits` takes. Returns a float32 array [n_tokens, n_labels] a sentence; rows sum to 1, columns are
        in the order of `labels`.
        """
        rows = self.logits(sentences, document_ids, batch_size, progress)
        return [softmax(row, self.temperature) for row in rows]

    def logits(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None = None,
        batch_size: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]:
        """The network's output for each tag of each token.

        sentences: tokens of each; document_ids: one a sentence, equal neighbours share windows; None: each alone.
        progress: called with (windows done, windows in all) after each batch.
        Returns a float32 array [n_tokens, n_labels] a sentence, columns in the order of `labels`.
        """
        windows = encode_windows(self.tokenizer, sentences, document_ids, self.max_length)
        rows: list[np.ndarray] = [np.empty(0)] * len(windows)
        order = sorted(range(len(windows)), key=lambda i: -len(windows[i].input_ids))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for index, outputs in zip(batch, self._forward([windows[i] for i in batch]), strict=True):
                rows[index] = outputs
            if progress:
                progress(start + len(batch), len(order))
        if not sentences:
            return []
        flat = np.concatenate(rows) if rows else np.empty((0, len(self.labels)), np.float32)
        lengths = [len(tokens) for tokens in sentences]
        if len(flat) != sum(lengths):  # encode_windows promises otherwise
            raise AssertionError(f"{sum(lengths)} words went in, {len(flat)} predictions came out")
        return np.split(flat, np.cumsum(lengths)[:-1])

    @torch.inference_mode()
    def _forward(self, windows: list[Window]) -> list[np.ndarray]:
        longest = max(len(window.input_ids) for window in windows)
        ids = torch.full((len(windows), longest), self.tokenizer.pad_token_id)
        mask = torch.zeros((len(windows), longest), dtype=torch.long)
        for row, window in enumerate(windows):
            ids[row, : len(window.input_ids)] = torch.tensor(window.input_ids)
            mask[row, : len(window.input_ids)] = 1
        logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
        outputs = logits.float().cpu().numpy()
        return [outputs[row, window.positions] for row, window in enumerate(windows)]


def load_tokenizer(folder: Path | str) -> Any:
    """The fast tokenizer of a local folder, ready for text that is split into words.

    Raises ModelError where the folder has none that is fast: only those say which subword is of which token.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not tokenizer.is_fast:
        raise ModelError(f"{folder} has no fast tokenizer (tokenizer.json): choose an encoder that has one.")
    if getattr(tokenizer, "add_prefix_space", None) is False:  # byte-level BPE takes words only with a space before
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, add_prefix_space=True)
    return tokenizer
