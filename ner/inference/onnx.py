"""An exported model (ONNX) in place of the torch model: ner.inference.tagger.Tagger holds either and calls both alike.

model = OnnxModel(Path("models/export/onnx-int8"))
model(input_ids=ids, attention_mask=mask).logits  # float32 [windows, subwords, labels]
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import torch

from ner.errors import ModelError

FILE = "model.onnx"
FORMAT = "ner_format"  # key in the exported model's config.json
FP32, INT8 = "onnx", "onnx-int8"


class OnnxModel:
    """The ONNX graph that stage `export` wrote, on the CPU, one thread per call; several threads may call it."""

    def __init__(self, folder: Path | str) -> None:
        from transformers import AutoConfig

        self.config = AutoConfig.from_pretrained(folder, local_files_only=True)
        self.session = open_session(Path(folder) / FILE, threads=1)

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        """Return logits of windows that are padded at their end; those of the padding mean nothing."""
        ids, mask = (np.ascontiguousarray(each.numpy(), np.int64) for each in (input_ids, attention_mask))
        logits = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        return SimpleNamespace(logits=torch.from_numpy(logits))

    def to(self, device: Any) -> "OnnxModel":
        """Return the model itself, like a torch model's `to`; this one stays on the CPU."""
        return self

    def eval(self) -> "OnnxModel":
        """Return the model itself, like a torch model's `eval`; this one cannot train."""
        return self


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load the graph on the CPU. Raises ModelError where the file is missing or broken."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave their core alone
    options.log_severity_level = 3  # errors
    if not path.is_file():
        raise ModelError(f"{path} is missing: run `dvc repro export`, which writes it.")
    try:
        return onnxruntime.InferenceSession(
            path,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],  # its fused kernel is slow: int8 takes 16 % longer with it
        )
    except Exception as error:  # onnxruntime has an exception for each kind of failure, and no base of them
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be loaded ({reason}): run `dvc repro export`, which makes it again.") from None
