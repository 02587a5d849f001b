"""One prediction core for evaluation, serving and batch: tokens in, a probability for each tag of each token out."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ner.encoding.tokenizer import MAX_LENGTH, load_tokenizer, padding_id
from ner.encoding.windows import Window
from ner.errors import ModelError
from ner.inference.overlap import OVERLAP, prediction_windows
from ner.inference.packed import pack
from ner.inference.parallel import side_by_side
from ner.inference.probability import TEMPERATURE, softmax
from ner.inference.text import LANGUAGE, LANGUAGE_KEY

BATCH_SUBWORDS = {"cpu": 256, "cuda": 32768}  # of a batch, padding included; on a CPU each thread has its own batch
ONE_MORE = 24  # subwords take as long as one batch more does by itself, on one thread
WEIGHTS, ONNX = "model.safetensors", "model.onnx"
_AGAIN = "run `dvc repro train`, which writes the model"


class Tagger:
    """A token-classification model and its tokenizer, from a folder that `save_pretrained` or stage `export` wrote."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_length: int,
        device: str = "cpu",
        temperature: float = 1.0,
        overlap: int = 0,
        batch_subwords: int | None = None,
        language: str = LANGUAGE,
    ) -> None:
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.device = device
        self.temperature = temperature
        self.overlap = overlap
        self.language = language  # whose rules cut raw text (ner.inference.text)
        self.batch_subwords = batch_subwords or BATCH_SUBWORDS[torch.device(device).type]
        self.labels: list[str] = [model.config.id2label[i] for i in range(model.config.num_labels)]

    @property
    def threads(self) -> int:
        """Return how many threads the calling thread's batches have, as torch.set_num_threads sets it there."""
        return torch.get_num_threads() if torch.device(self.device).type == "cpu" else 1

    @property
    def precision(self) -> str:
        """Return what it multiplies in: fp32, bf16 or int8."""
        if getattr(self.model.config, "ner_format", None) == "onnx-int8":
            return "int8"
        return "bf16" if getattr(self.model, "dtype", None) == torch.bfloat16 else "fp32"

    @classmethod
    def load(cls, folder: Path | str, device: str = "cpu", precision: str = "fp32") -> "Tagger":
        """Load a model from `folder`: no network, safetensors or ONNX only, no code of the model's own.

        device: as torch names it; auto is the GPU where there is one. precision: fp32; bf16, which is twice as fast
        where the hardware multiplies in it and slower elsewhere; auto is bf16 where it is faster. An exported model has
        its own of both. Raises ModelError where the folder is missing or incomplete.
        """
        folder = Path(folder)
        device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} holds no config.json: {_AGAIN}.")
        if (folder / WEIGHTS).is_file():
            from transformers import AutoModelForTokenClassification

            model = AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True, local_files_only=True)
            model = model.to(torch.bfloat16) if is_bfloat16(precision, device) else model
            model = pack(model) if torch.device(device).type == "cpu" else model
        elif (folder / ONNX).is_file():
            from ner.inference.onnx import OnnxModel

            model, device = OnnxModel(folder), "cpu"
        else:
            raise ModelError(f"{folder} holds no {WEIGHTS}: {_AGAIN}.")
        tokenizer = load_tokenizer(folder)
        max_length = getattr(model.config, MAX_LENGTH, min(tokenizer.model_max_length, 512))
        temperature, overlap = getattr(model.config, TEMPERATURE, 1.0), getattr(model.config, OVERLAP, 0)
        language = getattr(model.config, LANGUAGE_KEY, LANGUAGE)
        return cls(model, tokenizer, max_length, device, temperature, overlap, language=language)

    def predict(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]:
        """Return the probability of each tag for each token, by the model's temperature where it was calibrated.

        Takes what `logits` takes. Returns a float32 array [n_tokens, n_labels] a sentence; rows sum to 1, columns are
        in the order of `labels`.
        """
        return [softmax(row, self.temperature) for row in self.logits(sentences, document_ids, progress)]

    def logits(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[np.ndarray]:
        """Return the network's output for each tag of each token.

        sentences: tokens of each; document_ids: one a sentence, equal neighbours share windows; None: each alone.
        progress: called with (windows done, windows in all) after each batch. Windows are sorted by length, so that
        little is padded, and a batch has at most `batch_subwords`, or one window, and less where threads would be idle.
        Returns a float32 array [n_tokens, n_labels] a sentence, columns in the order of `labels`.
        """
        windows = prediction_windows(self.tokenizer, sentences, document_ids, self.max_length, self.overlap)
        rows: list[np.ndarray] = [np.empty(0)] * len(windows)
        done = 0
        lengths = [len(window.input_ids) for window in windows]
        threads = self.threads
        if threads > 1:
            groups = list(batches(lengths, min(self.batch_subwords, -(-sum(lengths) // threads))))
        else:
            groups = list(batches(lengths, self.batch_subwords, ONE_MORE))
        work = [[windows[index] for index in group] for group in groups]
        for group, outputs in zip(groups, side_by_side(self._forward, work, threads), strict=True):
            for index, values in zip(group, outputs, strict=True):
                rows[index] = values
            done += len(group)
            if progress:
                progress(done, len(windows))
        if not sentences:
            return []
        flat = np.concatenate(rows) if rows else np.empty((0, len(self.labels)), np.float32)
        words = [len(tokens) for tokens in sentences]
        if len(flat) != sum(words):  # the windows promise otherwise
            raise AssertionError(f"{sum(words)} words went in, {len(flat)} predictions came out")
        return np.split(flat, np.cumsum(words)[:-1])

    @torch.inference_mode()
    def _forward(self, windows: list[Window]) -> list[np.ndarray]:
        longest = max(len(window.input_ids) for window in windows)
        ids = torch.full((len(windows), longest), padding_id(self.tokenizer))
        mask = torch.zeros((len(windows), longest), dtype=torch.long)
        for row, window in enumerate(windows):
            ids[row, : len(window.input_ids)] = torch.tensor(window.input_ids)
            mask[row, : len(window.input_ids)] = 1
        logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
        outputs = logits.float().cpu().numpy()
        return [outputs[row, window.positions] for row, window in enumerate(windows)]


def batches(lengths: Sequence[int], budget: int, padding: float = float("inf")) -> Iterator[list[int]]:
    """Yield indices of windows by falling length, in groups of at most `budget` subwords when padded, or of one window.

    padding: subwords of it that a group may have at most.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    first = 0
    while first < len(order):
        longest, last, padded = lengths[order[first]], first + 1, 0
        while last < len(order) and longest * (last + 1 - first) <= budget:
            padded += longest - lengths[order[last]]
            if padded > padding:
                break
            last += 1
        yield order[first:last]
        first = last


def is_bfloat16(precision: str, device: str) -> bool:
    """Whether to compute in bf16: it is asked for, or `auto` and the hardware has instructions for it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
