"""A torch model to an ONNX graph in fp32, and whether it says the same.

    write_graph(Path("models/release"), Path("model.onnx"))

The graph takes any number of windows of any length, and holds nothing of the machine that it was made on: the same
model gives the same bytes.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from ner.errors import ModelError
from ner.inference.onnx import open_session

OPSET = 20  # the first in which GELU is one operation
LIMIT_BYTES = 2**31  # of one ONNX file
TOLERANCE = 1e-3  # of logits, whose differences are of the order of 1e-5
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "logits"


class Logits(torch.nn.Module):
    """The model with the two inputs and the one output that a graph has."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def write_graph(folder: Path, target: Path) -> None:
    """Write the model of a folder as a graph, and compare the two on windows of several shapes.

    Raises ModelError where it cannot be written as a graph, or the graph says something else.
    """
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True, local_files_only=True).eval()
    if sum(weights.nbytes for weights in model.parameters()) >= LIMIT_BYTES:
        raise ModelError(f"{folder} has over 2 GB of weights, more than one ONNX file holds: leave export.formats [].")
    any_size = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with quiet():
        try:
            program = torch.onnx.export(
                Logits(model),
                windows(model.config, 2, 16),
                dynamo=True,
                opset_version=OPSET,
                input_names=INPUTS,
                output_names=[OUTPUT],
                dynamic_shapes=dict.fromkeys(INPUTS, any_size),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{folder} cannot be written as ONNX ({reason}): leave export.formats [].") from None
    assert program is not None  # as with dynamo=True
    graph = program.model_proto
    strip(graph)
    onnx.save(graph, target)
    check(model, target)


def strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about its own work, among it paths; name the axes."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]  # sizes of what is in between, by the old names of the axes
    for value in (*graph.input, *graph.output):
        for size, name in zip(value.type.tensor_type.shape.dim, ("windows", "subwords"), strict=False):
            size.dim_param = name


def check(model: Any, path: Path) -> None:
    """Raise ModelError where the graph's logits are not the model's for some shape of a batch."""
    session = open_session(path, threads=torch.get_num_threads())
    longest = min((getattr(model.config, "max_position_embeddings", None) or 514) - 2, 512)
    for shape in ((1, 1), (1, 7), (3, 33), (5, min(64, longest)), (2, longest)):
        ids, mask = windows(model.config, *shape)
        with torch.inference_mode():
            expected = Logits(model)(ids, mask).numpy()
        (logits,) = session.run([OUTPUT], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        difference = float(np.abs(logits - expected)[mask.numpy() == 1].max())
        if not difference <= TOLERANCE:
            raise ModelError(
                f"the ONNX graph of this model is wrong: of {shape[0]} windows of up to {shape[1]} subwords its logits "
                f"are {difference:.2g} off, {TOLERANCE:g} may be; leave export.formats []."
            )


def windows(config: Any, number: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask of windows with random words, each shorter than the one before and padded at its end."""
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(0, config.vocab_size, (number, length), generator=random)
    mask = torch.ones_like(ids)
    for row in range(1, number):
        mask[row, max(1, length - 3 * row) :] = 0
    padding = config.pad_token_id or 0
    ids[ids == padding] = (padding + 1) % config.vocab_size  # encoders count positions by what is not padding
    return ids.where(mask == 1, padding), mask


@contextmanager
def quiet() -> Iterator[None]:
    """Silence advice of the exporter and the quantisation: on what is not installed, and on each other's work."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
