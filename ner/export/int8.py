"""A graph in fp32 to one in int8: weights by output channel, activations by fixed scales, outlier channels apart.

    quantize(Path("onnx/model.onnx"), Path("onnx-int8/model.onnx"), windows, labels=9)

The input of each matrix product has one scale and zero point, fixed beforehand by the range that it has in windows of
the training split; what is beyond is clipped. So a window has the same tags whatever is in its batch, which it has not
where the scale comes from the batch (dynamic quantisation), and many short windows are read in one call.

In a transformer a few channels of a few tokens are tens of times larger than all others, and would take the precision
from the rest. What such a channel has over a cap is computed beside the product in fp32: exact, and a few percent of
the time. Source: Dettmers et al., "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale" (NeurIPS 2022);
here the channels and their caps are fixed by the same windows.
"""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.helper import make_node, make_tensor_value_info

from ner.export.onnx_graph import quiet
from ner.inference.onnx import open_session

RATIO, QUANTILE = 2.0, 0.995  # an outlier is over RATIO times this quantile of the channels' largest magnitudes
NO_CAP = np.finfo(np.float32).max


def quantize(source: Path, target: Path, windows: Sequence[Sequence[int]], labels: int) -> int:
    """Write the int8 graph; returns how many products have outlier channels.

    windows: subword ids of each, special tokens included. labels: a product with so many columns gives the logits and
    stays in fp32, as the embeddings do.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load(source)
    weights = weights_of(model.graph)
    names = {node.name for node in products(model.graph) if weights[node.input[1]].shape[1] != labels}
    with tempfile.TemporaryDirectory() as scratch, quiet():
        split = Path(scratch) / "split.onnx"
        outliers = split_outliers(model.graph, extremes(source, windows), names)
        onnx.save(model, split)
        quantize_static(
            split,
            target,
            reader(windows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=sorted(names),
            per_channel=True,
            activation_type=QuantType.QUInt8,  # unsigned times signed: what CPUs with VNNI multiply
            weight_type=QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
    return outliers


def reader(windows: Sequence[Sequence[int]]) -> Any:
    """Return these windows, one after the other, as onnxruntime asks for them to see the ranges of all inputs."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter([feed(window) for window in windows])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    return Reader()


def feed(window: Sequence[int]) -> dict[str, np.ndarray]:
    """Return what the graph takes, for one window."""
    ids = np.array([window], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def products(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the matrix products with weights."""
    constants = {tensor.name for tensor in graph.initializer}
    return [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]


def weights_of(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Return the weights of each product, [channels in, channels out], by the name of the tensor."""
    wanted = {node.input[1] for node in products(graph)}
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name in wanted}


def extremes(source: Path, windows: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """Return the largest magnitude of each channel of each product's input in these windows, by the input's name."""
    model = onnx.load(source)
    names = sorted({node.input[0] for node in products(model.graph)})
    model.graph.output.extend(make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    with tempfile.TemporaryDirectory() as scratch:
        onnx.save(model, Path(scratch) / "watched.onnx")
        session = open_session(Path(scratch) / "watched.onnx", threads=0)
    largest: dict[str, Any] = dict.fromkeys(names, 0.0)
    for window in windows:
        rows = session.run(names, feed(window))
        for name, values in zip(names, rows, strict=True):
            largest[name] = np.maximum(largest[name], np.abs(values).max(axis=(0, 1)))
    return largest


def outliers(magnitudes: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the channels that are far larger than the others, and the cap that they get."""
    cap = float(np.quantile(magnitudes, QUANTILE))
    return np.flatnonzero(magnitudes > RATIO * cap), cap


def split_outliers(graph: onnx.GraphProto, magnitudes: Mapping[str, np.ndarray], names: Collection[str]) -> int:
    """Rewrite x @ W as clipped(x) @ W + (x - clipped(x))[outliers] @ W[outliers] in the products of these names.

    magnitudes: as `extremes` has them. Returns how many products are rewritten; whatever x is, the sum is the same.
    """
    weights, caps = weights_of(graph), {name: outliers(each) for name, each in magnitudes.items()}
    chosen = {n.name: n for n in products(graph) if n.name in names and len(caps[n.input[0]][0])}
    spilled = {_with_bias(graph, node): f"{name}_spilled" for name, node in chosen.items()}
    nodes: list[onnx.NodeProto] = []
    clipped: set[str] = set()
    for node in list(graph.node):
        if node.name in chosen:
            x, (channels, cap) = node.input[0], caps[node.input[0]]
            if x not in clipped:
                nodes += _clip(graph, x, len(magnitudes[x]), channels, cap)
                clipped.add(x)
            rows = _constant(graph, f"{node.name}_outliers", weights[node.input[1]][channels])
            nodes.append(_node("MatMul", [f"{x}_spill", rows], f"{node.name}_spilled"))
            node.input[0] = f"{x}_clipped"
        nodes.append(node)
        output = node.output[0]
        if output in spilled:
            node.output[0] = f"{output}_without"
            nodes.append(_node("Add", [f"{output}_without", spilled[output]], output))
    del graph.node[:]
    graph.node.extend(nodes)
    return len(chosen)


def _clip(graph: onnx.GraphProto, x: str, size: int, channels: np.ndarray, cap: float) -> list[onnx.NodeProto]:
    """Return nodes that make {x}_clipped, and {x}_spill: what the outlier channels have beyond the cap."""
    limits = np.full(size, NO_CAP, np.float32)
    limits[channels] = cap
    high, low = _constant(graph, f"{x}_high", limits), _constant(graph, f"{x}_low", -limits)
    index = _constant(graph, f"{x}_channels", channels.astype(np.int64))
    return [
        _node("Min", [x, high], f"{x}_under"),
        _node("Max", [f"{x}_under", low], f"{x}_clipped"),
        _node("Gather", [x, index], f"{x}_whole", axis=-1),
        _node("Gather", [f"{x}_clipped", index], f"{x}_kept", axis=-1),
        _node("Sub", [f"{x}_whole", f"{x}_kept"], f"{x}_spill"),
    ]


def _with_bias(graph: onnx.GraphProto, node: onnx.NodeProto) -> str:
    """Return the output of a product, or of the addition of its bias, with which onnxruntime may fuse it."""
    constants = {tensor.name for tensor in graph.initializer}
    users = [user for user in graph.node if node.output[0] in user.input]
    has_bias = len(users) == 1 and users[0].op_type == "Add" and constants & set(users[0].input)
    return users[0].output[0] if has_bias else node.output[0]


def _constant(graph: onnx.GraphProto, name: str, values: np.ndarray) -> str:
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return make_node(kind, inputs, [output], f"{output}_{kind.lower()}", **attributes)
