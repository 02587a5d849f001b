"""A graph in fp32 to one in int8: weights by output channel, activations by fixed scales.

    quantize(Path("onnx/model.onnx"), Path("onnx-int8/model.onnx"), windows, labels=9)

The input of each matrix product has one scale and zero point, fixed beforehand by the range that it has in windows of
the training split; what is beyond is clipped. So a window has the same tags whatever is in its batch, which it has not
where the scale comes from the batch (dynamic quantisation), and many short windows are read in one call.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ner.export.onnx_graph import quiet


def quantize(source: Path, target: Path, windows: Sequence[Sequence[int]], labels: int) -> None:
    """Write the int8 graph.

    windows: subword ids of each, special tokens included. labels: a product with so many columns gives the logits and
    stays in fp32, as the embeddings do.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    graph = onnx.load(source).graph
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in shapes]
    with quiet():
        quantize_static(
            source,
            target,
            reader(windows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=[node.name for node in products if shapes[node.input[1]][1] != labels],
            per_channel=True,
            activation_type=QuantType.QUInt8,  # unsigned times signed: what CPUs with VNNI multiply
            weight_type=QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )


def reader(windows: Sequence[Sequence[int]]) -> Any:
    """Return these windows, one after the other, as onnxruntime asks for them to see the ranges of all inputs."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            rows = (np.array([window], np.int64) for window in windows)
            self.feeds = ({"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in rows)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    return Reader()
